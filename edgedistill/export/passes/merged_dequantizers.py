"""Gives each layer its own DequantizeLinear where the exporter merged equal ones.

Tied or equally initialised layers have equal codes. The exporter leaves one DequantizeLinear for all of them; then a
tensor of the program is missing in the file, and ONNX Runtime 1.32 with `session.x64quantprecision=1` refuses it:
"Attempt to replace the existing tensor".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import NodeProto

from edgedistill.export.passes.constants import constants

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray
    from onnx import ModelProto

    from edgedistill.quantize.program import StoredTensor


def restore_merged_dequantizers(model: ModelProto, tensors: Mapping[str, StoredTensor]) -> bool:
    """Write a DequantizeLinear for each stored tensor that has none, and let one of the readers read it.

    Args:
        model: as exported.
        tensors: those of the program, by name, in the order of computation.
    """
    written = {name for node in model.graph.node for name in node.output}
    missing = [name for name, tensor in tensors.items() if tensor.codes is not None and name not in written]
    known = constants(model) if missing else {}
    for name in missing:
        merged = next((node for node in _shared(model, known) if _holds(node, tensors[name], known)), None)
        if merged is not None:
            _split(model, merged, name)
    return bool(missing)


def _shared(model: ModelProto, known: Mapping[str, NDArray[np.generic]]) -> Iterator[NodeProto]:
    """Yield the DequantizeLinear nodes over constants that several operators read."""
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in known and len(_readers(model, node.output[0])) > 1:
            yield node


def _holds(node: NodeProto, tensor: StoredTensor, known: Mapping[str, NDArray[np.generic]]) -> bool:
    stored = (tensor.codes, tensor.scale, tensor.zero_point)
    return all(
        value is not None and np.array_equal(known[name], value.numpy())
        for name, value in zip(node.input, stored, strict=True)
    )


def _split(model: ModelProto, merged: NodeProto, name: str) -> None:
    """Give the second reader of a merged node a copy of its own; what is missing next has a later reader."""
    copy = NodeProto()
    copy.CopyFrom(merged)
    copy.output[0], copy.name = name, name
    reader = _readers(model, merged.output[0])[1]
    reader.input[list(reader.input).index(merged.output[0])] = name
    model.graph.node.insert(list(model.graph.node).index(merged) + 1, copy)


def _readers(model: ModelProto, name: str) -> list[NodeProto]:
    return [node for node in model.graph.node if name in node.input]
