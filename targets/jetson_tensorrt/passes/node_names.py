"""Names each node after the value it writes, so that TensorRT's layers carry the program's names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import ModelProto


def name_nodes(model: ModelProto) -> bool:
    """Give every node without a name that of its first output."""
    modified = False
    for node in model.graph.node:
        if node.output and not node.name:
            node.name = node.output[0]
            modified = True
    return modified
