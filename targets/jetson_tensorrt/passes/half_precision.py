"""Types everything that is not quantized as FP16, so that one strongly typed file builds on TensorRT 10.3 to 11.

In a strongly typed network an operator without Q and DQ runs in the type that the file gives it: a float32 file would
run its remainder in float32. Inputs and outputs of the graph stay float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from onnx import AttributeProto, ModelProto, NodeProto

OPSET = 19  # the first in which QuantizeLinear and DequantizeLinear take an fp16 scale
LARGEST = float(np.finfo(np.float16).max)
SMALLEST = float(np.finfo(np.float16).smallest_subnormal)
# Inputs that ONNX wants in float32 whatever the data's type is: Resize, roi and scales.
FLOAT32_INPUTS = {"Resize": (1, 2)}


def type_as_half(model: ModelProto, *, opset: int | None = OPSET) -> bool:
    """Turn a float32 model into an FP16 one with float32 inputs and outputs.

    A constant beyond fp16's range becomes the nearest fp16 number that is not zero unless it was: masks of -3.4e38
    become -65504, an epsilon of 1e-12 becomes 6e-8.

    Args:
        model: float32, opset 17 or 18; changed.
        opset: what to say afterwards; none leaves it, which only a model without Q and DQ allows.
    """
    graph = model.graph
    _own_input_scales(model)
    kept = set(_float32_constants(model))
    modified = False
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and tensor.name not in kept:
            tensor.CopyFrom(_halved(tensor))
            modified = True
    for node in graph.node:
        for attribute in node.attribute:
            modified |= _halve_attribute(node, attribute)
    modified |= _cast_inputs(model)
    modified |= _cast_outputs(model)
    if opset is not None:
        next(item for item in model.opset_import if item.domain == "").version = opset
    return modified


def _own_input_scales(model: ModelProto) -> None:
    """Give the scale with which a graph input is rounded a copy of its own: it stays float32, and its DQ's does not."""
    inputs = {value.name for value in model.graph.input}
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "QuantizeLinear" or node.input[0] not in inputs or node.input[1] not in held:
            continue
        readers = [name for other in model.graph.node for name in other.input if name == node.input[1]]
        if len(readers) > 1:
            copy = TensorProto()
            copy.CopyFrom(held[node.input[1]])
            copy.name = f"{node.output[0]}_scale"
            model.graph.initializer.append(copy)
            node.input[1] = copy.name


def nearest_half(values: NDArray[np.float32]) -> NDArray[np.float16]:
    """Return the nearest finite fp16 numbers; what is not zero stays so."""
    held = np.clip(values, -LARGEST, LARGEST).astype(np.float16)
    flushed = (held == 0) & (values != 0)
    return np.where(flushed, np.copysign(np.float16(SMALLEST), values), held).astype(np.float16)


def _float32_constants(model: ModelProto) -> Iterator[str]:
    """Yield the constants that stay float32: scales with which graph inputs are rounded, and what ONNX wants so."""
    inputs = {value.name for value in model.graph.input}
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear" and node.input[0] in inputs:
            yield node.input[1]
        for position in FLOAT32_INPUTS.get(node.op_type, ()):
            if position < len(node.input):
                yield node.input[position]


def _halved(tensor: TensorProto) -> TensorProto:
    return numpy_helper.from_array(nearest_half(numpy_helper.to_array(tensor)), tensor.name)


def _halve_attribute(node: NodeProto, attribute: AttributeProto) -> bool:
    if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
        attribute.i = TensorProto.FLOAT16
        return True
    if attribute.name == "value" and attribute.t.data_type == TensorProto.FLOAT:  # Constant, ConstantOfShape
        attribute.t.CopyFrom(_halved(attribute.t))
        return True
    return False


def _cast_inputs(model: ModelProto) -> bool:
    """Cast each float32 input once for the nodes that read it other than by QuantizeLinear."""
    modified = False
    for value in model.graph.input:
        if value.type.tensor_type.elem_type != TensorProto.FLOAT:
            continue
        readers = [
            (node, position)
            for node in model.graph.node
            for position, name in enumerate(node.input)
            if name == value.name and node.op_type != "QuantizeLinear"
        ]
        if readers:
            half = f"{value.name}_half"
            cast = helper.make_node("Cast", [value.name], [half], name=half, to=TensorProto.FLOAT16)
            for node, position in readers:
                node.input[position] = cast.output[0]
            model.graph.node.insert(0, cast)
            modified = True
    return modified


def _cast_outputs(model: ModelProto) -> bool:
    modified = False
    for value in model.graph.output:
        if value.type.tensor_type.elem_type != TensorProto.FLOAT:
            continue
        half = f"{value.name}_half"
        for node in model.graph.node:
            _rename(node.input, value.name, half)
            _rename(node.output, value.name, half)
        cast = helper.make_node("Cast", [half], [value.name], name=f"{value.name}_cast", to=TensorProto.FLOAT)
        model.graph.node.append(cast)
        modified = True
    return modified


def _rename(names: list[str], before: str, after: str) -> None:
    for position, name in enumerate(names):
        if name == before:
            names[position] = after
