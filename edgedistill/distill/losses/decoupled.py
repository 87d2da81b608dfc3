"""Losses that treat a sample's own class and the other classes apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from edgedistill.distill.losses.soft_targets import require_logits, require_temperature
from edgedistill.errors import ShapeError

if TYPE_CHECKING:
    from torch import Tensor


def decoupled_loss(
    student_logits: Tensor, teacher_logits: Tensor, targets: Tensor, *, alpha: float, beta: float, temperature: float
) -> Tensor:
    """Return T² · (alpha · TCKD + beta · NCKD): DKD.

    TCKD is the divergence of "the class, or any other"; NCKD that of the distributions over the other classes. With
    alpha 1 and beta the teacher's probability of the other classes it would be the soft-target loss.
    Source: Zhao et al. 2022, arXiv:2203.08679, equation 7.

    Args:
        student_logits: (batch, classes), floating point, not normalised, at least 2 classes.
        teacher_logits: the same shape; no gradient flows into it.
        targets: (batch,), int64, 0 to classes - 1.
        alpha: weight of TCKD, 0 or greater.
        beta: weight of NCKD, 0 or greater.
        temperature: T > 0, no unit.

    Returns:
        Scalar in nats, mean over the batch; 0 exactly when the logits are equal.

    Raises:
        ShapeError: the shapes do not go together.
        InputError: the temperature is not positive.
    """
    _require(student_logits, teacher_logits, targets, temperature=temperature)
    student, teacher = student_logits / temperature, teacher_logits.detach() / temperature
    of_target = _divergence(_target_or_not(teacher, targets), _target_or_not(student, targets))
    of_others = _divergence(_others(teacher, targets).log_softmax(1), _others(student, targets).log_softmax(1))
    return temperature**2 * (alpha * of_target + beta * of_others).mean()


def normalized_loss(
    student_logits: Tensor, teacher_logits: Tensor, targets: Tensor, *, gamma: float, temperature: float
) -> Tensor:
    """Return -p_t log p_s of the class - gamma T² · sum of p̂_t log p̂_s over the other classes: NKD.

    p̂ are the distributions over the other classes at the temperature, which sum to 1 for both, so that the student
    can follow the teacher. A cross-entropy: at equality it is the teacher's entropy, not 0.
    Source: Yang et al. 2023, arXiv:2303.13005, equation 7.

    Args:
        student_logits: (batch, classes), floating point, not normalised, at least 2 classes.
        teacher_logits: the same shape; no gradient flows into it.
        targets: (batch,), int64, 0 to classes - 1.
        gamma: weight of the other classes, 0 or greater.
        temperature: T > 0, no unit; of the other classes.

    Returns:
        Scalar in nats, mean over the batch.

    Raises:
        ShapeError: the shapes do not go together.
        InputError: the temperature is not positive.
    """
    _require(student_logits, teacher_logits, targets, temperature=temperature)
    teacher_logits, own = teacher_logits.detach(), targets[:, None]
    of_target = teacher_logits.softmax(1).gather(1, own) * student_logits.log_softmax(1).gather(1, own)
    teacher, student = _others(teacher_logits, targets), _others(student_logits, targets)
    of_others = (teacher / temperature).softmax(1) * (student / temperature).log_softmax(1)
    return -(of_target[:, 0] + gamma * temperature**2 * of_others.sum(1)).mean()


def _require(student_logits: Tensor, teacher_logits: Tensor, targets: Tensor, *, temperature: float) -> None:
    require_logits(student_logits, teacher_logits)
    require_temperature(temperature)
    if student_logits.shape[1] < 2:  # noqa: PLR2004 - a class and another
        raise ShapeError("logits", found=f"shape {tuple(student_logits.shape)}", wanted="at least 2 classes")
    if targets.shape != student_logits.shape[:1]:
        raise ShapeError("targets", found=f"shape {tuple(targets.shape)}", wanted=f"({len(student_logits)},)")


def _others(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the logits of the other classes, (batch, classes - 1)."""
    batch, classes = logits.shape
    others = torch.ones_like(logits, dtype=torch.bool).scatter_(1, targets[:, None], value=False)
    return logits[others].view(batch, classes - 1)


def _target_or_not(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the log probabilities (batch, 2) of the class and of all others together."""
    own = logits.gather(1, targets[:, None])
    rest = _others(logits, targets).logsumexp(1, keepdim=True)
    return torch.cat([own, rest], 1).log_softmax(1)


def _divergence(teacher: Tensor, student: Tensor) -> Tensor:
    """Return KL(teacher ‖ student) of log probabilities, (batch,)."""
    return functional.kl_div(student, teacher, reduction="none", log_target=True).sum(1)
