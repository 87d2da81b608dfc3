"""The embedding loss: the student's embedding learns the direction of the teacher's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn import functional

from edgedistill.distill.losses.shapes import require_equal_shapes, require_rank

if TYPE_CHECKING:
    from torch import Tensor


def embedding_loss(student_embeddings: Tensor, teacher_embeddings: Tensor) -> Tensor:
    """Return the mean of 1 - cosine between each embedding and the teacher's.

    Half the squared distance of the embeddings scaled to length 1: Reimers and Gurevych 2020, arXiv:2004.09813,
    section 3, for embeddings that are compared by their cosine.

    Args:
        student_embeddings: (batch, width), floating point.
        teacher_embeddings: the same shape; no gradient flows into it.

    Returns:
        Scalar, 0 to 2, no unit; 0 exactly when all directions are equal.

    Raises:
        ShapeError: the shapes differ, or are not (batch, width).
    """
    require_rank(student_embeddings, 2, name="student embeddings", wanted="(batch, width)")
    require_equal_shapes(student_embeddings, teacher_embeddings, names=("student embeddings", "teacher embeddings"))
    return (1 - functional.cosine_similarity(student_embeddings, teacher_embeddings.detach(), dim=1)).mean()
