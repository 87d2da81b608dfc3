"""What each operation of a saved package computes, in torch: one function per operation, one table.

Source: the operation reference of coremltools 9.0 (iOS 15 to 18 operation sets). Floats are float32 here; the
interpreter rounds what comes out to the type that the package declares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

CODES = {"uint8": (0, 255), "int8": (-128, 127)}
CAST = {
    "fp32": torch.float32,
    "fp16": torch.float32,  # the interpreter rounds
    "int32": torch.int32,
    "int16": torch.int32,
    "int8": torch.int32,
    "uint8": torch.int32,
    "bool": torch.bool,
}
GELU = {"EXACT": "none", "TANH_APPROXIMATION": "tanh"}


class Arguments:
    """The arguments of one operation, by the names of the reference.

    Args:
        values: tensors, texts, and lists of tensors.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def tensor(self, name: str = "x") -> Tensor:
        """Return a tensor."""
        value = self._values[name]
        if not isinstance(value, Tensor):
            raise TypeError(f"argument {name} is no tensor")
        return value

    def optional(self, name: str) -> Tensor | None:
        """Return a tensor, or None where it is not given."""
        return self.tensor(name) if name in self else None

    def tensors(self, name: str) -> list[Tensor]:
        """Return a list of tensors."""
        value = self._values[name]
        return list(value) if isinstance(value, list | tuple) else [value]

    def ints(self, name: str, default: Sequence[int] = ()) -> list[int]:
        """Return whole numbers."""
        return [int(value) for value in self.tensor(name).flatten()] if name in self else list(default)

    def int_(self, name: str, default: int = 0) -> int:
        """Return a whole number."""
        return int(self.tensor(name)) if name in self else default

    def number(self, name: str, default: float) -> float:
        """Return a number."""
        return float(self.tensor(name)) if name in self else default

    def flag(self, name: str) -> bool:
        """Return a truth value, false where it is not given."""
        return bool(self.tensor(name)) if name in self else False

    def text(self, name: str, default: str = "") -> str:
        """Return a text."""
        return str(self._values.get(name) or default)


def _quantize(a: Arguments) -> Tensor:
    values, axis = a.tensor("input"), a.int_("axis")
    codes = torch.round(values / _along(a.tensor("scale"), values, axis))
    if "zero_point" in a:
        codes = codes + _along(a.tensor("zero_point"), values, axis)
    return codes.clamp(*CODES[a.text("output_dtype")])


def _dequantize(a: Arguments) -> Tensor:
    codes, axis = a.tensor("input").float(), a.int_("axis")
    if "zero_point" in a:
        codes = codes - _along(a.tensor("zero_point"), codes, axis)
    return codes * _along(a.tensor("scale"), codes, axis)


def _affine_weight(a: Arguments) -> Tensor:
    codes, axis = a.tensor("quantized_data").float(), a.int_("axis")
    return (codes - _along(a.tensor("zero_point"), codes, axis)) * _along(a.tensor("scale"), codes, axis)


def _blockwise_weight(a: Arguments) -> Tensor:
    codes = a.tensor("data").float()
    if "offset" in a:
        codes = codes - _blown_up(a.tensor("offset"), codes)
    return codes * _blown_up(a.tensor("scale"), codes)


def _along(parameter: Tensor, like: Tensor, axis: int) -> Tensor:
    parameter = parameter.float()
    if parameter.ndim == 0:
        return parameter
    return parameter.reshape([-1 if index == axis % like.ndim else 1 for index in range(like.ndim)])


