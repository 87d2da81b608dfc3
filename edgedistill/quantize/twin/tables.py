"""Functions of one code: a table with one value for each of the 256 codes, and softmax, which sums such values."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, fx

from edgedistill.quantize.operators import QUANTIZE
from edgedistill.quantize.twin.values import Codes, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FLOAT32_MAX = torch.finfo(torch.float32).max
RESERVED = 5.0  # of the exponent, so that a sum of exponentials stays finite


@dataclass(frozen=True)
class Table(Result):
    """A float function of one quantized tensor, element by element.

    What the runtime computes for a code does not depend on where the code stands, so 256 values say everything: the
    integer kernels of Sigmoid and LeakyRelu look codes up in such a table, and so may the twin where the runtime
    computes every element in float. `ties.avoid_ties` keeps each value so far from the middle between two codes that
    the last bits of one or another implementation of the function do not matter.

    Args:
        source: the argument.
        values: the function at each code, lowest code first, (256,), float32.
    """

    source: Codes
    values: Tensor

    def quantized(self, scale: Tensor, zero_point: Tensor) -> Tensor:
        """Source: QlinearBuildLookupTable: dequantize, apply, quantize, for each code once."""
        return self._looked_up(cast("Tensor", QUANTIZE(self.values, scale, zero_point, 0)))

    def real(self) -> Tensor:
        """Return the float32 values."""
        return self._looked_up(self.values)

    def _looked_up(self, table: Tensor) -> Tensor:
        lowest = torch.iinfo(self.source.codes.dtype).min
        return table[self.source.codes.to(torch.int32) - lowest]


@dataclass(frozen=True)
class Softmax(Result):
    """Softmax of a quantized tensor.

    Args:
        source: the argument, per-tensor.
        axis: along which the results add up to 1.
    """

    source: Codes
    axis: int

    def quantized(self, scale: Tensor, zero_point: Tensor) -> Tensor:
        """Source: QLinearSoftmax: a table of exponentials, a float32 sum in order, one multiplication, one division.

        The kernel takes the whole part of `1 / scale`, so only the scale 1/256 of codes from 0 gives what was meant.
        """
        codes = self.source.codes.transpose(self.axis, -1).to(torch.int32)
        largest = codes.amax(-1, keepdim=True)
        exponentials = self._exponentials(codes.shape[-1])[codes - largest + 255]
        total = torch.zeros(codes.shape[:-1])
        for column in exponentials.unbind(-1):
            total.add_(column)  # one after the other: another order may give another last bit
        whole = torch.floor(torch.tensor(1.0) / scale)
        rounded = (exponentials * whole / total.unsqueeze(-1)).round_().add_(int(zero_point))
        limits = torch.iinfo(zero_point.dtype)
        return rounded.clamp_(limits.min, limits.max).to(zero_point.dtype).transpose(self.axis, -1)

    def real(self) -> Tensor:
        """Return the softmax of the dequantized values."""
        return torch.softmax(self.source.real(), self.axis)

    def _exponentials(self, length: int) -> Tensor:
        """Return the exponentials (256,) of -255 to 0 steps below the largest code, raised to use float32's range."""
        scale = float(self.source.scale)
        raised = max(0.0, math.log(FLOAT32_MAX / length) - RESERVED) / scale
        steps = torch.arange(256, dtype=torch.float64)
        return torch.exp((steps - 255 + raised) * scale).to(torch.float32)


def softmax(_: fx.Node, arguments: Sequence[object]) -> Softmax | None:
    """Follow QLinearSoftmax."""
    value, axis = arguments[:2]
    if not isinstance(value, Codes) or not value.per_tensor:
        return None
    return Softmax(value, cast("int", axis) % value.codes.ndim)


def pointwise(node: fx.Node, arguments: Sequence[object]) -> Table | None:
    """Apply an element-wise operator to a table, where all of its tensors are functions of the same codes."""
    operator = cast("Callable[..., Tensor]", node.target)
    if not is_pointwise(operator):
        return None
    sources = [value for value in arguments if isinstance(value, Codes | Table)]
    others = [value for value in arguments if isinstance(value, Tensor | Result) and not isinstance(value, Table)]
    if not sources or others:
        return None
    tables = [as_table(value) for value in sources]
    if any(table is None or table.source is not tables[0].source for table in tables):  # type: ignore[union-attr] # tables[0] is not None unless the first test holds
        return None
    applied = [as_table(value).values if isinstance(value, Codes | Table) else value for value in arguments]  # type: ignore[union-attr] # as above
    return replace(cast("Table", tables[0]), values=operator(*applied, **node.kwargs))


def is_pointwise(operator: object) -> bool:
    """Tell whether an operator computes each element from the elements in the same place."""
    return torch.Tag.pointwise in getattr(operator, "tags", ()) or operator is torch.ops.aten.hardswish.default


def as_table(value: Codes | Table) -> Table | None:
    """Return a quantized tensor as the table of its own values; None for what has no 256 of them."""
    if isinstance(value, Table):
        return value
    if not value.per_tensor:
        return None
    limits = torch.iinfo(value.codes.dtype)
    if limits.bits != 8:  # noqa: PLR2004 - a table of more would be no shorter than the tensor
        return None
    every = torch.arange(limits.min, limits.max + 1, dtype=torch.int32)
    return Table(value, (every - value.zero_point.to(torch.int32)).to(torch.float32) * value.scale)
