"""Captures a model with torch.export and brings its graph into the form that quantization expects."""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING

import torch
from torch import Tensor, fx, nn

from edgedistill.errors import ModelError
from edgedistill.quantize.graph import attribute, layer_of
from edgedistill.quantize.rewrites import REWRITES

if TYPE_CHECKING:
    from collections.abc import Callable

ATEN = torch.ops.aten
NO_EFFECT = frozenset(
    {
        ATEN.dropout.default,
        ATEN.dropout_.default,
        ATEN.contiguous.default,
        ATEN.detach.default,
        ATEN.detach_.default,
        ATEN.lift_fresh_copy.default,
    }
)
REFUSED = {
    ATEN.gru.input: "a GRU",
    ATEN.lstm.input: "an LSTM",
    ATEN.rnn_tanh.input: "a recurrent layer",
    ATEN.rnn_relu.input: "a recurrent layer",
}


def capture(model: nn.Module, example: Tensor) -> fx.GraphModule:
    """Return the model as a graph of aten operators: batch norms folded, no in-place and no dead operator.

    The graph has a dynamic batch, its parameters are trainable, and the model itself is not changed.

    Args:
        model: maps (batch, ...) to (batch, ...); no data-dependent control flow.
        example: (batch, ...), float32 or token ids, any values, batch at least 2 (export fixes a batch of 1 for good).

    Raises:
        ModelError: torch.export cannot capture the model, or it holds a layer that no target computes with integers.
    """
    exported = _exported(copy.deepcopy(model).eval(), example)
    # the module of a program refuses train(); a plain GraphModule over the same graph does not
    graph = fx.GraphModule(exported, copy.deepcopy(exported.graph))
    _refuse_recurrence(graph)
    for step in (_drop_guards, _replace_in_place, _drop_no_effect, fold_batch_norms, *REWRITES):
        step(graph)
    graph.graph.eliminate_dead_code()
    graph.delete_all_unused_submodules()
    graph.recompile()
    return graph


FOLDABLE = {  # the axis of the output channels in the weight
    ATEN.conv1d.default: 0,
    ATEN.conv2d.default: 0,
    ATEN.linear.default: 0,
    ATEN.conv_transpose2d.input: 1,
}


def fold_batch_norms(graph: fx.GraphModule) -> None:
    """Fold each batch norm into the convolution or linear layer whose output it alone reads.

    Source: Jacob et al. 2017, arXiv:1712.05877, section 3.2. What is left over stays in float.
    """
    for node in list(graph.graph.nodes):
        if node.op == "call_function" and node.target is ATEN.batch_norm.default:
            before = node.args[0]
            foldable = before.target in FOLDABLE and len(before.users) == 1
            if foldable:
                _fold(graph, before, node)


def _exported(model: nn.Module, example: Tensor) -> fx.GraphModule:
    dynamic = ({0: torch.export.Dim.DYNAMIC},)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what export says of its own bookkeeping tells a user nothing
            return torch.export.export(model, (example,), dynamic_shapes=dynamic).module()
    except Exception as error:  # torch.export raises of every kind for what it cannot capture
        raise ModelError(
            f"capture of {type(model).__name__}",
            found=f"torch.export says: {str(error).strip().splitlines()[0]}",
            wanted="a model without data-dependent control flow and with a free batch size",
        ) from error


def _each(graph: fx.GraphModule, wanted: Callable[[fx.Node], bool]) -> list[fx.Node]:
    return [node for node in graph.graph.nodes if wanted(node)]


def _refuse_recurrence(graph: fx.GraphModule) -> None:
    for node in _each(graph, lambda node: node.target in REFUSED):
        raise ModelError(
            f"layer '{layer_of(node)}'",
            found=f"{REFUSED[node.target]}: no runtime of our targets computes it with integers",  # type: ignore[index] # the filter looked
            wanted="layers without recurrence",
            fix="use temporal convolutions or attention in the student",
        )


def _drop_guards(graph: fx.GraphModule) -> None:
    for node in _each(graph, lambda node: node.op == "call_module" and "guard" in str(node.target)):
        graph.graph.erase_node(node)
    for node in _each(graph, lambda node: node.target is ATEN._assert_tensor_metadata.default):  # noqa: SLF001 - an operator's name
        graph.graph.erase_node(node)


def _replace_in_place(graph: fx.GraphModule) -> None:
    """Replace each in-place operator by the one that returns its result, which later readers then read."""
    order = {node: index for index, node in enumerate(graph.graph.nodes)}
    for node in _each(graph, _writes_in_place):
        name, overload = node.target._schema.name.removeprefix("aten::"), node.target._overloadname  # type: ignore[union-attr] # noqa: SLF001 - torch has no public names for them
        node.target = getattr(getattr(ATEN, name.removesuffix("_")), overload)
        base = node.args[0]
        if isinstance(base, fx.Node):
            later = {user for user in base.users if order[user] > order[node]}
            base.replace_all_uses_with(node, delete_user_cb=later.__contains__)


def _writes_in_place(node: fx.Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return schema is not None and schema.name.startswith("aten::") and schema.name.endswith("_") and schema.is_mutable


def _drop_no_effect(graph: fx.GraphModule) -> None:
    for node in _each(graph, lambda node: node.target in NO_EFFECT):
        node.replace_all_uses_with(node.args[0])  # type: ignore[arg-type] # a tensor operator's first argument
        graph.graph.erase_node(node)


def _fold(graph: fx.GraphModule, weighted: fx.Node, norm: fx.Node) -> None:
    gamma, beta, mean, variance = (attribute(graph, argument) for argument in norm.args[1:5])
    factor = gamma / torch.sqrt(variance + float(norm.args[7]))  # type: ignore[arg-type] # epsilon
    weight = attribute(graph, weighted.args[1])
    axis = FOLDABLE[weighted.target]  # type: ignore[index] # fold_batch_norms looked
    has_bias = len(weighted.args) > 2 and weighted.args[2] is not None  # noqa: PLR2004 - input, weight, bias
    bias = attribute(graph, weighted.args[2]) if has_bias else torch.zeros_like(mean)
    stem = str(weighted.args[1].target).rpartition(".")[0].replace(".", "_")  # type: ignore[union-attr] # a node
    folded = {
        f"{stem}_weight_folded": weight * factor.view([-1 if index == axis else 1 for index in range(weight.ndim)]),
        f"{stem}_bias_folded": beta + (bias - mean) * factor,
    }
    for name, value in folded.items():
        graph.register_parameter(name, nn.Parameter(value.detach().clone()))
    with graph.graph.inserting_before(weighted):
        nodes = [graph.graph.get_attr(name) for name in folded]
    weighted.args = (weighted.args[0], *nodes, *weighted.args[3:])
    norm.replace_all_uses_with(weighted)
    graph.graph.erase_node(norm)
