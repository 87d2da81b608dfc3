"""The integer twin: computes a quantized program with exact integers and the runtime's own requantization rules.

The rules are those of ONNX Runtime's CPU kernels (MLAS), which are the same on x86-64 and aarch64: an int32 sum, one
float32 multiplication, round half to even, saturate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, cast

import torch
from torch import Tensor, fx
from torch.nn import functional

from edgedistill.quantize.operators import DEQUANTIZE, QUANTIZE, along_axis
from edgedistill.quantize.patterns import ATEN, Role, ceiling_of, role_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EXACT_FLOAT32 = 2**24  # every integer below has a float32 of its own
LARGEST_INPUT = 255  # of an 8-bit code minus its zero point


@dataclass(frozen=True)
class Codes:
    """A dequantized tensor that still knows its integers.

    Args:
        codes: any shape, an integer type.
        scale: () or (channels,), float32.
        zero_point: as `scale`.
        axis: the channel axis of a per-channel scale.
    """

    codes: Tensor
    scale: Tensor
    zero_point: Tensor
    axis: int

    def shifted(self) -> Tensor:
        """Return `codes - zero_point`, int32."""
        zero_point = along_axis(self.zero_point, self.codes, self.axis).to(torch.int32)
        return self.codes.to(torch.int32) - zero_point

    def real(self) -> Tensor:
        """Return the values the codes stand for, float32."""
        return self.shifted().to(torch.float32) * along_axis(self.scale, self.codes, self.axis)


class Sum(Protocol):
    """The result of an integer operator before it is rounded to codes."""

    def rounded(self, scale: Tensor) -> Tensor:
        """Return the value in units of `scale`, rounded half to even, float32, without zero point and limits."""

    def real(self) -> Tensor:
        """Return the value in float32, as the runtime gives it where no codes are asked for."""


@dataclass(frozen=True)
class Accumulator:
    """An int32 sum of products, and the scale of one unit of it.

    Args:
        total: (batch, channels, ...), float64 holding integers.
        input_scale: (), float32.
        weight_scale: () or (channels,), float32.
    """

    total: Tensor
    input_scale: Tensor
    weight_scale: Tensor

    def rounded(self, scale: Tensor) -> Tensor:
        """Source: MlasRequantizeOutput; the multiplier is `input scale * weight scale / output scale` in float32."""
        multiplier = along_axis(self.input_scale * self.weight_scale / scale, self.total, 1)
        return torch.round(self.total.to(torch.float32) * multiplier)

    def real(self) -> Tensor:
        """Source: QGemm without output scale: one float32 multiplication."""
        return self.total.to(torch.float32) * along_axis(self.input_scale * self.weight_scale, self.total, 1)


@dataclass(frozen=True)
class Addition:
    """The sum of two quantized tensors."""

    first: Codes
    second: Codes

    def rounded(self, scale: Tensor) -> Tensor:
        """Round the exact sum: float64 holds codes times scales, and `ties.avoid_ties` has left no tie to decide.

        MlasQLinearAdd computes it in float32 on x86-64 and in 22-bit integers on ARM; without ties all three agree.
        """
        return torch.round(self._exact() / scale.to(torch.float64)).to(torch.float32)

    def real(self) -> Tensor:
        """Return the float32 sum."""
        return self.first.real() + self.second.real()

    def _exact(self) -> Tensor:
        return sum(  # type: ignore[return-value] # of two tensors
            part.shifted().to(torch.float64) * part.scale.to(torch.float64) for part in (self.first, self.second)
        )


@dataclass(frozen=True)
class Average:
    """The mean of codes over an image.

    Args:
        total: sum of `codes - zero_point`, int32.
        count: elements summed.
        input_scale: (), float32.
    """

    total: Tensor
    count: int
    input_scale: Tensor

    def rounded(self, scale: Tensor) -> Tensor:
        """Source: MlasQLinearGlobalAveragePool: the multiplier is `input scale / (output scale * count)`."""
        multiplier = self.input_scale / (scale * torch.tensor(float(self.count)))
        return torch.round(self.total.to(torch.float32) * multiplier)

    def real(self) -> Tensor:
        """Return the float32 mean."""
        return self.total.to(torch.float32) * self.input_scale / self.count


@dataclass(frozen=True)
class Clamped:
    """An integer result with an absorbed ReLU or clamp."""

    inner: Sum
    ceiling: float | None

    def rounded(self, scale: Tensor) -> Tensor:
        """Clamp after rounding: both are monotone, so the order does not matter."""
        highest = None if self.ceiling is None else float(torch.round(torch.tensor(self.ceiling) / scale))
        return self.inner.rounded(scale).clamp(0.0, highest)

    def real(self) -> Tensor:
        """Return the clamped float32 value."""
        return self.inner.real().clamp(0.0, self.ceiling)


Value = Tensor | Codes | Sum


class IntegerInterpreter:
    """Runs a program's graph on integers; operators without a rule get float32 values.

    Args:
        graph: the module of a quantized program.
    """

    def __init__(self, graph: fx.GraphModule) -> None:
        self.graph = graph
        self.constants = graph.state_dict()

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the outputs (batch, classes), float32, of inputs (batch, ...), float32."""
        values = self._values(inputs)
        output = next(node for node in self.graph.graph.nodes if node.op == "output")
        return _real(values[output.all_input_nodes[0]])

    def codes(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return the codes of every quantized activation by node name; a codes tensor has the activation's shape."""
        values = self._values(inputs)
        return {node.name: cast("Tensor", value) for node, value in values.items() if node.target is QUANTIZE}

    def _values(self, inputs: Tensor) -> dict[fx.Node, Value]:
        values: dict[fx.Node, Value] = {}
        for node in self.graph.graph.nodes:
            if node.op == "placeholder":
                values[node] = inputs
            elif node.op == "get_attr":
                values[node] = self.constants[str(node.target)]
            elif node.op == "call_function":
                values[node] = _computed(node, values)
        return values


def _computed(node: fx.Node, values: dict[fx.Node, Value]) -> Value:
    rule = RULES.get(node.target)
    if rule is not None:
        result = rule(node, [values[argument] if isinstance(argument, fx.Node) else argument for argument in node.args])
        if result is not None:
            return result
    return _in_float(node, values)


def _in_float(node: fx.Node, values: dict[fx.Node, Value]) -> Tensor:
    arguments = fx.map_arg(node.args, lambda argument: _real(values[argument]))
    return cast("Tensor", node.target(*arguments, **node.kwargs))  # type: ignore[operator] # a call_function's target


def _real(value: Value) -> Tensor:
    return value if isinstance(value, Tensor) else value.real()


def _quantize(_: fx.Node, arguments: Sequence[object]) -> Tensor:
    value, scale, zero_point, axis = arguments
    if isinstance(value, Tensor | Codes):
        return cast("Tensor", QUANTIZE(_real(value), scale, zero_point, axis))
    offset = cast("Tensor", zero_point)
    limits = torch.iinfo(offset.dtype)
    codes = cast("Sum", value).rounded(cast("Tensor", scale)) + offset
    return codes.clamp(limits.min, limits.max).to(offset.dtype)


def _dequantize(_: fx.Node, arguments: Sequence[object]) -> Codes:
    codes, scale, zero_point, axis = arguments
    return Codes(cast("Tensor", codes), cast("Tensor", scale), cast("Tensor", zero_point), cast("int", axis))


def _convolution(_: fx.Node, arguments: Sequence[object]) -> Accumulator | None:
    inputs, weight, *rest = arguments
    bias = rest[0] if rest else None
    if not isinstance(inputs, Codes) or not isinstance(weight, Codes):
        return None
    wide = _exact_type(weight)
    # stride, padding, dilation and groups follow the bias
    total = cast("Tensor", ATEN.conv2d(inputs.shifted().to(wide), weight.shifted().to(wide), None, *rest[1:]))
    return _accumulated(total, inputs, weight, bias)


def _linear(_: fx.Node, arguments: Sequence[object]) -> Accumulator | None:
    inputs, weight, *rest = arguments
    if not isinstance(inputs, Codes) or not isinstance(weight, Codes) or inputs.codes.ndim != 2:  # noqa: PLR2004 - rows of features
        return None
    wide = _exact_type(weight)
    total = functional.linear(inputs.shifted().to(wide), weight.shifted().to(wide))
    return _accumulated(total, inputs, weight, rest[0] if rest else None)


def _accumulated(total: Tensor, inputs: Codes, weight: Codes, bias: object) -> Accumulator | None:
    total = total.to(torch.float64)
    if isinstance(bias, Codes):
        total = total + along_axis(bias.codes.to(torch.float64), total, 1)
    elif bias is not None:
        return None
    return Accumulator(total, inputs.scale, weight.scale)


def _exact_type(weight: Codes) -> torch.dtype:
    """Return float32 where no sum can leave the integers it holds exactly, in whatever order it is added up."""
    largest = int(weight.shifted().abs().flatten(1).sum(1).amax()) * LARGEST_INPUT
    return torch.float32 if largest < EXACT_FLOAT32 else torch.float64


def _add(_: fx.Node, arguments: Sequence[object]) -> Addition | None:
    first, second = arguments[:2]
    if isinstance(first, Codes) and isinstance(second, Codes):
        return Addition(first, second)
    return None


def _clamp(node: fx.Node, arguments: Sequence[object]) -> Clamped | None:
    value = arguments[0]
    if isinstance(value, Tensor | Codes) or role_of(node) is not Role.ACTIVATION:
        return None
    return Clamped(cast("Sum", value), ceiling_of(node))


def _adaptive_average(_: fx.Node, arguments: Sequence[object]) -> Average | None:
    value, size = arguments[:2]
    if not isinstance(value, Codes) or list(cast("Sequence[int]", size)) != [1, 1]:
        return None
    return _averaged(value, axes=(-2, -1), keep=True)


def _mean(_: fx.Node, arguments: Sequence[object]) -> Average | None:
    value, axes, *rest = arguments
    if not isinstance(value, Codes):
        return None
    rank = value.codes.ndim
    wanted = sorted(axis % rank for axis in cast("Sequence[int]", axes))
    if rank != 4 or wanted != [2, 3]:  # noqa: PLR2004 - an image's height and width
        return None
    return _averaged(value, axes=(-2, -1), keep=bool(rest and rest[0]))


def _averaged(value: Codes, *, axes: tuple[int, int], keep: bool) -> Average:
    count = value.codes.shape[-1] * value.codes.shape[-2]
    return Average(value.shifted().sum(axes, keepdim=keep), count, value.scale)


def _moved(node: fx.Node, arguments: Sequence[object]) -> Codes | None:
    """Move codes as the operator moves values; only per-tensor scales stay true then."""
    value = arguments[0]
    if not isinstance(value, Codes) or value.scale.ndim:
        return None
    moved = node.target(value.codes.to(torch.float32), *arguments[1:], **node.kwargs)  # type: ignore[operator] # an aten operator
    return replace(value, codes=moved.to(value.codes.dtype))


RULES: dict[object, Callable[[fx.Node, Sequence[object]], Value | None]] = {
    QUANTIZE: _quantize,
    DEQUANTIZE: _dequantize,
    ATEN.conv2d.default: _convolution,
    ATEN.linear.default: _linear,
    ATEN.add.Tensor: _add,
    ATEN.relu.default: _clamp,
    ATEN.hardtanh.default: _clamp,
    ATEN.adaptive_avg_pool2d.default: _adaptive_average,
    ATEN.mean.dim: _mean,
    ATEN.flatten.using_ints: _moved,
    ATEN.max_pool2d.default: _moved,
}
