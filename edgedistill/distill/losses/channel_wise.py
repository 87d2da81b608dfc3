"""Channel-wise distillation: each channel's distribution over space."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

from edgedistill.distill.losses.shapes import require_equal_shapes
from edgedistill.errors import InputError, ShapeError

if TYPE_CHECKING:
    from torch import Tensor

MIN_AXES = 3


def channel_wise_loss(student_features: Tensor, teacher_features: Tensor, *, temperature: float = 4.0) -> Tensor:
    """Return T² · KL(teacher ‖ student) of each channel's softmax over positions, mean over batch and channels.

    Source: Shu et al. 2020, arXiv:2011.13256, equations 2 to 4. Paper's temperature 4, weight 50 for features and 3
    for maps of logits.

    Args:
        student_features: (batch, channels, height, width), floating point, already projected to the teacher's shape;
            or (batch, channels, ...) with any number of axes of position.
        teacher_features: the same shape; no gradient flows into it.
        temperature: T > 0, no unit.

    Returns:
        Scalar in nats; 0 exactly when the distributions are equal: a channel may be shifted by a constant.

    Raises:
        ShapeError: the shapes differ, or there is no axis of position.
        InputError: the temperature is not positive.
    """
    require_equal_shapes(student_features, teacher_features, names=("student features", "teacher features"))
    if student_features.ndim < MIN_AXES:
        raise ShapeError(
            "student features", found=f"shape {tuple(student_features.shape)}", wanted="(batch, channels, positions...)"
        )
    if not temperature > 0:
        raise InputError(f"temperature {temperature}", found="not positive", wanted="T > 0")
    student = functional.log_softmax(student_features.flatten(2).flatten(0, 1) / temperature, 1)
    teacher = functional.log_softmax(teacher_features.detach().flatten(2).flatten(0, 1) / temperature, 1)
    return functional.kl_div(student, teacher, reduction="batchmean", log_target=True) * temperature**2
