"""Names each node after the value it writes, without a prefix: one name for one thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import ModelProto


def clear_node_names(model: ModelProto) -> bool:
    """Remove node names: each repeats the name of the node's first output, which tools show as well."""
    modified = False
    for node in model.graph.node:
        modified |= bool(node.name)
        node.ClearField("name")
    return modified
