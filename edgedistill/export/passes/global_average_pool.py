"""Turns a mean over all axes behind the channels into GlobalAveragePool, which has an integer kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import helper

from edgedistill.export.passes.constants import constants

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto

FIRST_AXIS = 2  # behind batch and channels
RANKS = (3, 4)  # (batch, channels, time), (batch, channels, height, width)


def restore_global_average_pool(model: ModelProto) -> bool:
    """Replace each such ReduceMean; one without `keepdims` gets a Flatten behind it.

    Looks at the shapes that the exporter wrote; a value without one is left alone.
    """
    known, ranks = constants(model), _ranks(model)
    modified = False
    for index, node in reversed(list(enumerate(model.graph.node))):
        if node.op_type != "ReduceMean" or not _over_trailing_axes(node, known, ranks):
            continue
        del model.graph.node[index]
        for replacement in reversed(_replacements(node)):
            model.graph.node.insert(index, replacement)
        modified = True
    return modified


def _over_trailing_axes(node: NodeProto, known: dict[str, NDArray[np.generic]], ranks: dict[str, int]) -> bool:
    axes = known.get(node.input[1]) if len(node.input) > 1 else None
    rank = ranks.get(node.input[0])
    if axes is None or rank not in RANKS:
        return False
    return sorted(int(axis) % rank for axis in axes.ravel()) == list(range(FIRST_AXIS, rank))


def _ranks(model: ModelProto) -> dict[str, int]:
    described = [*model.graph.input, *model.graph.value_info]
    return {
        value.name: len(value.type.tensor_type.shape.dim)
        for value in described
        if value.type.tensor_type.HasField("shape")
    }


def _replacements(node: NodeProto) -> list[NodeProto]:
    keeps = all(attribute.i == 1 for attribute in node.attribute if attribute.name == "keepdims")
    output = node.output[0]
    pooled = output if keeps else f"{output}_pooled"
    nodes = [helper.make_node("GlobalAveragePool", [node.input[0]], [pooled], name=node.name)]
    if not keeps:
        nodes.append(helper.make_node("Flatten", [pooled], [output], name=f"{node.name}_flatten", axis=1))
    return nodes
