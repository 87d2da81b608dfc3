"""Operators that move codes and compute nothing, and concatenation, which may bring them to one scale."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, fx

from edgedistill.quantize.operators import QUANTIZE
from edgedistill.quantize.patterns import ATEN
from edgedistill.quantize.twin.tables import Table, as_table
from edgedistill.quantize.twin.values import Codes, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True)
class Concatenation(Result):
    """Quantized tensors of different scales, one after the other.

    Args:
        parts: per-tensor, equal in all axes but one.
        axis: that one.
    """

    parts: Sequence[Codes]
    axis: int

    def quantized(self, scale: Tensor, zero_point: Tensor) -> Tensor:
        """Source: QLinearConcat: each part through a table from its codes to the output's."""
        tables = [cast("Table", as_table(part)) for part in self.parts]
        return torch.cat([table.quantized(scale, zero_point) for table in tables], self.axis)

    def real(self) -> Tensor:
        """Return the float32 values."""
        return torch.cat([part.real() for part in self.parts], self.axis)


def moved(node: fx.Node, arguments: Sequence[object]) -> object:
    """Move codes as the operator moves values, into a tensor or into several; only per-tensor scales stay true then."""
    value = arguments[0]
    if not isinstance(value, Codes) or not value.per_tensor:
        return None
    moving = cast("Callable[..., Tensor | Sequence[Tensor]]", node.target)
    codes = value.codes.to(torch.float32) if node.target in FLOAT_ONLY else value.codes
    found = moving(codes, *arguments[1:], **node.kwargs)
    if isinstance(found, Tensor):
        return replace(value, codes=found.to(value.codes.dtype))
    return [replace(value, codes=part.to(value.codes.dtype)) for part in found]


def padded(node: fx.Node, arguments: Sequence[object]) -> Codes | None:
    """Pad with the code that stands for the constant, as rounding the padded values gives it; 0 is the zero point."""
    value, around, *rest = arguments
    if not isinstance(value, Codes) or not value.per_tensor:
        return None
    constant = _constant(node, rest)
    if constant is None:
        return None
    filler = QUANTIZE(torch.tensor(constant), value.scale, value.zero_point, 0)
    return replace(value, codes=ATEN.constant_pad_nd(value.codes, around, int(filler)))


def concatenated(_: fx.Node, arguments: Sequence[object]) -> Codes | Concatenation | None:
    """Follow Concat where all parts have one scale and zero point, else QLinearConcat."""
    parts = cast("Sequence[object]", arguments[0])
    axis = cast("int", arguments[1]) if len(arguments) > 1 else 0
    known = [part for part in parts if isinstance(part, Codes) and part.per_tensor]
    if len(known) != len(parts):
        return None
    first = known[0]
    if all(part.scale == first.scale and part.zero_point == first.zero_point for part in known[1:]):
        return replace(first, codes=torch.cat([part.codes for part in known], axis))
    return Concatenation(known, axis)


def taken(_: fx.Node, arguments: Sequence[object]) -> object:
    """Take one of the tensors that a mover gave."""
    values, index = arguments
    return cast("Sequence[object]", values)[cast("int", index)]


def _constant(node: fx.Node, rest: Sequence[object]) -> float | None:
    """Return the constant that is padded with; None for reflection and its like."""
    if node.target is ATEN.constant_pad_nd.default:
        return float(cast("float", rest[0])) if rest else 0.0
    if rest and rest[0] != "constant":
        return None
    return float(cast("float", rest[1] or 0.0)) if len(rest) > 1 else 0.0


FLOAT_ONLY = frozenset({ATEN.max_pool1d.default, ATEN.max_pool2d.default, ATEN.max_pool3d.default})
MOVERS = FLOAT_ONLY | {
    ATEN.alias.default,
    ATEN.chunk.default,
    ATEN.clone.default,
    ATEN.contiguous.default,
    ATEN.embedding.default,
    ATEN.expand.default,
    ATEN.flatten.using_ints,
    ATEN.flip.default,
    ATEN.gather.default,
    ATEN.index_select.default,
    ATEN.movedim.int,
    ATEN.narrow.default,
    ATEN.permute.default,
    ATEN.pixel_shuffle.default,
    ATEN.repeat.default,
    ATEN.reshape.default,
    ATEN.select.int,
    ATEN.slice.Tensor,
    ATEN.split.Tensor,
    ATEN.split_with_sizes.default,
    ATEN.squeeze.default,
    ATEN.squeeze.dim,
    ATEN.squeeze.dims,
    ATEN.t.default,
    ATEN.transpose.int,
    ATEN.unbind.int,
    ATEN.unflatten.int,
    ATEN.unsqueeze.default,
    ATEN.upsample_nearest1d.default,
    ATEN.upsample_nearest1d.vec,
    ATEN.upsample_nearest2d.default,
    ATEN.upsample_nearest2d.vec,
    ATEN.view.default,
}
