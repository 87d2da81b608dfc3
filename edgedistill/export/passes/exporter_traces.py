"""Removes what the exporter writes about itself: source lines, module stacks, paths of this machine, tool versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import ModelProto


def remove_exporter_traces(model: ModelProto) -> bool:
    """Clear metadata and documentation, so that equal programs give equal bytes on every machine."""
    before = model.ByteSize()
    graph = model.graph
    holders = [model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer]
    for holder in holders:
        holder.ClearField("metadata_props")
        holder.ClearField("doc_string")
    model.producer_name, model.producer_version = "edgedistill", ""
    graph.ClearField("value_info")
    graph.name = "main"
    return bool(model.ByteSize() != before)
