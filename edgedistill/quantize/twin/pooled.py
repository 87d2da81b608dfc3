"""Averages: over a whole image, over a window of it, over any axes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch.nn import functional

from edgedistill.quantize.operators import QUANTIZE
from edgedistill.quantize.twin.values import Codes, Result, saturated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import fx

IMAGE_RANKS = (3, 4, 5)  # batch, channels, and one to three axes of an image


@dataclass(frozen=True)
class Average(Result):
    """The mean of codes over an image.

    Args:
        total: sum of `codes - zero_point`, float64 holding integers.
        count: elements summed.
        input_scale: (), float32.
    """

    total: Tensor
    count: int
    input_scale: Tensor

    def quantized(self, scale: Tensor, zero_point: Tensor) -> Tensor:
        """Source: MlasQLinearGlobalAveragePool; the multiplier is `input scale / (output scale * count)` in float32."""
        multiplier = self.input_scale / (scale * torch.tensor(float(self.count)))
        return saturated((self.total.to(torch.float32) * multiplier).round_(), zero_point)

    def real(self) -> Tensor:
        """Return the float32 mean."""
        return self.total.to(torch.float32) * self.input_scale / self.count


@dataclass(frozen=True)
class Mean(Result):
    """The mean over axes that no integer kernel averages over: the runtime computes it in float32.

    Args:
        total: sum of `codes - zero_point`, float64 holding integers.
        count: elements summed.
        input_scale: (), float32.
    """

    total: Tensor
    count: int
    input_scale: Tensor

    def quantized(self, scale: Tensor, zero_point: Tensor) -> Tensor:
        """Round the mean to the nearest code, as QuantizeLinear does."""
        return cast("Tensor", QUANTIZE(self.real(), scale, zero_point, 1))

    def real(self) -> Tensor:
        """Return the exact mean, rounded once to float32; the runtime adds float32 values in an order of its own."""
        return (self.total * self.input_scale.to(torch.float64) / self.count).to(torch.float32)


@dataclass(frozen=True)
class WindowAverage(Result):
    """The mean of dequantized values over a sliding window.

    Args:
        values: the means, float32.
    """

    values: Tensor

    def quantized(self, scale: Tensor, zero_point: Tensor) -> Tensor:
        """Source: QLinearAveragePool: the zero point is added before rounding."""
        limits = torch.iinfo(zero_point.dtype)
        codes = (self.values / scale).add_(float(zero_point)).round_()
        return codes.clamp_(limits.min, limits.max).to(zero_point.dtype)

    def real(self) -> Tensor:
        """Return the float32 means."""
        return self.values


def adaptive_average(_: fx.Node, arguments: Sequence[object]) -> Average | None:
    """Follow QLinearGlobalAveragePool where the output has one value for each channel."""
    value, size = arguments[:2]
    sizes = cast("Sequence[int]", size if isinstance(size, list | tuple) else [size])
    if not isinstance(value, Codes) or not value.per_tensor or any(length != 1 for length in sizes):
        return None
    return Average(*_summed(value, range(-len(sizes), 0), keep=True))


def mean(_: fx.Node, arguments: Sequence[object]) -> Result | None:
    """Follow QLinearGlobalAveragePool for the mean over an image, ReduceMean for any other."""
    value, axes, *rest = arguments
    if not isinstance(value, Codes) or not value.per_tensor or not axes:
        return None
    rank = value.codes.ndim
    wanted = sorted(axis % rank for axis in cast("Sequence[int]", axes))
    summed = _summed(value, wanted, keep=bool(rest and rest[0]))
    whole_image = rank in IMAGE_RANKS and wanted == list(range(2, rank))
    return Average(*summed) if whole_image else Mean(*summed)


def window_average(_: fx.Node, arguments: Sequence[object]) -> WindowAverage | None:
    """Follow QLinearAveragePool; a divisor of the user's own is left to float."""
    value, kernel, *rest = arguments
    options = [*rest, *((), 0, False, True, None)[len(rest) :]]
    stride, padding, ceil_mode, count_padding, divisor = options
    if not isinstance(value, Codes) or not value.per_tensor or divisor is not None or ceil_mode:
        return None
    sizes = list(cast("Sequence[int]", kernel))
    strides = list(cast("Sequence[int]", stride)) or sizes
    pads = list(padding) if isinstance(padding, list | tuple) else [cast("int", padding)]
    pads, sizes, strides = ([*items] * (len(sizes) // len(items)) for items in (pads, sizes, strides))
    total = _window_sums(value.real(), sizes, strides, pads)
    counts: Tensor | float = float(torch.tensor(sizes).prod())
    if not count_padding:
        counts = _window_sums(torch.ones(value.codes.shape[2:])[None, None], sizes, strides, pads)
    return WindowAverage(total / counts)


def _summed(value: Codes, axes: Sequence[int] | range, *, keep: bool) -> tuple[Tensor, int, Tensor]:
    count = 1
    for axis in axes:
        count *= value.codes.shape[axis]
    total = value.codes.sum(tuple(axes), keepdim=keep, dtype=torch.int64) - count * int(value.zero_point)
    return total.to(torch.float64), count, value.scale


def _window_sums(values: Tensor, sizes: Sequence[int], strides: Sequence[int], pads: Sequence[int]) -> Tensor:
    """Return sums over windows, added one by one in the order of the kernel: last axis fastest."""
    axes = range(2, values.ndim)
    around = [length for pad in reversed(pads) for length in (pad, pad)]
    padded = functional.pad(values, around)
    lengths = [
        (values.shape[axis] + 2 * pad - size) // stride + 1
        for axis, pad, size, stride in zip(axes, pads, sizes, strides, strict=True)
    ]
    total = torch.zeros(*values.shape[:2], *lengths)
    for offsets in product(*(range(size) for size in sizes)):
        window = padded
        for axis, offset, stride, length in zip(axes, offsets, strides, lengths, strict=True):
            window = window.narrow(axis, offset, (length - 1) * stride + 1)
            window = window[(slice(None),) * axis + (slice(None, None, stride),)]
        total.add_(window)
    return total
