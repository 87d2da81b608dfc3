"""Norm and direction of embeddings: the student's points to its class's mean of the teacher, and is no shorter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from edgedistill.distill.losses.shapes import require_equal_shapes, require_rank
from edgedistill.errors import ShapeError

if TYPE_CHECKING:
    from torch import Tensor

EPSILON = 1e-12  # an embedding of length 0 points nowhere: its loss is 1


def norm_direction_loss(
    student_embeddings: Tensor, teacher_embeddings: Tensor, class_means: Tensor, targets: Tensor
) -> Tensor:
    """Return the mean of 1 - (student · direction of its class's mean) / the larger of the two lengths: ND, of KD++.

    It asks for direction and length at once: for a student shorter than the teacher it grows with the length too.
    Source: Wang et al. 2023, arXiv:2305.17007, section 3.3.

    Args:
        student_embeddings: (batch, width), floating point, projected to the teacher's width: of the layer before the
            logits.
        teacher_embeddings: the same shape; no gradient flows into it.
        class_means: (classes, width): the mean of the teacher's embeddings of each class; a row of zeros gives a
            loss of 1 and no gradient.
        targets: (batch,), int64, 0 to classes - 1.

    Returns:
        Scalar, 0 to 2, no unit; 0 exactly where each student embedding has its class's direction and is at least
        as long as the teacher's.

    Raises:
        ShapeError: the shapes do not go together.
    """
    require_rank(student_embeddings, 2, name="student embeddings", wanted="(batch, width)")
    require_equal_shapes(student_embeddings, teacher_embeddings, names=("student embeddings", "teacher embeddings"))
    _require_rows(student_embeddings, class_means, targets)
    directions = functional.normalize(class_means.detach()[targets], dim=1)
    lengths = torch.maximum(student_embeddings.norm(dim=1), teacher_embeddings.detach().norm(dim=1))
    along: Tensor = (student_embeddings * directions).sum(1)
    return (1 - along / lengths.clamp(min=EPSILON)).mean()


def _require_rows(embeddings: Tensor, class_means: Tensor, targets: Tensor) -> None:
    """Check that means are as wide as embeddings, and targets as many."""
    batch, width = embeddings.shape
    if class_means.ndim != 2 or class_means.shape[1] != width:  # noqa: PLR2004 - (classes, width)
        raise ShapeError("class means", found=f"shape {tuple(class_means.shape)}", wanted=f"(classes, {width})")
    if targets.shape != (batch,):
        raise ShapeError("targets", found=f"shape {tuple(targets.shape)}", wanted=f"({batch},)")
