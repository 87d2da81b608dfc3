"""Writes the calibration cache with which TensorRT 8 and 10 run a network without Q and DQ in INT8, for DLA.

Its format is TensorRT's own: one line that names version and algorithm, then one line a tensor with the float32 scale
as big-endian hexadecimal. Source: NVIDIA Deep-Learning-Accelerator-SW, qdq-translator.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from edgedistill.targets.jetson_tensorrt.network import MOVES_CODES, Network

if TYPE_CHECKING:
    from onnx import ModelProto

HEADER = "TRT-{number}-EntropyCalibration2\n"
ABSORBED = frozenset({"Relu", "Clip"})


def calibration_cache(model: ModelProto, *, number: int = 100300) -> str:
    """Return the cache of a model with Q and DQ: the scale of every rounded value.

    What is absorbed by the layer before it (a ReLU) gives that layer's own result its scale; what only moves codes
    (a pooling by maximum) has the scale of what it moves.

    Args:
        model: with Q and DQ and float32 scales.
        number: TensorRT's version: 10.3.0 is 100300.
    """
    network = Network(model)
    scales: dict[str, float] = {}
    for node in network.nodes:
        if node.op_type == "QuantizeLinear":
            scale = float(network.constants[node.input[1]])
            scales[node.input[0]] = scale
            before = network.producer.get(node.input[0])
            if before is not None and before.op_type in ABSORBED:
                scales.setdefault(before.input[0], scale)
        elif node.op_type in MOVES_CODES and network.dequantized(node.output[0]):
            source = network.source(node.output[0])
            if source is not None and not network.is_weight(source):
                scales.setdefault(node.output[0], float(network.constants[source.input[1]]))
    lines = [f"{name}: {struct.pack('>f', scale).hex()}\n" for name, scale in scales.items()]
    return HEADER.format(number=number) + "".join(lines)
