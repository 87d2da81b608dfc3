"""Gives the batch a fixed size: TensorRT then needs no optimization profile, and DLA takes nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import ModelProto


def fix_batch(model: ModelProto, *, batch: int = 1) -> bool:
    """Set the first dimension of every input and output that leaves it open."""
    modified = False
    for value in (*model.graph.input, *model.graph.output):
        dimensions = value.type.tensor_type.shape.dim
        if dimensions and not dimensions[0].HasField("dim_value"):
            dimensions[0].ClearField("dim_param")
            dimensions[0].dim_value = batch
            modified = True
    return modified
