"""Runs a program's graph on integers: one rule for each operator, float32 where there is none."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, cast

from torch import Tensor, fx

from edgedistill.quantize.operators import DEQUANTIZE, QUANTIZE
from edgedistill.quantize.patterns import ATEN
from edgedistill.quantize.twin import clamps, elementwise, movers, pooled, products, tables
from edgedistill.quantize.twin.exact import full_precision
from edgedistill.quantize.twin.values import Codes, Result, real_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


class IntegerInterpreter:
    """Computes what the runtime computes; operators without a rule get float32 values.

    Args:
        graph: the module of a quantized program.
    """

    def __init__(self, graph: fx.GraphModule) -> None:
        self.graph = graph
        self.constants = {**dict(graph.named_parameters()), **dict(graph.named_buffers())}
        self.output = next(node for node in graph.graph.nodes if node.op == "output").all_input_nodes[0]
        self._dead_after = _dead_after(graph)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the outputs (batch, ...), float32, of inputs (batch, ...)."""
        results = (value for node, value in self.steps(inputs) if node is self.output)
        return cast("Tensor", real_of(next(results)))

    def codes(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return the codes of every quantized activation by node name; a codes tensor has the activation's shape."""
        return {node.name: cast("Tensor", value) for node, value in self.steps(inputs) if node.target is QUANTIZE}

    def steps(self, inputs: Tensor, *, given: Mapping[str, Tensor] | None = None) -> Iterator[tuple[fx.Node, object]]:
        """Yield every node that computes something and its value, in graph order; values are let go when read last.

        Args:
            inputs: (batch, ...).
            given: codes by node name that later nodes read in place of those computed here: with the codes of a
                runtime, each operator is judged by itself.
        """
        chosen = {} if given is None else given
        values: dict[fx.Node, object] = {}
        for node in self.graph.graph.nodes:
            if node.op == "placeholder":
                values[node] = inputs
            elif node.op == "get_attr":
                values[node] = self.constants[str(node.target)]
            elif node.op == "call_function":
                with full_precision():
                    values[node] = computed(node, lambda argument: values[argument])
                yield node, values[node]
                values[node] = chosen.get(node.name, values[node])
            for dead in self._dead_after.get(node, ()):
                values.pop(dead, None)


def computed(node: fx.Node, value_of: Callable[[fx.Node], object]) -> object:
    """Return what an operator computes from the values of its arguments."""
    arguments = _filled(node.args, value_of)
    for rule in (RULES.get(node.target), tables.pointwise):
        found = None if rule is None else rule(node, arguments)
        if found is not None:
            return found
    in_float = _filled(node.args, lambda argument: real_of(value_of(argument)))
    options = {name: _filled([value], value_of)[0] for name, value in node.kwargs.items()}
    return cast("Callable[..., object]", node.target)(*in_float, **options)


def _filled(arguments: Sequence[object], value_of: Callable[[fx.Node], object]) -> list[object]:
    """Return arguments with every node, in lists too, replaced by its value."""
    return [
        value_of(item)
        if isinstance(item, fx.Node)
        else _filled(item, value_of)
        if isinstance(item, list | tuple)
        else item
        for item in arguments
    ]


def _dead_after(graph: fx.GraphModule) -> dict[fx.Node, list[fx.Node]]:
    """Return, for each node, the values that no later node reads."""
    last_reader: dict[fx.Node, fx.Node] = {}
    for node in graph.graph.nodes:
        for argument in node.all_input_nodes:
            last_reader[argument] = node
    dead: dict[fx.Node, list[fx.Node]] = {}
    for value, reader in last_reader.items():
        if value.op != "get_attr":
            dead.setdefault(reader, []).append(value)
    return dead


def quantized(value: object, scale: Tensor, zero_point: Tensor) -> Tensor:
    """Return the codes of a value: of the kernel that computes it, or of QuantizeLinear where it is in float."""
    if isinstance(value, Codes):
        value = tables.as_table(value) or value.real()
    if isinstance(value, Result):
        return value.quantized(scale, zero_point)
    return cast("Tensor", QUANTIZE(value, scale, zero_point, 1))


def _quantize(_: fx.Node, arguments: Sequence[object]) -> Tensor:
    value, scale, zero_point = arguments[:3]
    return quantized(value, cast("Tensor", scale), cast("Tensor", zero_point))


def _dequantize(_: fx.Node, arguments: Sequence[object]) -> Codes:
    codes, scale, zero_point, axis = arguments
    return Codes(cast("Tensor", codes), cast("Tensor", scale), cast("Tensor", zero_point), cast("int", axis))


RULES: dict[object, Callable[[fx.Node, Sequence[object]], object]] = {
    QUANTIZE: _quantize,
    DEQUANTIZE: _dequantize,
    ATEN.conv1d.default: products.convolution,
    ATEN.conv2d.default: products.convolution,
    ATEN.conv3d.default: products.convolution,
    ATEN.linear.default: products.linear,
    ATEN.matmul.default: products.matrix_product,
    ATEN.bmm.default: products.matrix_product,
    ATEN.mm.default: products.matrix_product,
    ATEN.add.Tensor: elementwise.addition,
    ATEN.mul.Tensor: elementwise.product,
    ATEN.relu.default: clamps.clamped,
    ATEN.hardtanh.default: clamps.clamped,
    ATEN.adaptive_avg_pool1d.default: pooled.adaptive_average,
    ATEN.adaptive_avg_pool2d.default: pooled.adaptive_average,
    ATEN.mean.dim: pooled.mean,
    ATEN.avg_pool1d.default: pooled.window_average,
    ATEN.avg_pool2d.default: pooled.window_average,
    ATEN.softmax.int: tables.softmax,
    ATEN._softmax.default: tables.softmax,  # noqa: SLF001 - the operator's name
    ATEN.cat.default: movers.concatenated,
    ATEN.pad.default: movers.padded,
    ATEN.constant_pad_nd.default: movers.padded,
    operator.getitem: movers.taken,
    **dict.fromkeys(movers.MOVERS, movers.moved),
}
