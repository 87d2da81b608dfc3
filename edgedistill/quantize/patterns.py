"""The operators a program may hold, and how each is quantized: one table, in one place."""

from __future__ import annotations

import operator
from enum import Enum, auto
from typing import TYPE_CHECKING

import torch
from torch import Tensor, fx

from edgedistill.quantize.graph import shape_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ATEN = torch.ops.aten


class Role(Enum):
    """How an operator takes part in quantization."""

    WEIGHTED = (
        auto()
    )  # has an int8 weight; a convolution's output is quantized, a linear layer's where integers read it
    PRODUCT = auto()  # of two quantized activations; output as of a linear layer
    JOINED = auto()  # several quantized inputs, one quantized output
    POOLED = auto()  # one quantized input, a quantized output with a scale of its own: averages, tables
    ACTIVATION = auto()  # absorbed by the operator before it, where the output codes begin at 0
    SHARED = auto()  # moves codes only: output has the scale of its (first) input, nothing is requantized
    FLOAT = auto()  # no rule: stays in float


ROLES: Mapping[object, Role] = {
    ATEN.conv1d.default: Role.WEIGHTED,
    ATEN.conv2d.default: Role.WEIGHTED,
    ATEN.linear.default: Role.WEIGHTED,
    ATEN.bmm.default: Role.PRODUCT,
    ATEN.matmul.default: Role.PRODUCT,
    ATEN.add.Tensor: Role.JOINED,
    ATEN.cat.default: Role.JOINED,
    ATEN.mul.Tensor: Role.JOINED,
    ATEN.adaptive_avg_pool1d.default: Role.POOLED,
    ATEN.adaptive_avg_pool2d.default: Role.POOLED,
    ATEN.avg_pool1d.default: Role.POOLED,
    ATEN.avg_pool2d.default: Role.POOLED,
    ATEN.leaky_relu.default: Role.POOLED,
    ATEN.mean.dim: Role.POOLED,
    ATEN.sigmoid.default: Role.POOLED,
    ATEN.relu.default: Role.ACTIVATION,
    ATEN.hardtanh.default: Role.ACTIVATION,
    operator.getitem: Role.SHARED,
    ATEN.chunk.default: Role.SHARED,
    ATEN.embedding.default: Role.SHARED,
    ATEN.expand.default: Role.SHARED,
    ATEN.flatten.using_ints: Role.SHARED,
    ATEN.max_pool1d.default: Role.SHARED,
    ATEN.max_pool2d.default: Role.SHARED,
    ATEN.pad.default: Role.SHARED,
    ATEN.permute.default: Role.SHARED,
    ATEN.pixel_shuffle.default: Role.SHARED,
    ATEN.reshape.default: Role.SHARED,
    ATEN.select.int: Role.SHARED,
    ATEN.slice.Tensor: Role.SHARED,
    ATEN.split.Tensor: Role.SHARED,
    ATEN.split_with_sizes.default: Role.SHARED,
    ATEN.squeeze.dim: Role.SHARED,
    ATEN.squeeze.dims: Role.SHARED,
    ATEN.transpose.int: Role.SHARED,
    ATEN.unflatten.int: Role.SHARED,
    ATEN.unsqueeze.default: Role.SHARED,
    ATEN.upsample_nearest2d.vec: Role.SHARED,
    ATEN.view.default: Role.SHARED,
}

CONVOLUTIONS = frozenset({ATEN.conv1d.default, ATEN.conv2d.default})
# What has a kernel that computes with integers; JOINED and POOLED only where an integer operator reads the result.
QUANTIZED = frozenset({Role.WEIGHTED, Role.PRODUCT, Role.JOINED, Role.POOLED})


def role_of(node: fx.Node) -> Role:
    """Return how a node of a captured graph takes part in quantization."""
    role = ROLES.get(node.target, Role.FLOAT) if node.op == "call_function" else Role.FLOAT
    check = CONDITIONS.get(node.target) if role is not Role.FLOAT else None
    return role if check is None or check(node) else Role.FLOAT


