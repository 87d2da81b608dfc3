"""Removes initializers that no node reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import ModelProto


def remove_unused_initializers(model: ModelProto) -> bool:
    """Keep an initializer only if a node reads it or it is an output of the graph."""
    read = {name for node in model.graph.node for name in node.input}
    read.update(output.name for output in model.graph.output)
    kept = [initializer for initializer in model.graph.initializer if initializer.name in read]
    modified = len(kept) < len(model.graph.initializer)
    if modified:
        del model.graph.initializer[:]
        model.graph.initializer.extend(kept)
    return modified
