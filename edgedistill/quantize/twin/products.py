"""Sums of products: convolutions, linear layers and matrix products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from edgedistill.quantize.operators import along_axis
from edgedistill.quantize.twin import exact
from edgedistill.quantize.twin.values import Codes, Result, saturated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import fx


@dataclass(frozen=True)
class Accumulator(Result):
    """An int32 sum of products, and the scale of one unit of it.

    Args:
        total: float32 or float64 holding integers.
        first_scale: (), float32, of the activations.
        second_scale: () or (channels,), float32, of the weights or the other activations.
        axis: of `total` along which the second scale runs.
    """

    total: Tensor
    first_scale: Tensor
    second_scale: Tensor
    axis: int

    def quantized(self, scale: Tensor, zero_point: Tensor) -> Tensor:
        """Source: MlasRequantizeOutput; the multiplier is `first scale * second scale / output scale` in float32."""
        multiplier = along_axis(self.first_scale * self.second_scale / scale, self.total, self.axis)
        return saturated((self.total.to(torch.float32) * multiplier).round_(), zero_point)

    def real(self) -> Tensor:
        """Source: QGemm and MatMulIntegerToFloat without output scale: one float32 multiplication."""
        unit = along_axis(self.first_scale * self.second_scale, self.total, self.axis)
        return self.total.to(torch.float32) * unit


def convolution(node: fx.Node, arguments: Sequence[object]) -> Accumulator | None:
    """Follow QLinearConv: stride, padding, dilation and groups come after the bias."""
    inputs, weight = arguments[:2]
    known, bias = _stored_bias(arguments)
    if not (isinstance(inputs, Codes) and isinstance(weight, Codes) and known):
        return None
    convolve, options = cast("Callable[..., Tensor]", node.target), arguments[3:]
    groups = cast("int", options[3]) if len(options) > 3 else 1  # noqa: PLR2004 - stride, padding, dilation, groups
    total = exact.convolution(inputs, weight, bias, lambda x, w: convolve(x, w, None, *options), groups=groups)
    return Accumulator(total, inputs.scale, weight.scale, 1)


def linear(_: fx.Node, arguments: Sequence[object]) -> Accumulator | None:
    """Follow QGemm."""
    inputs, weight = arguments[:2]
    known, bias = _stored_bias(arguments)
    if not (isinstance(inputs, Codes) and isinstance(weight, Codes) and known):
        return None
    total = exact.linear(inputs, weight, bias)
    return Accumulator(total, inputs.scale, weight.scale, total.ndim - 1)


def matrix_product(_: fx.Node, arguments: Sequence[object]) -> Accumulator | None:
    """Follow QLinearMatMul of two activations, or of an activation and a per-tensor weight."""
    first, second = arguments[:2]
    if not (isinstance(first, Codes) and isinstance(second, Codes) and first.per_tensor and second.per_tensor):
        return None
    if min(first.codes.ndim, second.codes.ndim) < 2:  # noqa: PLR2004 - rows and columns
        return None
    total = exact.product(first, second)
    return Accumulator(total, first.scale, second.scale, total.ndim - 1)


def _stored_bias(arguments: Sequence[object]) -> tuple[bool, Tensor | None]:
    """Return whether the bias is absent or an integer one, and its codes."""
    bias = arguments[2] if len(arguments) > 2 else None  # noqa: PLR2004 - input, weight, bias
    if isinstance(bias, Codes):
        return True, bias.codes
    return bias is None, None
