"""Keeps a product in float that was meant to be.

ONNX Runtime (1.19 and later, seen in 1.32) quantizes the float weight of a convolution or product by itself where it
stands between DequantizeLinear and QuantizeLinear (`WeightBiasQuantization`): one scale for the whole weight, silently.
A layer that stays in float because INT8 costs too much would run in a worse INT8. An operator between DequantizeLinear
and the product prevents that; it must be one that no optimizer removes, as it removes Identity or a product by 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import helper, numpy_helper

from edgedistill.export.passes.constants import constants

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

PRODUCTS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
MOVERS = frozenset({"Flatten", "MaxPool", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"})
LOWEST = "lowest_float32"


def keep_products_in_float(model: ModelProto) -> bool:
    """Let each product that has a float weight and reads dequantized codes read their maximum with the lowest float."""
    known = constants(model)
    writers = {name: node for node in model.graph.node for name in node.output}
    found = [node for node in model.graph.node if _has_float_weight(node, known) and _reads_codes(node, writers)]
    if found:
        model.graph.initializer.append(numpy_helper.from_array(np.array(np.finfo(np.float32).min), LOWEST))
    for node in found:
        kept = f"{node.output[0]}_input"
        place = next(index for index, item in enumerate(model.graph.node) if item.output == node.output)
        model.graph.node.insert(place, helper.make_node("Max", [node.input[0], LOWEST], [kept]))
        node.input[0] = kept
    return bool(found)


def _has_float_weight(node: NodeProto, known: dict[str, np.ndarray]) -> bool:
    weight = known.get(node.input[1]) if node.op_type in PRODUCTS else None
    return weight is not None and weight.dtype == np.float32


def _reads_codes(node: NodeProto, writers: dict[str, NodeProto]) -> bool:
    """Tell whether the first input comes from a DequantizeLinear, moved or not."""
    writer = writers.get(node.input[0])
    while writer is not None and writer.op_type in MOVERS:
        writer = writers.get(writer.input[0])
    return writer is not None and writer.op_type == "DequantizeLinear"