def _blown_up(parameter: Tensor, like: Tensor) -> Tensor:
    """Repeat each number of a blockwise parameter along its block."""
    for axis, length in enumerate(like.shape):
        if parameter.shape[axis] not in (1, length):
            parameter = parameter.repeat_interleave(length // parameter.shape[axis], axis)
    return parameter.float()


def _conv(a: Arguments) -> Tensor:
    x, weight = a.tensor(), a.tensor("weight")
    rank = weight.ndim - 2
    strides, dilations = a.ints("strides", [1] * rank), a.ints("dilations", [1] * rank)
    x = _padded(a, x, list(weight.shape[2:]), strides, dilations)
    convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[rank - 1]
    result: Tensor = convolve(x, weight, a.optional("bias"), strides, 0, dilations, a.int_("groups", 1))
    return result


def _conv_transpose(a: Arguments) -> Tensor:
    x, weight = a.tensor(), a.tensor("weight")
    rank = weight.ndim - 2
    strides, dilations = a.ints("strides", [1] * rank), a.ints("dilations", [1] * rank)
    convolve = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)[rank - 1]
    full: Tensor = convolve(x, weight, a.optional("bias"), strides, 0, 0, a.int_("groups", 1), dilations)
    pads = a.ints("pad", [0] * 2 * rank) if a.text("pad_type", "valid") == "custom" else [0] * 2 * rank
    wanted = a.ints("output_shape")[-rank:] if "output_shape" in a else None
    for axis in range(rank):
        length = wanted[axis] if wanted else full.shape[axis + 2] - pads[2 * axis] - pads[2 * axis + 1]
        full = full.narrow(axis + 2, pads[2 * axis], length)
    return full


def _padded(
    a: Arguments, x: Tensor, kernel: list[int], strides: list[int], dilations: list[int], *, value: float = 0.0
) -> Tensor:
    kind = a.text("pad_type", "valid")
    if kind == "valid":
        return x
    pads = a.ints("pad") if kind == "custom" else _same_pads(kind, list(x.shape[2:]), kernel, strides, dilations)
    order = [pads[2 * axis + side] for axis in reversed(range(len(kernel))) for side in (0, 1)]
    return functional.pad(x, order, value=value)


