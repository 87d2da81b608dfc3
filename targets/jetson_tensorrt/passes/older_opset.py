"""Writes a model of opset 18 in opset 17, the newest that the parsers of TensorRT 8.5 and 8.6 document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import defs, helper

from edgedistill.errors import UnsupportedError
from edgedistill.export.passes.constants import constants
from edgedistill.export.passes.unused_initializers import remove_unused_initializers

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto

OPSET = 17
# Opset 18 moved the axes of these from an attribute to an input.
AXES_BY_INPUT = frozenset(
    f"Reduce{kind}" for kind in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")
)
# Changed in 18 by attributes or inputs that the exporter does not write.
SAME = frozenset({"Pad", "Resize", "ScatterElements", "ScatterND", "LpPool"})
WITH_AXES = 2


def lower_opset(model: ModelProto) -> bool:
    """Rewrite what opset 18 changed, and say opset 17.

    Raises:
        UnsupportedError: an operator that opset 17 does not have.
    """
    opset = next(item for item in model.opset_import if item.domain == "")
    if opset.version <= OPSET:
        return False
    known = constants(model)
    for node in model.graph.node:
        if node.domain == "":
            _lower(node, known)
    remove_unused_initializers(model)
    opset.version = OPSET
    return True


def _lower(node: NodeProto, known: Mapping[str, NDArray[np.generic]]) -> None:
    if node.op_type in AXES_BY_INPUT:
        _axes_to_attribute(node, known)
        return
    if node.op_type == "Split":
        kept = [item for item in node.attribute if item.name != "num_outputs"]
        del node.attribute[:]
        node.attribute.extend(kept)
        return
    if node.op_type in SAME:
        return
    if defs.get_schema(node.op_type, 18).since_version > OPSET:
        raise UnsupportedError(f"operator {node.op_type}", found=f"not in opset {OPSET}, which TensorRT 8 reads")


def _axes_to_attribute(node: NodeProto, known: Mapping[str, NDArray[np.generic]]) -> None:
    if len(node.input) < WITH_AXES or not node.input[1]:
        return
    axes = known.get(node.input[1])
    if axes is None:
        raise UnsupportedError(
            f"{node.op_type} '{node.output[0]}'", found=f"computed axes, which opset {OPSET} does not have"
        )
    del node.input[1:]
    node.attribute.append(helper.make_attribute("axes", [int(axis) for axis in axes.ravel()]))
