"""Sums of products of codes without any rounding, at the speed of float32.

Every integer up to 2^24 has a float32 of its own, so a float32 sum is exact, in whatever order it is added up, when no
partial sum can go beyond. Where one could, the summed dimension is cut into pieces that are exact by themselves, and
the pieces are added in float64: the same number of multiplications, some more additions.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edgedistill.quantize.twin.values import Codes

EXACT_FLOAT32 = 2**24


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Keep torch from computing float32 products with fewer bits, or by transforms that round.

    `set_float32_matmul_precision` may have allowed bfloat16, and NNPACK convolves by Winograd and Fourier transforms.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.nnpack.flags(enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def convolution(
    inputs: Codes, weight: Codes, bias: Tensor | None, convolve: Callable[[Tensor, Tensor], Tensor], *, groups: int
) -> Tensor:
    """Return the sums of products of a convolution and its biases, float32 or float64, every one an exact integer.

    Args:
        inputs: (batch, channels, ...), per-tensor.
        weight: (output channels, channels / groups, ...).
        bias: (output channels,), int32, or None.
        convolve: the convolution without bias, of two float tensors; padding stands for the value 0.
        groups: of the convolution.
    """
    magnitudes = weight.shifted.abs().flatten(2).sum(2)
    pieces = _pieces(magnitudes, inputs.largest)
    if len(pieces) == 1:
        total = convolve(inputs.shifted, weight.shifted)
    elif groups > 1:  # a piece would have to be cut out of every group
        total = convolve(inputs.shifted.to(torch.float64), weight.shifted.to(torch.float64))
    else:
        total = _added(convolve(inputs.shifted[:, piece], weight.shifted[:, piece]) for piece in pieces)
    column = None if bias is None else bias.view([-1] + [1] * (total.ndim - 2))
    return _with_bias(total, column, float(magnitudes.sum(1).amax()) * inputs.largest)


def linear(inputs: Codes, weight: Codes, bias: Tensor | None) -> Tensor:
    """Return the sums of products of a linear layer and its biases, float32 or float64, every one an exact integer.

    Args:
        inputs: (..., features), per-tensor.
        weight: (output features, features).
        bias: (output features,), int32, or None.
    """
    magnitudes = weight.shifted.abs()
    pieces = _pieces(magnitudes, inputs.largest)
    total = _added(functional.linear(inputs.shifted[..., piece], weight.shifted[:, piece]) for piece in pieces)
    return _with_bias(total, bias, float(magnitudes.sum(1).amax()) * inputs.largest)


def product(first: Codes, second: Codes) -> Tensor:
    """Return the matrix product of shifted codes, float32 or float64, every element an exact integer.

    Args:
        first: (..., rows, inner), per-tensor.
        second: (..., inner, columns).
    """
    inner = first.codes.shape[-1]
    length = max(1, (EXACT_FLOAT32 - 1) // (first.largest * second.largest))
    return _added(
        first.shifted[..., start : start + length] @ second.shifted[..., start : start + length, :]
        for start in range(0, inner, length)
    )


def _with_bias(total: Tensor, bias: Tensor | None, largest: float) -> Tensor:
    """Add int32 biases that broadcast; `largest` bounds the magnitude of a sum."""
    if bias is None:
        return total
    if largest + int(bias.abs().amax()) < EXACT_FLOAT32:
        return total.add_(bias.to(total.dtype))
    return total.to(torch.float64).add_(bias.to(torch.float64))


def _pieces(magnitudes: Tensor, largest: int) -> list[slice]:
    """Cut the summed dimension so that no partial sum of a piece reaches 2^24.

    Args:
        magnitudes: (outputs, summed), sums of absolute weights.
        largest: magnitude of an input.
    """
    limit = (EXACT_FLOAT32 - 1) // largest
    running = functional.pad(magnitudes.to(torch.float64).cumsum(1), (1, 0))
    length, starts = magnitudes.shape[1], [0]
    while True:
        reached = (running - running[:, starts[-1] : starts[-1] + 1]).amax(0)  # up to each end; grows
        end = max(starts[-1] + 1, int((reached <= limit).sum()) - 1)
        if end >= length:
            return [slice(start, stop) for start, stop in zip(starts, [*starts[1:], length], strict=True)]
        starts.append(end)


def _added(parts: Iterator[Tensor]) -> Tensor:
    total = next(parts)
    for part in parts:
        total = total.to(torch.float64).add_(part)
    return total
