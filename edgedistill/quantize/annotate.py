"""Places fake quantizers in a captured graph, as the runtime will quantize it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgedistill.quantize.fake import ActivationQuantizer, BiasQuantizer, WeightQuantizer
from edgedistill.quantize.graph import attribute
from edgedistill.quantize.patterns import ATEN, CONVOLUTIONS, Role, ceiling_of, is_float, operands, role_of
from edgedistill.quantize.spec import Placement

FLOAT_TABLES = frozenset({ATEN.sigmoid.default, ATEN.leaky_relu.default})  # elementwise, fused in float

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from torch import fx

    from edgedistill.quantize.spec import QuantSpec


def annotate(graph: fx.GraphModule, spec: QuantSpec, *, keep_float: Collection[str] = ()) -> fx.GraphModule:
    """Return the graph with a quantizer on every value that an integer operator reads or writes.

    The model's outputs stay in float, except behind a convolution, whose integer kernel writes codes. Weights and
    biases pass through quantizers of their own, so that the simulation computes with exactly what will be stored. The
    given graph is changed and returned.

    Args:
        graph: from `capture.capture`.
        spec: how the target wants numbers.
        keep_float: names of operators that are to compute in float.
    """
    plan = Plan.of(graph, spec.placement, frozenset(keep_float))
    quantizers = _quantize_activations(graph, spec, plan)
    _quantize_weights(graph, spec, plan, quantizers)
    graph.graph.lint()
    graph.recompile()
    return graph


def activation_quantizers(graph: fx.GraphModule) -> dict[str, ActivationQuantizer]:
    """Return the activation quantizers by name, in graph order; one that several values share comes once."""
    modules = dict(graph.named_modules())
    found = {}
    for node in graph.graph.nodes:
        module = modules.get(str(node.target)) if node.op == "call_module" else None
        if isinstance(module, ActivationQuantizer):
            found[str(node.target)] = module
    return found


def origin(node: object) -> fx.Node:
    """Return the node whose codes an operand has, looking back through operators that only move or join them."""
    current: fx.Node = node  # type: ignore[assignment] # a tensor operand is a node
    while role_of(current) is Role.SHARED or current.target is ATEN.cat.default:
        current = current.all_input_nodes[0]
    return current


@dataclass
class Plan:
    """What computes in integers, and which values are therefore quantized.

    Args:
        placement: where the target wants quantizers.
        integers: operators that compute in integers.
        wanted: nodes whose value an integer operator reads, directly or moved.
        float_only: operators that were asked to stay in float.
    """

    placement: Placement
    integers: set[fx.Node] = field(default_factory=set)
    wanted: set[fx.Node] = field(default_factory=set)
    float_only: set[fx.Node] = field(default_factory=set)

    @classmethod
    def of(cls, graph: fx.GraphModule, placement: Placement, keep_float: frozenset[str]) -> Plan:
        """Decide from the outputs back: a sum or an average is worth codes only where an integer operator reads it."""
        plan = cls(placement)
        asks = plan._asks_for_codes if placement is Placement.INTEGER else plan._asks_for_input_codes
        for node in reversed(list(graph.graph.nodes)):
            if node.name in keep_float:
                plan.float_only.add(node)
            if any(asks(user, node) for user in node.users):
                plan.wanted.add(node)
            role = plan.role(node)
            if role in (Role.WEIGHTED, Role.PRODUCT) or (role in (Role.JOINED, Role.POOLED) and node in plan.wanted):
                plan.integers.add(node)
        return plan

    def role(self, node: fx.Node) -> Role:
        """Return a node's role, FLOAT where that was asked for."""
        return Role.FLOAT if node in self.float_only else role_of(node)

    def quantizes(self, node: fx.Node) -> bool:
        """Tell whether a quantizer stands behind a node."""
        if not is_float(node):
            return False
        role = self.role(node)
        if node.op in ("get_attr", "output") or role is Role.SHARED:
            return self.placement is Placement.INTEGER and _is_embedding_table(node)
        if self.placement is Placement.INPUTS:
            return node in self.wanted
        if self._absorbed(node):
            return False
        if role is Role.ACTIVATION and self._absorbed(node.all_input_nodes[0]):
            return node in self.wanted or self._writes_codes(node.all_input_nodes[0])
        return self._writes_codes(node) or node in self.wanted

    def _asks_for_codes(self, user: fx.Node, node: fx.Node) -> bool:
        if user in self.integers:
            return user.target is ATEN.cat.default or node in user.args[:2]
        return user in self.wanted and self.role(user) in (Role.SHARED, Role.ACTIVATION)

    def _asks_for_input_codes(self, user: fx.Node, node: fx.Node) -> bool:
        """As `_asks_for_codes`, where what follows a sum of products is fused to it in float."""
        role = self.role(user)
        if role is Role.ACTIVATION:
            return False
        if user in self.integers and role in (Role.WEIGHTED, Role.PRODUCT):
            return node in user.args[:2]
        if role is Role.POOLED:
            return user.target not in FLOAT_TABLES
        if user.target is ATEN.add.Tensor and role is Role.JOINED:
            fused = self._fused_operand(user)
            return fused is not None and node is not fused and self._sum_is_read_as_codes(user)
        return user in self.wanted and (role is Role.SHARED or user.target is ATEN.cat.default)

    def _sum_is_read_as_codes(self, addition: fx.Node) -> bool:
        """Tell whether a sum is read as codes, itself or after its activation."""
        return any(
            user in self.wanted if self.role(user) is Role.ACTIVATION else self._asks_for_input_codes(user, addition)
            for user in addition.users
        )

    def _fused_operand(self, addition: fx.Node) -> fx.Node | None:
        """Return the operand that is added in float by the sum of products it comes from; the other is its skip input.

        Of two, it is the one that is computed last. Source: NVIDIA TensorRT documentation, Q/DQ placement: quantize the
        skip input, not the result of the convolution.
        """
        fused = [item for item in operands(addition) if self.role(item) is Role.WEIGHTED and len(item.users) == 1]
        return max(fused, default=None)

    def _writes_codes(self, node: fx.Node) -> bool:
        """Tell whether a node's integer kernel writes nothing but codes."""
        return node in self.integers and node.target in CONVOLUTIONS

    def _absorbed(self, node: fx.Node) -> bool:
        """Tell whether a node's only reader is an activation, which is then quantized in its place."""
        users = list(node.users)
        return node in self.integers and len(users) == 1 and self.role(users[0]) is Role.ACTIVATION


