"""What flows between the operators of the twin: codes, and results that are not rounded to codes yet."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from edgedistill.quantize.operators import along_axis


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
    axis: int = 1

    @property
    def per_tensor(self) -> bool:
        """Whether one scale holds for every value, so that codes may be moved."""
        return self.scale.ndim == 0

    @cached_property
    def shifted(self) -> Tensor:
        """`codes - zero_point`, float32: exact for 8-bit codes, and for int32 ones below 2^24."""
        codes = self.codes.to(torch.float32)
        if not self.zero_point.any():
            return codes
        return codes - along_axis(self.zero_point, self.codes, self.axis).to(torch.float32)

    def real(self) -> Tensor:
        """Return the values the codes stand for, float32, as DequantizeLinear gives them."""
        return self.shifted * along_axis(self.scale, self.codes, self.axis)

    @cached_property
    def largest(self) -> int:
        """Largest magnitude that `codes - zero_point` can have, whatever the codes."""
        limits = torch.iinfo(self.codes.dtype)
        zero_points = self.zero_point.to(torch.int64)
        return int(torch.maximum(limits.max - zero_points, zero_points - limits.min).max())


class Result(ABC):
    """The result of an operator before it is rounded to codes."""

    @abstractmethod
    def quantized(self, scale: Tensor, zero_point: Tensor) -> Tensor:
        """Return the codes that the runtime's kernel gives, of the zero point's type.

        Args:
            scale: (), float32.
            zero_point: (), an integer type.
        """

    @abstractmethod
    def real(self) -> Tensor:
        """Return the value in float32, as the runtime gives it where no codes are asked for."""


Value = Tensor | Codes | Result


def real_of(value: object) -> object:
    """Return the float32 tensor that a value stands for; what is no value of the twin is returned as it is."""
    return value.real() if isinstance(value, Codes | Result) else value


def saturated(rounded: Tensor, zero_point: Tensor) -> Tensor:
    """Return `clamp(rounded + zero_point)` as codes of the zero point's type.

    Args:
        rounded: any shape, floating point holding integers; may be changed.
        zero_point: (), an integer type.
    """
    limits = torch.iinfo(zero_point.dtype)
    return rounded.add_(int(zero_point)).clamp_(limits.min, limits.max).to(zero_point.dtype)
