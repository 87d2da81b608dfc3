"""Attention transfer: where the student's features are strong, as those of the teacher are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

from edgedistill.distill.losses.shapes import require_same_batch
from edgedistill.errors import ShapeError

if TYPE_CHECKING:
    from torch import Tensor

MAP, TOKENS = 4, 3


def attention_transfer_loss(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Return the mean squared difference of the normalised spatial attention maps.

    Source: Zagoruyko and Komodakis 2016, arXiv:1612.03928, section 3.1: the sum over channels of the squared features,
    scaled to length 1. The mean over positions, as in the authors' code, so that their weight holds; where the
    resolutions differ, the finer features are averaged first. Paper's weight: 1000.

    Args:
        student_features: maps (batch, channels, height, width) or tokens (batch, tokens, width), floating point.
        teacher_features: the same kind, with any number of channels; no gradient flows into it.

    Returns:
        Scalar, 0 to 4, no unit; 0 exactly when the attention maps are equal up to scale.

    Raises:
        ShapeError: one is a map and the other tokens, or the numbers of tokens differ.
    """
    require_same_batch(student_features, teacher_features)
    student, teacher = at_one_resolution(student_features, teacher_features.detach())
    return functional.mse_loss(attention_map(student), attention_map(teacher))


def attention_map(features: Tensor) -> Tensor:
    """Return the mean square over channels of each position, (batch, positions), scaled to length 1 per sample.

    Args:
        features: maps (batch, channels, height, width) or tokens (batch, tokens, width).
    """
    energy = features.square().mean(1 if features.ndim == MAP else 2).flatten(1)
    return functional.normalize(energy, dim=1)


def at_one_resolution(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Return both features at the coarser of the two resolutions, by adaptive average pooling; tokens as they are.

    Args:
        student: maps (batch, channels, height, width) or tokens (batch, tokens, width).
        teacher: the same kind.

    Raises:
        ShapeError: they are of unlike kind, or tokens of unlike number.
    """
    maps = student.ndim == teacher.ndim == MAP
    tokens = student.ndim == teacher.ndim == TOKENS and student.shape[1] == teacher.shape[1]
    if not (maps or tokens):
        raise ShapeError(
            "student and teacher features",
            found=f"shapes {tuple(student.shape)} and {tuple(teacher.shape)}",
            wanted="two maps (batch, channels, height, width), or as many tokens (batch, tokens, width) each",
        )
    if tokens or student.shape[2:] == teacher.shape[2:]:
        return student, teacher
    size = min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3])
    pool = functional.adaptive_avg_pool2d
    return pool(student, size), pool(teacher, size)
