"""Captures a model with torch.export and brings its graph into the form that quantization expects."""

from __future__ import annotations

import copy
import operator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, fx, nn

from edgedistill.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

ATEN = torch.ops.aten
IN_PLACE = {
    ATEN.add_.Tensor: ATEN.add.Tensor,
    ATEN.relu_.default: ATEN.relu.default,
    ATEN.hardtanh_.default: ATEN.hardtanh.default,
}
NO_EFFECT = frozenset({ATEN.dropout.default, ATEN.dropout_.default, ATEN.contiguous.default})


def capture(model: nn.Module, example: Tensor) -> fx.GraphModule:
    """Return the model as a graph of aten operators: batch norms folded, no in-place and no dead operator.

    The graph has a dynamic batch, its parameters are trainable, and the model itself is not changed.

    Args:
        model: maps (batch, ...) to (batch, classes); no data-dependent control flow.
        example: (batch, ...), float32, any values, batch at least 2 (export fixes a batch of 1 for good).

    Raises:
        ModelError: torch.export cannot capture the model.
    """
    exported = _exported(copy.deepcopy(model).eval(), example)
    # the module of a program refuses train(); a plain GraphModule over the same graph does not
    graph = fx.GraphModule(exported, copy.deepcopy(exported.graph))
    for step in (_drop_guards, _replace_in_place, _clamp_by_hardtanh, _drop_no_effect, fold_batch_norms):
        step(graph)
    graph.graph.eliminate_dead_code()
    graph.delete_all_unused_submodules()
    graph.recompile()
    return graph


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


def fold_batch_norms(graph: fx.GraphModule) -> None:
    """Fold each batch norm into the convolution or linear layer whose output it alone reads.

    Source: Jacob et al. 2017, arXiv:1712.05877, section 3.2. What is left over stays in float.
    """
    for node in list(graph.graph.nodes):
        if node.op == "call_function" and node.target is ATEN.batch_norm.default:
            before = node.args[0]
            foldable = before.target in (ATEN.conv2d.default, ATEN.linear.default) and len(before.users) == 1
            if foldable:
                _fold(graph, before, node)


def _exported(model: nn.Module, example: Tensor) -> fx.GraphModule:
    dynamic = ({0: torch.export.Dim.DYNAMIC},)
    try:
        return torch.export.export(model, (example,), dynamic_shapes=dynamic).module()
    except Exception as error:  # torch.export raises of every kind for what it cannot capture
        raise ModelError(
            f"capture of {type(model).__name__}",
            found=f"torch.export says: {str(error).strip().splitlines()[0]}",
            wanted="a model without data-dependent control flow and with a free batch size",
        ) from error


def _each(graph: fx.GraphModule, wanted: Callable[[fx.Node], bool]) -> list[fx.Node]:
    return [node for node in graph.graph.nodes if wanted(node)]


def _drop_guards(graph: fx.GraphModule) -> None:
    for node in _each(graph, lambda node: node.op == "call_module" and "guard" in str(node.target)):
        graph.graph.erase_node(node)


def _replace_in_place(graph: fx.GraphModule) -> None:
    for node in _each(graph, lambda node: node.target in IN_PLACE):
        node.target = IN_PLACE[node.target]  # type: ignore[index] # the filter looked


def _clamp_by_hardtanh(graph: fx.GraphModule) -> None:
    for node in _each(graph, lambda node: node.target in (ATEN.relu6.default, ATEN.relu6_.default)):
        node.target, node.args = ATEN.hardtanh.default, (node.args[0], 0.0, 6.0)


def _drop_no_effect(graph: fx.GraphModule) -> None:
    for node in _each(graph, lambda node: node.target in NO_EFFECT):
        node.replace_all_uses_with(node.args[0])  # type: ignore[arg-type] # a tensor operator's first argument
        graph.graph.erase_node(node)


def _fold(graph: fx.GraphModule, weighted: fx.Node, norm: fx.Node) -> None:
    gamma, beta, mean, variance = (attribute(graph, argument) for argument in norm.args[1:5])
    factor = gamma / torch.sqrt(variance + float(norm.args[7]))  # type: ignore[arg-type] # epsilon
    weight = attribute(graph, weighted.args[1])
    has_bias = len(weighted.args) > 2 and weighted.args[2] is not None  # noqa: PLR2004 - input, weight, bias
    bias = attribute(graph, weighted.args[2]) if has_bias else torch.zeros_like(mean)
    stem = str(weighted.args[1].target).rpartition(".")[0].replace(".", "_")  # type: ignore[union-attr] # a node
    folded = {
        f"{stem}_weight_folded": weight * factor.view([-1] + [1] * (weight.ndim - 1)),
        f"{stem}_bias_folded": beta + (bias - mean) * factor,
    }
    for name, value in folded.items():
        graph.register_parameter(name, nn.Parameter(value.detach().clone()))
    with graph.graph.inserting_before(weighted):
        nodes = [graph.graph.get_attr(name) for name in folded]
    weighted.args = (weighted.args[0], *nodes, *weighted.args[3:])
    norm.replace_all_uses_with(weighted)
    graph.graph.erase_node(norm)
