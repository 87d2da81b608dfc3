"""The soft-target loss: the student learns the teacher's class distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

from edgedistill.distill.losses.shapes import require_equal_shapes, require_rank
from edgedistill.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


def soft_target_loss(student_logits: Tensor, teacher_logits: Tensor, *, temperature: float) -> Tensor:
    """Return T² · KL(teacher ‖ student) of the softened class distributions.

    Source: Hinton et al. 2015, arXiv:1503.02531, section 2.

    Args:
        student_logits: (batch, classes), floating point, not normalised.
        teacher_logits: (batch, classes), same; no gradient flows into it.
        temperature: T > 0, no unit; 1 leaves both distributions as they are.

    Returns:
        Scalar in nats, mean over the batch; 0 exactly when the logits are equal.

    Raises:
        ShapeError: the shapes differ, or are not (batch, classes).
        InputError: the temperature is not positive.
    """
    require_rank(student_logits, 2, name="student logits", wanted="(batch, classes)")
    require_equal_shapes(student_logits, teacher_logits, names=("student logits", "teacher logits"))
    if not temperature > 0:
        raise InputError(f"temperature {temperature}", found="not positive", wanted="T > 0")
    student = functional.log_softmax(student_logits / temperature, 1)
    teacher = functional.log_softmax(teacher_logits.detach() / temperature, 1)
    return functional.kl_div(student, teacher, reduction="batchmean", log_target=True) * temperature**2
