"""Lookups in an ONNX graph that the rules share. Needs onnx and numpy only."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper, shape_inference

from edgedistill.export.passes.constants import constants

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
# TensorRT moves a dequantize forward over these (measured for Flatten, MaxPool, Concat, Transpose).
MOVES_CODES = frozenset(
    {"Flatten", "Reshape", "Transpose", "MaxPool", "Squeeze", "Unsqueeze", "Identity", "Slice", "Concat", "Split"}
)
ONNX_DOMAINS = frozenset({"", "ai.onnx"})
FIRST_CODES, FIRST_SCALE, FIRST_ZERO_POINT = 0, 1, 2


class Network:
    """A model with its producers, consumers and constants by name.

    Args:
        model: not changed.
    """

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        self.nodes = list(model.graph.node)
        self.producer = {output: node for node in self.nodes for output in node.output if output}
        self.consumers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in node.input:
                self.consumers[name].append(node)
        self.types = {item.name: item.data_type for item in model.graph.initializer}
        self.types |= {item.name: item.type.tensor_type.elem_type for item in model.graph.input}
        for node in self.nodes:
            if node.op_type == "Constant":
                held = next((item.t.data_type for item in node.attribute if item.name == "value"), 0)
                self.types[node.output[0]] = held

    @cached_property
    def constants(self) -> dict[str, NDArray[np.generic]]:
        """Every constant by the name of its value."""
        return constants(self.model)

    @cached_property
    def opset(self) -> int:
        """Version of ONNX's own operators; 0 where the model names none."""
        return next((item.version for item in self.model.opset_import if item.domain in ONNX_DOMAINS), 0)

    @cached_property
    def quantizers(self) -> list[NodeProto]:
        """Every QuantizeLinear and DequantizeLinear."""
        return [node for node in self.nodes if node.op_type in (QUANTIZE, DEQUANTIZE)]

    @cached_property
    def weighted(self) -> list[NodeProto]:
        """Every node that multiplies and accumulates."""
        return [node for node in self.nodes if node.op_type in WEIGHTED]

    @cached_property
    def shapes(self) -> dict[str, list[int | None]]:
        """Shapes by the name of the value, as far as ONNX infers them; a free dimension is None."""
        try:
            inferred = shape_inference.infer_shapes(self.model, data_prop=True).graph
        except (RuntimeError, ValueError):  # the model does not fit its operators: rules say so, nothing to add here
            inferred = self.model.graph
        found = {item.name: list(item.dims) for item in self.model.graph.initializer}
        for value in (*inferred.input, *inferred.output, *inferred.value_info):
            if value.type.tensor_type.HasField("shape"):
                found[value.name] = [
                    item.dim_value if item.HasField("dim_value") else None for item in value.type.tensor_type.shape.dim
                ]
        for node in self.nodes:
            if node.op_type == "Constant" and node.output[0] in self.constants:
                found[node.output[0]] = list(self.constants[node.output[0]].shape)
        return found

    def free_inputs(self) -> list[str]:
        """Return the inputs with a dimension that is not fixed."""
        held = {item.name for item in self.model.graph.initializer}
        return [
            item.name
            for item in self.model.graph.input
            if item.name not in held
            and any(not dim.HasField("dim_value") or dim.dim_value < 1 for dim in item.type.tensor_type.shape.dim)
        ]

    def source(self, name: str) -> NodeProto | None:
        """Return the node that computes a value, looking back over operators that a dequantize moves over.

        It moves over a Concat only where all inputs are codes of one scale (measured with TensorRT-RTX 1.7).
        """
        node = self.producer.get(name)
        while node is not None and self._moves_codes(node):
            node = self.producer.get(node.input[0])
        return node

    def _moves_codes(self, node: NodeProto) -> bool:
        if node.op_type == "Concat":
            return len(self.joined_scales(node)) == 1
        return node.op_type in MOVES_CODES and bool(node.input)

    def joined_scales(self, node: NodeProto) -> set[float]:
        """Return the scales of what a Concat joins; none where an input is not codes of one scale."""
        scales = set()
        for name in node.input:
            source = self.source(name)
            scale = self.constants.get(source.input[1]) if source is not None and source.op_type == DEQUANTIZE else None
            if scale is None or scale.size != 1:
                return set()
            scales.add(float(scale.ravel()[0]))
        return scales

    def is_weight(self, node: NodeProto) -> bool:
        """Tell whether a Q or DQ belongs to a constant: stored codes behind a DQ, or real values behind Q and DQ."""
        return self.weight_name(node) is not None

    def weight_name(self, node: NodeProto) -> str | None:
        """Return the name of the constant behind a Q or DQ."""
        name = node.input[0]
        before = self.producer.get(name)
        if name not in self.types and before is not None and before.op_type == QUANTIZE:
            name = before.input[0]
        return name if name in self.constants else None

    def is_output(self, name: str) -> bool:
        """Tell whether a value leaves the graph."""
        return any(item.name == name for item in self.model.graph.output)

    def dequantized(self, name: str) -> bool:
        """Tell whether a value is dequantized codes, moved or not."""
        node = self.source(name)
        return node is not None and node.op_type == DEQUANTIZE

    def readers_after_codes(self, name: str) -> Iterator[NodeProto]:
        """Yield who reads a value through Q and DQ."""
        for quantize in self.consumers[name]:
            if quantize.op_type == QUANTIZE:
                for dequantize in self.consumers[quantize.output[0]]:
                    yield from self.consumers[dequantize.output[0]]


def name_of(node: NodeProto) -> str:
    """Return what people call a node: its name, or that of its first output."""
    return node.name or (node.output[0] if node.output else node.op_type)


def integer(node: NodeProto, name: str, default: int) -> int:
    """Return an integer attribute."""
    return next((int(item.i) for item in node.attribute if item.name == name), default)


def integers(node: NodeProto, name: str, default: list[int]) -> list[int]:
    """Return an attribute that lists integers."""
    return next((list(item.ints) for item in node.attribute if item.name == name), default)


def type_name(data_type: int) -> str:
    """Return ONNX's name of a tensor type, in small letters."""
    return str(TensorProto.DataType.Name(data_type)).lower()


def multiply_accumulates(network: Network) -> dict[str, int]:
    """Return the multiply-accumulates of one run of every weighted node by the name of its first output.

    A free dimension counts as 1, so a free batch gives the count of one sample.
    """
    return {node.output[0]: _multiply_accumulates(network, node) for node in network.weighted}


def _multiply_accumulates(network: Network, node: NodeProto) -> int:
    shapes = network.shapes
    output, first, second = (_fixed(shapes.get(name, [])) for name in (node.output[0], *node.input[:2]))
    if node.op_type == "Conv":
        return _product(output) * _product(second[1:])
    if node.op_type == "ConvTranspose":
        return _product(first) * _product(second[1:])
    if not first:
        return 0
    depth = first[-2] if node.op_type == "Gemm" and integer(node, "transA", 0) else first[-1]
    return _product(output) * depth


def _fixed(shape: list[int | None]) -> list[int]:
    return [1 if size is None else size for size in shape]


def _product(sizes: list[int]) -> int:
    return int(np.prod(sizes, dtype=np.int64)) if sizes else 0


def default_float(node: NodeProto, name: str, default: float) -> float:
    """Return a float attribute."""
    return next((float(helper.get_attribute_value(item)) for item in node.attribute if item.name == name), default)
