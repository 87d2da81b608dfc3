"""The loss of a student that has the teacher's head: its last features must be the teacher's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedistill.distill.losses.attention_transfer import at_one_resolution
from edgedistill.distill.losses.hints import hint_loss

if TYPE_CHECKING:
    from torch import Tensor


def reused_feature_loss(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Return the mean squared difference of the last maps, at the coarser of the two resolutions.

    Source: Chen et al. 2022, arXiv:2203.14001, equation 2. Paper's weight: 1, and no other loss.

    Args:
        student_features: (batch, channels, height, width), floating point, already in the teacher's channels.
        teacher_features: the same channels, at any resolution; no gradient flows into it.

    Returns:
        Scalar, mean over all elements, in squared units of the features; 0 exactly when they are equal.

    Raises:
        ShapeError: they are no maps, or of other channels.
    """
    return hint_loss(*at_one_resolution(student_features, teacher_features.detach()))
