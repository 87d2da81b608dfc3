"""What losses ask of their arguments' shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedistill.errors import ShapeError

if TYPE_CHECKING:
    from torch import Tensor


def require_rank(tensor: Tensor, rank: int, *, name: str, wanted: str) -> None:
    """Check the number of axes; `wanted` spells them: "(batch, classes)".

    Raises:
        ShapeError: another number of axes.
    """
    if tensor.ndim != rank:
        raise ShapeError(name, found=f"shape {tuple(tensor.shape)}", wanted=wanted)


def require_equal_shapes(first: Tensor, second: Tensor, *, names: tuple[str, str]) -> None:
    """Check that two tensors have the same shape: nothing is broadcast in a loss.

    Raises:
        ShapeError: the shapes differ.
    """
    if first.shape != second.shape:
        raise ShapeError(
            f"{names[0]} and {names[1]}",
            found=f"shapes {tuple(first.shape)} and {tuple(second.shape)}",
            wanted="equal shapes",
        )


def require_same_batch(first: Tensor, second: Tensor) -> None:
    """Check that student and teacher features are of as many samples.

    Raises:
        ShapeError: they are not, or there is no axis beside the batch.
    """
    if first.ndim < 2 or second.ndim < 2 or len(first) != len(second):  # noqa: PLR2004 - the batch and one more
        raise ShapeError(
            "student and teacher features",
            found=f"shapes {tuple(first.shape)} and {tuple(second.shape)}",
            wanted="(batch, ...) of one batch",
        )
