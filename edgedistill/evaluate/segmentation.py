"""Judges maps of classes: mean intersection over union, and the share of pixels that are right."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.errors import ShapeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNKNOWN = -1


@dataclass(frozen=True)
class MaskJudge:
    """Segmentation: the mean over classes of intersection over union, over the pixels of all samples together.

    Source: Everingham et al. 2010, doi:10.1007/s11263-009-0275-4, section 4.2.2 (the segmentation measure of the
    PASCAL VOC), with what is no object as a class of its own.

    Args:
        masks: (n, height, width), of the evaluation set; UNKNOWN where a pixel's class is not known, which then does
            not count.
    """

    masks: NDArray[np.int64]
    metric: str = "mean IoU"

    def score(self, outputs: NDArray[np.float32]) -> float:
        """Return the mean IoU, 0 to 1, of the classes that are there or predicted; outputs (n, classes, h, w)."""
        return mean_iou(self.counts(outputs))

    def counts(self, outputs: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return counts of pixels (classes, classes): rows are true classes, columns predicted ones.

        Raises:
            ShapeError: the outputs are no maps of the masks' size, or no pixel has a known class.
        """
        masks = self.masks[: len(outputs)]
        if outputs.ndim != 4 or masks.shape != (len(outputs), *outputs.shape[2:]) or not (masks != UNKNOWN).any():  # noqa: PLR2004 - maps
            raise ShapeError("evaluation", found=f"outputs {outputs.shape} for masks {masks.shape}", wanted="maps")
        known, classes = masks != UNKNOWN, outputs.shape[1]
        cells = np.bincount(masks[known] * classes + outputs.argmax(1)[known], minlength=classes * classes)
        return cells.reshape(classes, classes)

    def count(self, rows: int) -> int:
        """Return how many of the first so many samples have a pixel of a known class."""
        return int(self._known[:rows].sum())

    def answers(self, outputs: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the class of each pixel (n, height, width)."""
        found: NDArray[np.int64] = outputs.argmax(1)
        return found

    @cached_property
    def _known(self) -> NDArray[np.bool_]:
        known: NDArray[np.bool_] = (self.masks != UNKNOWN).any((1, 2))
        return known


def mean_iou(counts: NDArray[np.int64]) -> float:
    """Return the mean of intersection over union over the classes with either; counts (classes, classes)."""
    right = counts.diagonal()
    either = counts.sum(0) + counts.sum(1) - right
    return float((right[either > 0] / either[either > 0]).mean())


def pixel_accuracy(counts: NDArray[np.int64]) -> float:
    """Return the share of pixels that are right, 0 to 1; counts (classes, classes)."""
    return float(counts.trace() / counts.sum())
