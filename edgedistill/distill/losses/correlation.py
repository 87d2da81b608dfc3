"""Losses that ask for the teacher's order, not its values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedistill.distill.losses.soft_targets import require_logits, require_temperature

if TYPE_CHECKING:
    from torch import Tensor

EPSILON = 1e-8  # a row without variance correlates with nothing


def correlation_loss(
    student_logits: Tensor, teacher_logits: Tensor, *, beta: float, gamma: float, temperature: float
) -> Tensor:
    """Return T² · (beta · (1 - r of the rows) + gamma · (1 - r of the columns)) of the probabilities: DIST.

    r is Pearson's correlation: of a sample's classes with each other (rows), and of the batch's samples within one
    class (columns). Source: Huang et al. 2022, arXiv:2205.10536, section 4.

    Args:
        student_logits: (batch, classes), floating point, not normalised; at least 2 samples.
        teacher_logits: the same shape; no gradient flows into it.
        beta: weight of the rows, 0 or greater.
        gamma: weight of the columns, 0 or greater.
        temperature: T > 0, no unit.

    Returns:
        Scalar, no unit; 0 to 2 T² (beta + gamma).

    Raises:
        ShapeError: the shapes differ, or are not (batch, classes).
        InputError: the temperature is not positive.
    """
    require_logits(student_logits, teacher_logits)
    require_temperature(temperature)
    student = (student_logits / temperature).softmax(1)
    teacher = (teacher_logits.detach() / temperature).softmax(1)
    rows, columns = 1 - correlations(student, teacher).mean(), 1 - correlations(student.T, teacher.T).mean()
    return temperature**2 * (beta * rows + gamma * columns)


def correlations(first: Tensor, second: Tensor) -> Tensor:
    """Return Pearson's correlation (n,) of the rows of two tensors (n, m), -1 to 1; 0 for a row without variance."""
    first, second = first - first.mean(1, keepdim=True), second - second.mean(1, keepdim=True)
    lengths = first.norm(dim=1) * second.norm(dim=1)
    found: Tensor = (first * second).sum(1) / (lengths + EPSILON)
    return found