def ceiling_of(node: fx.Node) -> float | None:
    """Return the upper limit of a clamp, None for a ReLU."""
    if node.target is ATEN.hardtanh.default:
        return float(node.args[2])  # type: ignore[arg-type] # checked by role_of
    return None


def operands(node: fx.Node) -> list[fx.Node]:
    """Return the tensors that an operator joins, in order, one that is read twice twice."""
    first = node.args[0]
    listed = first if isinstance(first, list | tuple) else node.args[:2]
    return [item for item in listed if isinstance(item, fx.Node)]


def is_float(node: fx.Node) -> bool:
    """Tell whether a node's value is a tensor of floats; sizes, masks and token ids are not."""
    value = node.meta.get("val")
    return value is None or (isinstance(value, Tensor) and value.dtype.is_floating_point)


def is_constant(node: fx.Node) -> bool:
    """Tell whether a value depends on no input of the model: a parameter, perhaps moved."""
    if node.op != "call_function":
        return node.op == "get_attr"
    if role_of(node) is not Role.SHARED or node.target is ATEN.embedding.default:
        return False
    return is_constant(node.all_input_nodes[0])


def _joins_activations(node: fx.Node) -> bool:
    """Tell whether all operands are float activations, unscaled; constants, scalars and alpha are left to float."""
    found = operands(node)
    wanted = len(node.args[0]) if node.target is ATEN.cat.default else 2  # type: ignore[arg-type] # cat takes a list
    complete = len(found) == wanted and node.kwargs.get("alpha", 1) == 1
    return bool(complete and all(is_float(item) and not is_constant(item) for item in found))


def _clamps_at_zero(node: fx.Node) -> bool:
    low, high = node.args[1:3] if len(node.args) > 2 else (-1.0, 1.0)  # noqa: PLR2004 - input, low, high; torch's defaults
    return isinstance(low, int | float) and low == 0 and isinstance(high, int | float)


def _over_trailing_axes(node: fx.Node) -> bool:
    """Tell whether a mean is over all axes behind batch and channels, as a global average pool."""
    shape, axes = shape_of(node.all_input_nodes[0]), node.args[1]
    if shape is None or not isinstance(axes, list | tuple) or len(shape) not in (3, 4):
        return False
    return sorted(int(axis) % len(shape) for axis in axes) == list(range(2, len(shape)))  # type: ignore[arg-type] # ints


def _pads_with_zeros(node: fx.Node) -> bool:
    mode = node.args[2] if len(node.args) > 2 else node.kwargs.get("mode", "constant")  # noqa: PLR2004 - input, pad, mode, value
    value = node.args[3] if len(node.args) > 3 else node.kwargs.get("value")  # noqa: PLR2004 - as above
    return bool(mode == "constant" and (value is None or value == 0))


def _pools_to_one(node: fx.Node) -> bool:
    size = node.args[1]
    sizes = size if isinstance(size, list | tuple) else [size]
    return all(item == 1 for item in sizes)


def _counts_no_padding(node: fx.Node) -> bool:
    """Tell whether an average pool pads nothing and rounds its size down, as QLinearAveragePool does."""
    padding = node.args[3] if len(node.args) > 3 else 0  # noqa: PLR2004 - input, kernel, stride, padding, ceil mode
    ceil = node.args[4] if len(node.args) > 4 else False  # noqa: PLR2004 - as above
    paddings = padding if isinstance(padding, list | tuple) else [padding]
    return not any(paddings) and not ceil


CONDITIONS: Mapping[object, Callable[[fx.Node], bool]] = {
    ATEN.add.Tensor: _joins_activations,
    ATEN.mul.Tensor: _joins_activations,
    ATEN.cat.default: _joins_activations,
    ATEN.matmul.default: _joins_activations,
    ATEN.bmm.default: _joins_activations,
    ATEN.hardtanh.default: _clamps_at_zero,
    ATEN.mean.dim: _over_trailing_axes,
    ATEN.pad.default: _pads_with_zeros,
    ATEN.adaptive_avg_pool1d.default: _pools_to_one,
    ATEN.adaptive_avg_pool2d.default: _pools_to_one,
    ATEN.avg_pool1d.default: _counts_no_padding,
    ATEN.avg_pool2d.default: _counts_no_padding,
}
