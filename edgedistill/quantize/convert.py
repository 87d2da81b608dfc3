"""From a fake-quantized graph to the program that holds integers."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, fx

from edgedistill.quantize.fake import ActivationQuantizer, BiasQuantizer, WeightQuantizer
from edgedistill.quantize.graph import attribute, layer_of
from edgedistill.quantize.operators import DEQUANTIZE, QUANTIZE
from edgedistill.quantize.program import QuantizedProgram
from edgedistill.quantize.spec import BiasType

if TYPE_CHECKING:
    from torch.fx.node import Argument

    from edgedistill.quantize.spec import QuantSpec

SMALLEST_HALF = 2.0**-24  # the smallest subnormal of fp16


def convert(graph: fx.GraphModule, spec: QuantSpec, example: Tensor) -> QuantizedProgram:
    """Return the program of a fake-quantized graph: int8 weights, int32 biases, explicit quantize and dequantize.

    Args:
        graph: from `annotate.annotate`, calibrated; not changed.
        spec: the spec it was annotated with.
        example: (batch, ...), float32 or token ids, batch at least 2.
    """
    integer = copy.deepcopy(graph).eval()
    writer = _Writer(integer)
    for node in list(integer.graph.nodes):
        module = integer.get_submodule(str(node.target)) if node.op == "call_module" else None
        if isinstance(module, WeightQuantizer):
            writer.store_weight(node, module)
        elif isinstance(module, BiasQuantizer):
            writer.store_bias(node, module)
        elif isinstance(module, ActivationQuantizer):
            writer.round_activation(node, module)
    integer.graph.eliminate_dead_code()
    integer.delete_all_unused_submodules()
    writer.drop_floats()
    if spec.bias is BiasType.FP16:
        writer.hold_floats_in_half()
    integer.recompile()
    exported = torch.export.export(integer, (example,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    return QuantizedProgram(exported=exported, spec=spec, layers=writer.layers)


class _Writer:
    """Replaces calls of fake quantizers by operators on stored integers."""

    def __init__(self, graph: fx.GraphModule) -> None:
        self.graph = graph
        self.layers: dict[str, str] = {}

    def store_weight(self, node: fx.Node, module: WeightQuantizer) -> None:
        weight = attribute(self.graph, node.args[0])
        scale = module.scale_of(weight)
        name = str(node.target).removesuffix("_quantizer")
        self._store(node, name, module.codes_of(weight), scale, torch.zeros_like(scale, dtype=torch.int8))

    def store_bias(self, node: fx.Node, module: BiasQuantizer) -> None:
        if module.spec.bias is BiasType.FLOAT:
            node.replace_all_uses_with(node.all_input_nodes[0])
            self.graph.graph.erase_node(node)
            return
        if module.spec.bias is BiasType.FP16:
            self._store_half(node, module)
            return
        bias, weight = (attribute(self.graph, argument) for argument in node.args[:2])
        scale = module.scale_of(weight)
        name = str(node.target).removesuffix("_quantizer")
        self._store(node, name, module.codes_of(bias, weight), scale, torch.zeros_like(scale, dtype=torch.int32))

    def _store_half(self, node: fx.Node, module: BiasQuantizer) -> None:
        stored = module.half_of(attribute(self.graph, node.args[0]))
        with self.graph.graph.inserting_before(node):
            real = self._buffer(str(node.target).removesuffix("_quantizer"), stored)
        node.replace_all_uses_with(real)
        self.graph.graph.erase_node(node)

    def round_activation(self, node: fx.Node, module: ActivationQuantizer) -> None:
        source = node.all_input_nodes[0]
        name = source.name
        scale, zero_point = module.stored()
        if source.op == "get_attr":
            self._store(node, name, module.codes_of(attribute(self.graph, source)), scale, zero_point)
            return
        self.layers[name] = layer_of(node)
        with self.graph.graph.inserting_before(node):
            parameters = (
                self._buffer(f"{name}_scale", scale),
                self._buffer(f"{name}_zero_point", zero_point),
                1,
            )
            codes = self.graph.graph.call_function(QUANTIZE, (node.args[0], *parameters))
            real = self.graph.graph.call_function(DEQUANTIZE, (codes, *parameters))
        node.replace_all_uses_with(real)
        self.graph.graph.erase_node(node)

    def drop_floats(self) -> None:
        """Delete the float weights that no node reads any more; a saved program would keep them."""
        read = {str(node.target) for node in self.graph.graph.nodes if node.op == "get_attr"}
        for name, _ in [*self.graph.named_parameters(), *self.graph.named_buffers()]:
            if name not in read:
                owner, _, last = name.rpartition(".")
                delattr(self.graph.get_submodule(owner), last)

    def hold_floats_in_half(self) -> None:
        """Make every float that is left one that fp16 holds: tables, gains and epsilons of norms, factors, masks.

        A target with fp16 biases types its whole remainder so, and its file could not hold the others.
        """
        for node in self.graph.graph.nodes:
            if node.op == "call_function" and node.target not in (QUANTIZE, DEQUANTIZE):
                node.args = fx.node.map_aggregate(node.args, _scalar_in_half)
                node.kwargs = fx.node.map_aggregate(node.kwargs, _scalar_in_half)
            if node.op != "get_attr" or any(user.target in (QUANTIZE, DEQUANTIZE) for user in node.users):
                continue
            constant = attribute(self.graph, node)
            if constant.dtype == torch.float32:
                constant.data = nearest_half(constant.detach())

    def _store(self, node: fx.Node, name: str, codes: Tensor, scale: Tensor, zero_point: Tensor) -> None:
        with self.graph.graph.inserting_before(node):
            stored = (
                self._buffer(f"{name}_codes", codes),
                self._buffer(f"{name}_scale", scale.clone()),
                self._buffer(f"{name}_zero_point", zero_point),
                0,
            )
            real = self.graph.graph.call_function(DEQUANTIZE, stored)
        node.replace_all_uses_with(real)
        self.graph.graph.erase_node(node)

    def _buffer(self, name: str, value: Tensor) -> fx.Node:
        self.graph.register_buffer(name, value)
        return self.graph.graph.get_attr(name)


def _scalar_in_half(value: Argument) -> Argument:
    """Return an argument of an operator: a finite float as the nearest that fp16 holds, anything else as it is."""
    if not isinstance(value, float) or not math.isfinite(value):
        return value
    return float(nearest_half(torch.tensor(value)))


def nearest_half(values: Tensor) -> Tensor:
    """Return the nearest finite fp16 numbers, as float32; what is not zero stays so.

    Masks of -3.4e38 become -65504, an epsilon of 1e-12 becomes 6e-8.
    """
    limits = torch.finfo(torch.float16)
    held = values.clamp(limits.min, limits.max).to(torch.float16).to(torch.float32)
    smallest = torch.full_like(values, SMALLEST_HALF).copysign(values)
    return torch.where((held == 0) & (values != 0), smallest, held)
