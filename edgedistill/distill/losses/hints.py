"""The hint loss: a layer of the student learns a layer of the teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

from edgedistill.distill.losses.shapes import require_equal_shapes

if TYPE_CHECKING:
    from torch import Tensor


def hint_loss(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Return the mean squared difference of the features.

    Source: Romero et al. 2014, arXiv:1412.6550, equation 3; the mean instead of half the sum, so that its
    size does not depend on the layer's.

    Args:
        student_features: (batch, ...), floating point, already projected to the teacher's shape.
        teacher_features: the same shape; no gradient flows into it.

    Returns:
        Scalar, mean over all elements, in squared units of the features; 0 exactly when they are equal.

    Raises:
        ShapeError: the shapes differ.
    """
    require_equal_shapes(student_features, teacher_features, names=("student features", "teacher features"))
    return functional.mse_loss(student_features, teacher_features.detach())
