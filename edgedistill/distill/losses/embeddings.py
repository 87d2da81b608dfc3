"""The embedding loss: the student's embedding learns the direction of the teacher's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from edgedistill.distill.losses.shapes import require_equal_shapes, require_rank
from edgedistill.errors import ShapeError

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


def embedding_distance_loss(student_embeddings: Tensor, teacher_embeddings: Tensor) -> Tensor:
    """Return the mean squared difference of the embeddings.

    Source: Reimers and Gurevych 2020, arXiv:2004.09813, equation 1; for embeddings whose length matters too.

    Args:
        student_embeddings: (batch, width), floating point.
        teacher_embeddings: the same shape; no gradient flows into it.

    Returns:
        Scalar, mean over all elements, in squared units of the embeddings; 0 exactly when they are equal.

    Raises:
        ShapeError: the shapes differ, or are not (batch, width).
    """
    require_rank(student_embeddings, 2, name="student embeddings", wanted="(batch, width)")
    require_equal_shapes(student_embeddings, teacher_embeddings, names=("student embeddings", "teacher embeddings"))
    return functional.mse_loss(student_embeddings, teacher_embeddings.detach())


def principal_directions(embeddings: Tensor, width: int) -> Tensor:
    """Return the directions in which embeddings differ most: a projection of a wide teacher to a narrow student.

    Source: Pearson 1901. Each direction's largest entry is positive, so that every machine agrees on the sign.

    Args:
        embeddings: (samples, wider), floating point: of at least as many samples as directions are wanted.
        width: number of directions, at most the embeddings'.

    Returns:
        (wider, width), float32, orthonormal columns; `embeddings @ directions` are the projected ones.

    Raises:
        ShapeError: there are fewer samples or a smaller width than directions.
    """
    require_rank(embeddings, 2, name="embeddings", wanted="(samples, width)")
    if width > min(embeddings.shape):
        raise ShapeError(
            "embeddings", found=f"shape {tuple(embeddings.shape)}", wanted=f"at least {width} samples and dimensions"
        )
    centred = embeddings.double() - embeddings.double().mean(0)
    _, directions = torch.linalg.eigh(centred.T @ centred)  # ascending
    chosen = directions.flip(1)[:, :width]
    largest = chosen.gather(0, chosen.abs().argmax(0, keepdim=True))
    signed: Tensor = chosen * largest.sign()
    return signed.float()
