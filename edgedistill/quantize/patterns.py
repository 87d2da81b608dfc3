"""The operators a program may hold, and how each is quantized: one table, in one place."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import fx

ATEN = torch.ops.aten


class Role(Enum):
    """How an operator takes part in quantization."""

    WEIGHTED = auto()  # has an int8 weight; its output is quantized
    JOINED = auto()  # several quantized inputs, one quantized output
    POOLED = auto()  # an average: quantized input and output, scales of their own
    ACTIVATION = auto()  # absorbed by the operator before it, where the output codes begin at 0
    SHARED = auto()  # moves codes only: output has the scale of its input, nothing is requantized
    FLOAT = auto()  # no rule: stays in float


ROLES: Mapping[object, Role] = {
    ATEN.conv2d.default: Role.WEIGHTED,
    ATEN.linear.default: Role.WEIGHTED,
    ATEN.add.Tensor: Role.JOINED,
    ATEN.cat.default: Role.JOINED,
    ATEN.adaptive_avg_pool2d.default: Role.POOLED,
    ATEN.mean.dim: Role.POOLED,
    ATEN.relu.default: Role.ACTIVATION,
    ATEN.hardtanh.default: Role.ACTIVATION,
    ATEN.flatten.using_ints: Role.SHARED,
    ATEN.max_pool2d.default: Role.SHARED,
    ATEN.permute.default: Role.SHARED,
    ATEN.reshape.default: Role.SHARED,
    ATEN.squeeze.dim: Role.SHARED,
    ATEN.squeeze.dims: Role.SHARED,
    ATEN.transpose.int: Role.SHARED,
    ATEN.unsqueeze.default: Role.SHARED,
    ATEN.view.default: Role.SHARED,
}

QUANTIZED = frozenset({Role.WEIGHTED, Role.JOINED, Role.POOLED})


def role_of(node: fx.Node) -> Role:
    """Return how a node of a captured graph takes part in quantization."""
    role = ROLES.get(node.target, Role.FLOAT) if node.op == "call_function" else Role.FLOAT
    if role is Role.JOINED and not _joins_tensors(node):
        return Role.FLOAT
    if role is Role.ACTIVATION and not _clamps_at_zero(node):
        return Role.FLOAT
    return role


def ceiling_of(node: fx.Node) -> float | None:
    """Return the upper limit of a clamp, None for a ReLU."""
    if node.target is ATEN.hardtanh.default:
        return float(node.args[2])  # type: ignore[arg-type] # checked by role_of
    return None


def _joins_tensors(node: fx.Node) -> bool:
    """Tell whether an addition is between two activations, unscaled; constants and alpha are left to float."""
    if node.target is ATEN.cat.default:
        return True
    nodes = [argument for argument in node.args[:2] if isinstance(argument, torch.fx.Node)]
    activations = [argument for argument in nodes if argument.op != "get_attr"]
    return bool(len(activations) == 2 and node.kwargs.get("alpha", 1) == 1)  # noqa: PLR2004 - an addition has two operands


def _clamps_at_zero(node: fx.Node) -> bool:
    if node.target is not ATEN.hardtanh.default:
        return True
    low, high = node.args[1:3]
    return isinstance(low, int | float) and low == 0 and isinstance(high, int | float)
