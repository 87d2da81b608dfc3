"""Two quantized tensors, one result for each pair of codes: sums and products of elements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from edgedistill.quantize.twin.values import Codes, Result, saturated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import fx


@dataclass(frozen=True)
class Addition(Result):
    """The sum of two quantized tensors, whose shapes broadcast."""

    first: Codes
    second: Codes

    def quantized(self, scale: Tensor, zero_point: Tensor) -> Tensor:
        """Round the exact sum: float64 holds codes times scales, and `ties.avoid_ties` has left no tie to decide.

        MlasQLinearAdd computes it in float32 on x86-64 and in 22-bit integers on ARM; without ties all three agree.
        """
        first, second = (part.shifted * part.scale.to(torch.float64) for part in (self.first, self.second))
        return saturated(((first + second) / scale.to(torch.float64)).round_(), zero_point)

    def real(self) -> Tensor:
        """Return the float32 sum."""
        return self.first.real() + self.second.real()


@dataclass(frozen=True)
class Product(Result):
    """The product, element by element, of two quantized tensors, whose shapes broadcast."""

    first: Codes
    second: Codes

    def quantized(self, scale: Tensor, zero_point: Tensor) -> Tensor:
        """Source: MlasQLinearMul: exact product, one float32 multiplication, then the zero point, then rounding.

        Both architectures do the same; neither fuses the multiplication and the addition.
        """
        ratio = self.first.scale * self.second.scale / scale
        value = (self.first.shifted * self.second.shifted) * ratio
        limits = torch.iinfo(zero_point.dtype)
        return value.add_(float(zero_point)).round_().clamp_(limits.min, limits.max).to(zero_point.dtype)

    def real(self) -> Tensor:
        """Return the float32 product."""
        return self.first.real() * self.second.real()


def addition(node: fx.Node, arguments: Sequence[object]) -> Addition | None:
    """Follow QLinearAdd; a scaled addition is left to float."""
    first, second = arguments[:2]
    if _per_tensor(first, second) and node.kwargs.get("alpha", 1) == 1:
        return Addition(first, second)  # type: ignore[arg-type] # checked above
    return None


def product(_: fx.Node, arguments: Sequence[object]) -> Product | None:
    """Follow QLinearMul."""
    first, second = arguments[:2]
    return Product(first, second) if _per_tensor(first, second) else None  # type: ignore[arg-type] # as above


def _per_tensor(*values: object) -> bool:
    return all(isinstance(value, Codes) and value.per_tensor for value in values)