def _same_pads(kind: str, lengths: list[int], kernel: list[int], strides: list[int], dilations: list[int]) -> list[int]:
    pads = []
    for length, size, stride, dilation in zip(lengths, kernel, strides, dilations, strict=True):
        total = max((-(-length // stride) - 1) * stride + (size - 1) * dilation + 1 - length, 0)
        before = total // 2 if kind == "same" else total - total // 2
        pads += [before, total - before]
    return pads


def _avg_pool(a: Arguments) -> Tensor:
    x, kernel = a.tensor(), a.ints("kernel_sizes")
    strides, ones = a.ints("strides", [1] * len(kernel)), [1] * len(kernel)
    extra = _ceil_padding(a, x, kernel, strides)
    total = _sum_pool(_padded(a, functional.pad(x, extra), kernel, strides, ones), kernel, strides)
    if a.flag("exclude_padding_from_average"):
        ones_like = functional.pad(torch.ones_like(x), extra)
        return total / _sum_pool(_padded(a, ones_like, kernel, strides, ones), kernel, strides)
    return total / torch.tensor(kernel).prod()


def _sum_pool(x: Tensor, kernel: list[int], strides: list[int]) -> Tensor:
    pool = (functional.avg_pool1d, functional.avg_pool2d)[len(kernel) - 1]
    summed: Tensor = pool(x, kernel, strides) * torch.tensor(kernel).prod()
    return summed


def _max_pool(a: Arguments) -> Tensor:
    x, kernel = a.tensor(), a.ints("kernel_sizes")
    strides = a.ints("strides", [1] * len(kernel))
    lowest = float("-inf")
    x = functional.pad(x, _ceil_padding(a, x, kernel, strides), value=lowest)
    x = _padded(a, x, kernel, strides, [1] * len(kernel), value=lowest)
    pool = (functional.max_pool1d, functional.max_pool2d)[len(kernel) - 1]
    result: Tensor = pool(x, kernel, strides)
    return result


def _ceil_padding(a: Arguments, x: Tensor, kernel: list[int], strides: list[int]) -> list[int]:
    """Return what has to be added at the ends so that the last, incomplete window counts."""
    if not a.flag("ceil_mode"):
        return [0, 0] * len(kernel)
    pads = a.ints("pad", [0] * 2 * len(kernel))
    extra = []
    for axis in reversed(range(len(kernel))):
        length = x.shape[axis + 2] + pads[2 * axis] + pads[2 * axis + 1] - kernel[axis]
        extra += [0, -length % strides[axis]]
    return extra


def _linear(a: Arguments) -> Tensor:
    return functional.linear(a.tensor(), a.tensor("weight"), a.optional("bias"))


def _matmul(a: Arguments) -> Tensor:
    x, y = a.tensor(), a.tensor("y")
    x = x.transpose(-1, -2) if a.flag("transpose_x") else x
    return x @ (y.transpose(-1, -2) if a.flag("transpose_y") else y)


def _layer_norm(a: Arguments) -> Tensor:
    x, epsilon = a.tensor(), a.number("epsilon", 1e-5)
    axes = [axis % x.ndim for axis in a.ints("axes", range(x.ndim))]
    gamma, beta = a.optional("gamma"), a.optional("beta")
    if axes == list(range(axes[0], x.ndim)):  # as torch adds up: a last bit can change a code
        return functional.layer_norm(x, x.shape[axes[0] :], gamma, beta, epsilon)
    mean, variance = x.mean(axes, keepdim=True), x.var(axes, unbiased=False, keepdim=True)
    y = (x - mean) / torch.sqrt(variance + epsilon)
    shape = [size if axis in axes else 1 for axis, size in enumerate(x.shape)]
    for parameter, combine in ((gamma, torch.mul), (beta, torch.add)):
        if parameter is not None:
            y = combine(y, parameter.reshape(shape))
    return y


def _batch_norm(a: Arguments) -> Tensor:
    mean, variance = a.tensor("mean"), a.tensor("variance")
    return functional.batch_norm(
        a.tensor(), mean, variance, a.optional("gamma"), a.optional("beta"), eps=a.number("epsilon", 1e-5)
    )


def _instance_norm(a: Arguments) -> Tensor:
    return functional.instance_norm(
        a.tensor(), weight=a.optional("gamma"), bias=a.optional("beta"), eps=a.number("epsilon", 1e-5)
    )


def _attention(a: Arguments) -> Tensor:
    query, key, value = (a.tensor(name) for name in ("query", "key", "value"))
    return functional.scaled_dot_product_attention(query, key, value, a.optional("attn_mask"))


def _gather(a: Arguments) -> Tensor:
    x, indices, axis = a.tensor(), a.tensor("indices").long(), a.int_("axis")
    axis %= x.ndim
    indices = torch.where(indices < 0, indices + x.shape[axis], indices)
    picked = torch.index_select(x, axis, indices.reshape(-1))
    return picked.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def _slice(a: Arguments) -> Tensor:
    x = a.tensor()
    begin, end = a.ints("begin"), a.ints("end")
    steps = a.ints("stride", [1] * x.ndim)
    open_begin, open_end, single = (a.ints(name, [0] * x.ndim) for name in ("begin_mask", "end_mask", "squeeze_mask"))
    for axis in reversed(range(x.ndim)):
        if single[axis]:
            x = x.select(axis, begin[axis])
            continue
        start, stop = (None if open_begin[axis] else begin[axis]), (None if open_end[axis] else end[axis])
        chosen = range(x.shape[axis])[start : stop : steps[axis]]
        x = x.index_select(axis, torch.tensor(list(chosen)))
    return x


def _split(a: Arguments) -> list[Tensor]:
    x, axis = a.tensor(), a.int_("axis")
    if "split_sizes" in a:
        return list(torch.split(x, a.ints("split_sizes"), axis))
    return list(torch.chunk(x, a.int_("num_splits"), axis))


def _pad(a: Arguments) -> Tensor:
    x, pads = a.tensor(), a.ints("pad")
    order = [pads[index + side] for index in reversed(range(0, len(pads), 2)) for side in (0, 1)]
    mode = {"constant": "constant", "reflect": "reflect", "replicate": "replicate"}[a.text("mode", "constant")]
    value = a.number("constant_val", 0.0) if mode == "constant" else None
    while mode != "constant" and len(order) > 2 * (x.ndim - 2):
        order = order[:-2]  # torch wants no entry for batch and channels
    return functional.pad(x, order, mode, value)


def _upsample_bilinear(a: Arguments) -> Tensor:
    corners = a.flag("align_corners")
    return functional.interpolate(a.tensor(), size=_scaled(a), mode="bilinear", align_corners=corners)


def _upsample_nearest(a: Arguments) -> Tensor:
    return functional.interpolate(a.tensor(), size=_scaled(a), mode="nearest")


def _scaled(a: Arguments) -> list[int]:
    factors = a.number("scale_factor_height", 1.0), a.number("scale_factor_width", 1.0)
    return [round(length * factor) for length, factor in zip(a.tensor().shape[2:], factors, strict=True)]


def _squeeze(a: Arguments) -> Tensor:
    return a.tensor().squeeze(a.ints("axes")) if "axes" in a else a.tensor().squeeze()


def _expand_dims(a: Arguments) -> Tensor:
    x, axes = a.tensor(), a.ints("axes")
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _tile(a: Arguments) -> Tensor:
    return a.tensor().repeat(a.ints("reps"))


def _clip(a: Arguments) -> Tensor:
    return a.tensor().clamp(a.number("alpha", float("-inf")), a.number("beta", float("inf")))


def _hard_sigmoid(a: Arguments) -> Tensor:
    return (a.tensor() * a.number("alpha", 0.2) + a.number("beta", 0.5)).clamp(0.0, 1.0)


def _thresholded_relu(a: Arguments) -> Tensor:
    x = a.tensor()
    return torch.where(x >= a.number("alpha", 1.0), x, 0.0)


def _cumsum(a: Arguments) -> Tensor:
    x, axis = a.tensor(), a.int_("axis")
    if a.flag("reverse"):
        x = x.flip(axis)
    total = x.cumsum(axis)
    total = total - x if a.flag("exclusive") else total
    return total.flip(axis) if a.flag("reverse") else total


def _topk(a: Arguments) -> list[Tensor]:
    """Return the largest (or smallest) values along an axis, sorted, and their places."""
    values, indices = a.tensor().topk(a.int_("k", 1), a.int_("axis", -1), largest=not a.flag("ascending"))
    return [values, indices]


def _reduce_argmax(a: Arguments) -> Tensor:
    return a.tensor().argmax(a.int_("axis", -1), keepdim=a.flag("keep_dims"))


def _classify(a: Arguments) -> list[object]:
    """Return the label of each sample, and the probabilities that the dictionary is made from."""
    probabilities = a.tensor("probabilities")
    return [probabilities.argmax(-1), probabilities]


def _each(function: Callable[[Tensor], Tensor]) -> Callable[[Arguments], Tensor]:
    return lambda a: function(a.tensor())


def _both(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Arguments], Tensor]:
    return lambda a: function(a.tensor("x"), a.tensor("y"))


def _reduced(function: Callable[..., Tensor]) -> Callable[[Arguments], Tensor]:
    def reduce(a: Arguments) -> Tensor:
        x = a.tensor()
        return function(x, a.ints("axes", range(x.ndim)), keepdim=a.flag("keep_dims"))

    return reduce


OPERATIONS: Mapping[str, Callable[[Arguments], object]] = {
    "quantize": _quantize,
    "dequantize": _dequantize,
    "constexpr_affine_dequantize": _affine_weight,
    "constexpr_blockwise_shift_scale": _blockwise_weight,
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "linear": _linear,
    "matmul": _matmul,
    "avg_pool": _avg_pool,
    "max_pool": _max_pool,
    "layer_norm": _layer_norm,
    "batch_norm": _batch_norm,
    "instance_norm": _instance_norm,
    "scaled_dot_product_attention": _attention,
    "gather": _gather,
    "slice_by_index": _slice,
    "split": _split,
    "pad": _pad,
    "upsample_bilinear": _upsample_bilinear,
    "upsample_nearest_neighbor": _upsample_nearest,
    "squeeze": _squeeze,
    "expand_dims": _expand_dims,
    "tile": _tile,
    "clip": _clip,
    "sigmoid_hard": _hard_sigmoid,
    "classify": _classify,
    "reshape": lambda a: a.tensor().reshape(a.ints("shape")),
    "transpose": lambda a: a.tensor().permute(a.ints("perm")),
    "concat": lambda a: torch.cat(a.tensors("values"), a.int_("axis")),
    "pixel_shuffle": lambda a: functional.pixel_shuffle(a.tensor(), a.int_("upscale_factor")),
    "stack": lambda a: torch.stack(a.tensors("values"), a.int_("axis")),
    "cast": lambda a: a.tensor().to(CAST[a.text("dtype")]),
    "select": lambda a: torch.where(a.tensor("cond").bool(), a.tensor("a"), a.tensor("b")),
    "gelu": lambda a: functional.gelu(a.tensor(), approximate=GELU[a.text("mode", "EXACT")]),
    "softmax": lambda a: torch.softmax(a.tensor(), a.int_("axis", -1)),
    "leaky_relu": lambda a: functional.leaky_relu(a.tensor(), a.number("alpha", 0.01)),
    "elu": lambda a: functional.elu(a.tensor(), a.number("alpha", 1.0)),
    "thresholded_relu": _thresholded_relu,
    "log": lambda a: torch.log(a.tensor() + a.number("epsilon", 1e-45)),
    "inverse": lambda a: 1 / (a.tensor() + a.number("epsilon", 1e-4)),
    "cumsum": _cumsum,
    "reverse": lambda a: a.tensor().flip(a.ints("axes", range(a.tensor().ndim))),
    "topk": _topk,
    "reduce_argmax": _reduce_argmax,
    "identity": _each(lambda x: x),
    "relu": _each(torch.relu),
    "relu6": _each(lambda x: x.clamp(0.0, 6.0)),
    "sigmoid": _each(torch.sigmoid),
    "silu": _each(functional.silu),
    "softplus": _each(functional.softplus),
    "softsign": _each(functional.softsign),
    "tanh": _each(torch.tanh),
    "erf": _each(torch.erf),
    "exp": _each(torch.exp),
    "abs": _each(torch.abs),
    "sqrt": _each(torch.sqrt),
    "square": _each(torch.square),
    "floor": _each(torch.floor),
    "ceil": _each(torch.ceil),
    "round": _each(torch.round),
    "sign": _each(torch.sign),
    "sin": _each(torch.sin),
    "cos": _each(torch.cos),
    "logical_not": _each(lambda x: ~x.bool()),
    "rsqrt": lambda a: torch.rsqrt(a.tensor() + a.number("epsilon", 1e-12)),
    "add": _both(torch.add),
    "sub": _both(torch.sub),
    "mul": _both(torch.mul),
    "real_div": _both(torch.div),
    "pow": _both(torch.pow),
    "maximum": _both(torch.maximum),
    "minimum": _both(torch.minimum),
    "greater_equal": _both(torch.ge),
    "greater": _both(torch.gt),
    "less": _both(torch.lt),
    "less_equal": _both(torch.le),
    "equal": _both(torch.eq),
    "not_equal": _both(torch.ne),
    "reduce_mean": _reduced(torch.mean),
    "reduce_sum": _reduced(torch.sum),
    "reduce_max": _reduced(torch.amax),
    "reduce_min": _reduced(torch.amin),
    "reduce_l1_norm": _reduced(lambda x, axes, keepdim: torch.linalg.vector_norm(x, 1, axes, keepdim)),
    "reduce_l2_norm": _reduced(lambda x, axes, keepdim: torch.linalg.vector_norm(x, 2, axes, keepdim)),
    "reduce_sum_square": _reduced(lambda x, axes, keepdim: x.square().sum(axes, keepdim)),
    "reduce_log_sum_exp": _reduced(torch.logsumexp),
}
