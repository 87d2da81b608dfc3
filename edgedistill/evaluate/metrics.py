"""Metrics of classification."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedistill.errors import ShapeError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def accuracy(outputs: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return the share of samples whose largest output is at their label, 0 to 1.

    Args:
        outputs: (n, classes), any monotone score.
        labels: (n,), 0 to classes - 1.

    Raises:
        ShapeError: the numbers of samples differ, or there is none.
    """
    _check(outputs, labels)
    return float((outputs.argmax(1) == labels).mean())


def confusion_matrix(outputs: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return counts (classes, classes): rows are true classes, columns predicted ones. Arguments as `accuracy`."""
    _check(outputs, labels)
    classes = outputs.shape[1]
    cells = np.bincount(labels * classes + outputs.argmax(1), minlength=classes * classes)
    return cells.reshape(classes, classes)


def _check(outputs: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
    if outputs.ndim != 2 or len(outputs) != len(labels) or not len(labels):  # noqa: PLR2004 - samples and classes
        raise ShapeError(
            "evaluation",
            found=f"outputs of shape {outputs.shape} for {len(labels)} labels",
            wanted="one row of class scores per label, at least one",
        )
