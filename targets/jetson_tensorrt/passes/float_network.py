"""Removes quantization: the same network in floating point, to be measured beside the INT8 one.

Its weights are the dequantized codes, so that the two networks differ by the rounding of activations alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import numpy_helper

from edgedistill.export.passes.constants import constants
from edgedistill.export.passes.unused_initializers import remove_unused_initializers

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto

AXIS = 1  # of a DequantizeLinear that names none


def drop_quantization(model: ModelProto) -> bool:
    """Replace each quantized weight by its real values, and each Q with its DQ by nothing."""
    known = constants(model)
    aliases: dict[str, str] = {}
    kept: list[NodeProto] = []
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            aliases[node.output[0]] = aliases.get(node.input[0], node.input[0])
        elif node.op_type == "DequantizeLinear" and node.input[0] in known:
            model.graph.initializer.append(numpy_helper.from_array(_dequantized(node, known), node.output[0]))
        elif node.op_type == "DequantizeLinear":
            aliases[node.output[0]] = aliases[node.input[0]]
        else:
            kept.append(node)
            for position, name in enumerate(node.input):
                node.input[position] = aliases.get(name, name)
    modified = len(kept) < len(model.graph.node)
    if modified:
        del model.graph.node[:]
        model.graph.node.extend(kept)
        remove_unused_initializers(model)
    return modified


def _dequantized(node: NodeProto, known: dict[str, NDArray[np.generic]]) -> NDArray[np.float32]:
    codes = known[node.input[0]].astype(np.float32)
    scale = known[node.input[1]].astype(np.float32)
    if scale.ndim:
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), AXIS) % codes.ndim
        scale = scale.reshape([-1 if index == axis else 1 for index in range(codes.ndim)])
    return np.asarray(codes * scale, np.float32)
