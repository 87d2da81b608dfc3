"""Reads a captured graph: parameters, shapes, and the layers that nodes come from."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

from torch import Tensor, fx

if TYPE_CHECKING:
    import torch


def attribute(graph: fx.GraphModule, node: object) -> Tensor:
    """Return the parameter or buffer a `get_attr` node stands for."""
    if not isinstance(node, fx.Node):
        raise TypeError(f"{node!r} is no node")
    return operator.attrgetter(str(node.target))(graph)  # type: ignore[no-any-return]


def layer_of(node: fx.Node) -> str:
    """Return the dotted path of the innermost module a node comes from, "" at the top."""
    stack = node.meta.get("nn_module_stack") or {}
    path = [entry[0] for entry in stack.values()]
    return str(path[-1]) if path else ""


def shape_of(node: fx.Node) -> tuple[int | torch.SymInt, ...] | None:
    """Return the shape that capture found for a node's value, None where it is no tensor."""
    value = node.meta.get("val")
    return tuple(value.shape) if isinstance(value, Tensor) else None


def calls(graph: fx.GraphModule, *targets: object) -> list[fx.Node]:
    """Return the calls of some operators, in graph order."""
    return [node for node in graph.graph.nodes if node.op == "call_function" and node.target in targets]
