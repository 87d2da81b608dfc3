"""Relational distillation: distances and angles between the samples of a batch, not the features themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from edgedistill.distill.losses.shapes import require_same_batch

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST_SQUARE = 1e-12


def distance_loss(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Return the Huber loss between the batch's pairwise distances, each divided by its mean.

    Source: Park et al. 2019, arXiv:1904.05068, section 3.2.1. Paper's weight: 25 beside 50 of the angles.

    Args:
        student_features: (batch, ...), floating point; all but the batch is flattened.
        teacher_features: (batch, ...), any other shape; no gradient flows into it.

    Returns:
        Scalar, mean over batch x batch, no unit; 0 exactly when the distances are equal up to scale.

    Raises:
        ShapeError: the batches differ.
    """
    require_same_batch(student_features, teacher_features)
    teacher = scaled_distances(teacher_features.detach())
    return functional.smooth_l1_loss(scaled_distances(student_features), teacher)


def angle_loss(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Return the Huber loss between the cosines of the angles that each three samples of the batch form.

    Source: Park et al. 2019, arXiv:1904.05068, section 3.2.2. Paper's weight: 50 beside 25 of the distances. Memory
    grows with the batch cubed: 8 MB in float32 at 128 samples.

    Args:
        student_features: (batch, ...), floating point; all but the batch is flattened.
        teacher_features: (batch, ...), any other shape; no gradient flows into it.

    Returns:
        Scalar, mean over batch x batch x batch, no unit; 0 exactly when the angles are equal.

    Raises:
        ShapeError: the batches differ.
    """
    require_same_batch(student_features, teacher_features)
    teacher = angle_cosines(teacher_features.detach())
    return functional.smooth_l1_loss(angle_cosines(student_features), teacher)


def scaled_distances(features: Tensor) -> Tensor:
    """Return the Euclidean distances (batch, batch) divided by the mean of those that are not 0."""
    flat = features.flatten(1)
    squares = flat.square().sum(1)
    squared = (squares[:, None] + squares[None] - 2 * flat @ flat.T).clamp(min=SMALLEST_SQUARE)
    # the diagonal is 0 by itself, but its square root has no gradient there
    distances = squared.sqrt() * (1 - torch.eye(len(flat), dtype=flat.dtype, device=flat.device))
    positive = distances > 0
    mean = (distances * positive).sum() / positive.sum().clamp(min=1)
    return distances / mean.clamp(min=SMALLEST_SQUARE)


def angle_cosines(features: Tensor) -> Tensor:
    """Return the cosines (batch, batch, batch): [i, j, k] of the angle at sample i between samples j and k."""
    flat = features.flatten(1)
    directions = functional.normalize(flat[None] - flat[:, None], dim=2)
    return directions @ directions.transpose(1, 2)
