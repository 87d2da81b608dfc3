"""Places fake quantizers in a captured graph, as the runtime will quantize it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedistill.quantize.capture import attribute
from edgedistill.quantize.fake import ActivationQuantizer, BiasQuantizer, WeightQuantizer
from edgedistill.quantize.patterns import ATEN, QUANTIZED, Role, ceiling_of, role_of
from edgedistill.quantize.spec import Placement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import fx

    from edgedistill.quantize.spec import QuantSpec


def annotate(graph: fx.GraphModule, spec: QuantSpec) -> fx.GraphModule:
    """Return the graph with a quantizer on every value that an integer operator reads or writes.

    The model's outputs stay in float. Weights and biases pass through quantizers of their own, so that the simulation
    computes with exactly what will be stored. The given graph is changed and returned.

    Args:
        graph: from `capture.capture`.
        spec: how the target wants numbers.
    """
    quantizers = _quantize_activations(graph, spec)
    _quantize_weights(graph, spec, quantizers)
    graph.graph.lint()
    graph.recompile()
    return graph


def activation_quantizers(graph: fx.GraphModule) -> dict[str, ActivationQuantizer]:
    """Return the activation quantizers by name, in graph order."""
    modules = dict(graph.named_modules())
    found = {}
    for node in graph.graph.nodes:
        module = modules.get(str(node.target)) if node.op == "call_module" else None
        if isinstance(module, ActivationQuantizer):
            found[str(node.target)] = module
    return found


def _quantize_activations(graph: fx.GraphModule, spec: QuantSpec) -> dict[fx.Node, ActivationQuantizer]:
    results = set(_results(graph))
    quantizers: dict[fx.Node, ActivationQuantizer] = {}
    for node in list(graph.graph.nodes):
        if node in results or not _needs_quantizer(node, spec.placement):
            continue
        quantizer = ActivationQuantizer(spec, ceiling=ceiling_of(node))
        name = f"{node.name}_quantizer"
        graph.add_module(name, quantizer)
        with graph.graph.inserting_after(node):
            inserted = graph.graph.call_module(name, (node,))
        inserted.meta = dict(node.meta)
        node.replace_all_uses_with(inserted, delete_user_cb=lambda user, new=inserted: user is not new)
        quantizers[inserted] = quantizer
    return quantizers


def _results(graph: fx.GraphModule) -> Iterator[fx.Node]:
    """Yield the nodes whose values leave the graph, looking back through operators that only move them."""
    pending = list(next(node for node in graph.graph.nodes if node.op == "output").all_input_nodes)
    while pending:
        node = pending.pop()
        yield node
        if role_of(node) is Role.SHARED and len(node.all_input_nodes[0].users) == 1:
            pending.append(node.all_input_nodes[0])


def _needs_quantizer(node: fx.Node, placement: Placement) -> bool:
    role = role_of(node)
    if placement is Placement.INPUTS:
        return node.op in ("placeholder", "call_function") and role is not Role.SHARED and _read_as_codes(node)
    if role in QUANTIZED:
        return not _absorbed(node)
    if node.op in ("get_attr", "output", "call_module") or role is Role.SHARED:
        return False
    return role is Role.ACTIVATION or _read_by_integers(node)


def _absorbed(node: fx.Node) -> bool:
    """Tell whether a node's only reader is an activation, which is then quantized in its place."""
    users = list(node.users)
    return len(users) == 1 and role_of(users[0]) is Role.ACTIVATION


def _read_by_integers(node: fx.Node) -> bool:
    return any(
        role_of(user) in QUANTIZED or (role_of(user) is Role.SHARED and _read_by_integers(user)) for user in node.users
    )


def _read_as_codes(node: fx.Node) -> bool:
    """Tell whether an operator reads a node as codes, where what is fused to a sum of products stays in float."""
    return any(_reads_codes(user, node) for user in node.users)


def _reads_codes(user: fx.Node, node: fx.Node) -> bool:
    role = role_of(user)
    if role in (Role.WEIGHTED, Role.POOLED):
        return True
    if user.target is ATEN.add.Tensor and role is Role.JOINED:
        return node is not _fused_operand(user) and _fused_operand(user) is not None and _result_read_as_codes(user)
    return (role is Role.SHARED or user.target is ATEN.cat.default) and _read_as_codes(user)


def _result_read_as_codes(addition: fx.Node) -> bool:
    """Tell whether a sum is read as codes, itself or after its activation."""
    return any(
        _read_as_codes(user) if role_of(user) is Role.ACTIVATION else _reads_codes(user, addition)
        for user in addition.users
    )


def _fused_operand(addition: fx.Node) -> fx.Node | None:
    """Return the operand that is added in float by the sum of products it comes from; the other is its skip input.

    Of two, it is the one that is computed last. Source: NVIDIA TensorRT documentation, Q/DQ placement: quantize the skip
    input, not the result of the convolution.
    """
    fused = [item for item in addition.all_input_nodes if role_of(item) is Role.WEIGHTED and len(item.users) == 1]
    return max(fused, default=None)


def _quantize_weights(graph: fx.GraphModule, spec: QuantSpec, quantizers: dict[fx.Node, ActivationQuantizer]) -> None:
    for node in list(graph.graph.nodes):
        if role_of(node) is not Role.WEIGHTED:
            continue
        source, weight_node = node.args[0], node.args[1]
        weight = WeightQuantizer(spec)
        graph.add_module(f"{node.name}_weight_quantizer", weight)
        with graph.graph.inserting_before(node):
            arguments = [source, graph.graph.call_module(f"{node.name}_weight_quantizer", (weight_node,))]
            if len(node.args) > 2 and node.args[2] is not None:  # noqa: PLR2004 - input, weight, bias
                bias = BiasQuantizer(spec, quantizers[_quantizer_before(source)], weight)
                graph.add_module(f"{node.name}_bias_quantizer", bias)
                bias_call = graph.graph.call_module(f"{node.name}_bias_quantizer", (node.args[2], weight_node))
                arguments.append(bias_call)
        node.args = (*arguments, *node.args[len(arguments) :])


def _quantizer_before(node: fx.Node) -> fx.Node:
    """Return the call of the quantizer whose codes a node sees, looking back through operators that only move them."""
    while role_of(node) is Role.SHARED:
        node = node.all_input_nodes[0]
    return node


def parameter_count(graph: fx.GraphModule) -> int:
    """Return the number of weights and biases the graph reads."""
    names = {node.target for node in graph.graph.nodes if node.op == "get_attr"}
    nodes = [node for node in graph.graph.nodes if node.op == "get_attr" and node.target in names]
    return sum({str(node.target): attribute(graph, node).numel() for node in nodes}.values())