def _is_embedding_table(node: fx.Node) -> bool:
    return node.op == "get_attr" and any(user.target is ATEN.embedding.default for user in node.users)


def _quantize_activations(graph: fx.GraphModule, spec: QuantSpec, plan: Plan) -> dict[fx.Node, ActivationQuantizer]:
    """Insert the quantizers; return them by the node that calls them."""
    groups = _shared_scales(graph, plan)
    modules: dict[fx.Node, str] = {}
    calls: dict[fx.Node, ActivationQuantizer] = {}
    quantized = [node for node in graph.graph.nodes if plan.quantizes(node)]
    for node in quantized:
        if node.target is ATEN.cat.default and node in groups:
            continue
        leader = groups.get(node, node)
        if leader not in modules:
            modules[leader] = f"{node.name}_quantizer"
            graph.add_module(modules[leader], ActivationQuantizer(spec, ceiling=_common_ceiling(leader, groups)))
        with graph.graph.inserting_after(node):
            inserted = graph.graph.call_module(modules[leader], (node,))
        inserted.meta = dict(node.meta)
        node.replace_all_uses_with(inserted, delete_user_cb=lambda user, new=inserted: user is not new)
        quantizer = graph.get_submodule(modules[leader])
        assert isinstance(quantizer, ActivationQuantizer)  # noqa: S101 - added above
        calls[inserted] = quantizer
    return calls


def _common_ceiling(leader: fx.Node, groups: dict[fx.Node, fx.Node]) -> float | None:
    """Return the limit that all values of a group have in common, None where there is no such limit."""
    members = [node for node, chosen in groups.items() if chosen is leader and node.target is not ATEN.cat.default]
    ceilings = {ceiling_of(node) for node in [leader, *members]}
    return ceilings.pop() if len(ceilings) == 1 else None


def _shared_scales(graph: fx.GraphModule, plan: Plan) -> dict[fx.Node, fx.Node]:
    """Map each member of a concatenation that needs no requantization to the leader of its group.

    The inputs of a concatenation share one scale where that spoils no absorbed activation: all of them come from the
    same kind of activation, or none does. Otherwise the concatenation has a scale of its own.
    """
    leaders: dict[fx.Node, fx.Node] = {}
    for node in graph.graph.nodes:
        if node.target is not ATEN.cat.default or node not in plan.integers:
            continue
        sources = [_source(item, leaders) for item in operands(node)]
        kinds = {(plan.role(source) is Role.ACTIVATION, ceiling_of(source)) for source in sources}
        spoils = len(kinds) > 1 and plan.placement is Placement.INTEGER
        if spoils or not all(plan.quantizes(source) for source in sources):
            continue
        chosen = leaders.get(sources[0], sources[0])
        merged = {leaders.get(source, source) for source in sources}
        leaders.update({member: chosen for member, leader in leaders.items() if leader in merged})
        leaders.update(dict.fromkeys([*sources, node], chosen))
    return leaders


def _source(node: fx.Node, leaders: dict[fx.Node, fx.Node]) -> fx.Node:
    """Return the node behind which the quantizer of an operand stands."""
    while role_of(node) is Role.SHARED or (node.target is ATEN.cat.default and node in leaders):
        node = node.all_input_nodes[0]
    return node


def _quantize_weights(
    graph: fx.GraphModule, spec: QuantSpec, plan: Plan, calls: dict[fx.Node, ActivationQuantizer]
) -> None:
    for node in _weighted(graph, plan):
        source, weight_node = node.args[0], node.args[1]
        weight = WeightQuantizer(spec)
        graph.add_module(f"{node.name}_weight_quantizer", weight)
        with graph.graph.inserting_before(node):
            arguments = [source, graph.graph.call_module(f"{node.name}_weight_quantizer", (weight_node,))]
            if len(node.args) > 2 and node.args[2] is not None:  # noqa: PLR2004 - input, weight, bias
                bias = BiasQuantizer(spec, calls[origin(source)], weight)
                graph.add_module(f"{node.name}_bias_quantizer", bias)
                bias_call = graph.graph.call_module(f"{node.name}_bias_quantizer", (node.args[2], weight_node))
                arguments.append(bias_call)
        node.args = (*arguments, *node.args[len(arguments) :])


def _weighted(graph: fx.GraphModule, plan: Plan) -> Iterator[fx.Node]:
    for node in list(graph.graph.nodes):
        if node in plan.integers and role_of(node) is Role.WEIGHTED:
            yield node


def parameter_count(graph: fx.GraphModule) -> int:
    """Return the number of weights and biases the graph reads."""
    names = {node.target for node in graph.graph.nodes if node.op == "get_attr"}
    nodes = [node for node in graph.graph.nodes if node.op == "get_attr" and node.target in names]
    return sum({str(node.target): attribute(graph, node).numel() for node in nodes}.values())
