"""The soft-target loss and its relatives: the student learns the teacher's class distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from edgedistill.distill.losses.shapes import require_equal_shapes, require_rank
from edgedistill.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

EPSILON = 1e-7  # logits that are all equal have no deviation: they stay 0


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
    require_logits(student_logits, teacher_logits)
    require_temperature(temperature)
    student = functional.log_softmax(student_logits / temperature, 1)
    teacher = functional.log_softmax(teacher_logits.detach() / temperature, 1)
    return functional.kl_div(student, teacher, reduction="batchmean", log_target=True) * temperature**2


def standardized(logits: Tensor) -> Tensor:
    """Return each row minus its mean, divided by its standard deviation: what shift and scale of a model leave.

    Source: Sun et al. 2024, arXiv:2403.01427, section 4.2 and algorithm 1; the deviation is the sample's (n - 1).

    Args:
        logits: (batch, classes), floating point, at least 2 classes.

    Raises:
        ShapeError: not (batch, classes).
    """
    require_rank(logits, 2, name="logits", wanted="(batch, classes)")
    centred = logits - logits.mean(1, keepdim=True)
    return centred / (logits.std(1, keepdim=True) + EPSILON)


def multi_temperature_loss(student_logits: Tensor, teacher_logits: Tensor, *, temperatures: Sequence[float]) -> Tensor:
    """Return the mean of the soft-target loss at several temperatures.

    Source: Jin et al. 2023 (CVPR), Multi-level Logit Distillation, section 3.2: its instance level.

    Args:
        student_logits: (batch, classes), floating point, not normalised.
        teacher_logits: the same shape; no gradient flows into it.
        temperatures: each above 0, no unit; at least one.

    Returns:
        Scalar in nats, mean over the batch and the temperatures.

    Raises:
        ShapeError: the shapes differ, or are not (batch, classes).
        InputError: there is no temperature, or one is not positive.
    """
    if not temperatures:
        raise InputError("temperatures", found="none", wanted="at least one")
    losses = [soft_target_loss(student_logits, teacher_logits, temperature=each) for each in temperatures]
    return torch.stack(losses).mean()


def transformed_teacher_loss(student_logits: Tensor, teacher_logits: Tensor, *, power: float) -> Tensor:
    """Return the mean of (sum of q) · KL(q / sum ‖ student), q the teacher's probabilities to a power.

    No temperature on the student; samples on which the teacher is unsure weigh more (WTTM).
    Source: Zheng and Yang 2024, arXiv:2402.11148, section 4.

    Args:
        student_logits: (batch, classes), floating point, not normalised.
        teacher_logits: the same shape; no gradient flows into it.
        power: above 0, to 1, no unit: 1 / T of the teacher.

    Returns:
        Scalar in nats, mean over the batch.

    Raises:
        ShapeError: the shapes differ, or are not (batch, classes).
        InputError: the power is not positive.
    """
    require_logits(student_logits, teacher_logits)
    if not power > 0:
        raise InputError(f"power {power}", found="not positive", wanted="above 0")
    raised = functional.log_softmax(teacher_logits.detach(), 1) * power
    weight = torch.logsumexp(raised, 1).exp()
    teacher = functional.log_softmax(raised, 1)
    student = functional.log_softmax(student_logits, 1)
    divergence = functional.kl_div(student, teacher, reduction="none", log_target=True).sum(1)
    return (weight * divergence).mean()


def require_logits(student_logits: Tensor, teacher_logits: Tensor) -> None:
    """Check that both are (batch, classes), of equal shape.

    Raises:
        ShapeError: they are not.
    """
    require_rank(student_logits, 2, name="student logits", wanted="(batch, classes)")
    require_equal_shapes(student_logits, teacher_logits, names=("student logits", "teacher logits"))


def require_temperature(temperature: float) -> None:
    """Check a temperature.

    Raises:
        InputError: it is not positive.
    """
    if not temperature > 0:
        raise InputError(f"temperature {temperature}", found="not positive", wanted="T > 0")
