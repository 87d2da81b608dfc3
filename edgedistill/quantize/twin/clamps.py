"""Clamps that the operator before them absorbs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from edgedistill.quantize.patterns import Role, ceiling_of, role_of
from edgedistill.quantize.twin.values import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, fx


@dataclass(frozen=True)
class Clamped(Result):
    """A result with an absorbed ReLU or clamp.

    Args:
        inner: the result before it.
        ceiling: its upper limit, if it has one.
    """

    inner: Result
    ceiling: float | None

    def quantized(self, scale: Tensor, zero_point: Tensor) -> Tensor:
        """Clamp after rounding: both are monotone, so the order does not matter."""
        codes = self.inner.quantized(scale, zero_point)
        lowest, limits = int(zero_point), torch.iinfo(zero_point.dtype)
        if self.ceiling is None:
            return codes.clamp(min=lowest) if lowest > limits.min else codes
        highest = lowest + int(torch.round(torch.tensor(self.ceiling) / scale))
        return codes.clamp(lowest, min(highest, limits.max))

    def real(self) -> Tensor:
        """Return the clamped float32 value."""
        return self.inner.real().clamp(0.0, self.ceiling)


def clamped(node: fx.Node, arguments: Sequence[object]) -> Clamped | None:
    """Follow a ReLU or a clamp from 0 behind an operator that has not been rounded yet."""
    value = arguments[0]
    if not isinstance(value, Result) or role_of(node) is not Role.ACTIVATION:
        return None
    return Clamped(value, ceiling_of(node))
