"""Turns a mean over the image axes into GlobalAveragePool: ONNX Runtime has an integer kernel for that one only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import helper

from edgedistill.export.passes.constants import constants

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto

IMAGE_AXES = [2, 3]
IMAGE_RANK = 4


def restore_global_average_pool(model: ModelProto) -> bool:
    """Replace each ReduceMean over height and width; one without `keepdims` gets a Flatten behind it."""
    known = constants(model)
    modified = False
    for index, node in reversed(list(enumerate(model.graph.node))):
        if node.op_type != "ReduceMean" or not _over_image_axes(node, known):
            continue
        del model.graph.node[index]
        for replacement in reversed(_replacements(node)):
            model.graph.node.insert(index, replacement)
        modified = True
    return modified


def _over_image_axes(node: NodeProto, known: dict[str, NDArray[np.generic]]) -> bool:
    axes = known.get(node.input[1]) if len(node.input) > 1 else None
    return axes is not None and sorted(int(axis) % IMAGE_RANK for axis in axes.ravel()) == IMAGE_AXES


def _replacements(node: NodeProto) -> list[NodeProto]:
    keeps = all(attribute.i == 1 for attribute in node.attribute if attribute.name == "keepdims")
    output = node.output[0]
    pooled = output if keeps else f"{output}_pooled"
    nodes = [helper.make_node("GlobalAveragePool", [node.input[0]], [pooled], name=node.name)]
    if not keeps:
        nodes.append(helper.make_node("Flatten", [pooled], [output], name=f"{node.name}_flatten", axis=1))
    return nodes
