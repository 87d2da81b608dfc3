"""Similarity-preserving distillation: samples that are alike to the teacher are alike to the student."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

from edgedistill.distill.losses.shapes import require_same_batch

if TYPE_CHECKING:
    from torch import Tensor


def similarity_preserving_loss(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Return the mean squared difference of the batch's similarity matrices, their rows scaled to length 1.

    Source: Tung and Mori 2019, arXiv:1907.09682, equations 1 to 4. Paper's weight: 3000.

    Args:
        student_features: (batch, ...), floating point.
        teacher_features: (batch, ...), any other shape; no gradient flows into it.

    Returns:
        Scalar, mean over batch x batch, no unit; 0 exactly when the scaled similarities are equal.

    Raises:
        ShapeError: the batches differ.
    """
    require_same_batch(student_features, teacher_features)
    return functional.mse_loss(batch_similarity(student_features), batch_similarity(teacher_features.detach()))


def batch_similarity(features: Tensor) -> Tensor:
    """Return the inner products (batch, batch) of the flattened features, each row scaled to length 1."""
    flat = features.flatten(1)
    return functional.normalize(flat @ flat.T, dim=1)
