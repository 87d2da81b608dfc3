"""What methods ask of a teacher besides its outputs: means of its features by class, and the teacher itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from edgedistill.distill.projectors import TOKENS
from edgedistill.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from edgedistill.distill.projectors import Shape
    from edgedistill.distill.teacher_cache import SoftTargets

ROWS = 1024


class Taught:
    """Implements TeacherAccess.

    Args:
        soft_targets: the teacher's outputs.
        labels: (samples,), int64, of the transfer set; UNKNOWN (-1) where the class is not known.
        module: returns the teacher; none where only its outputs are at hand.
    """

    def __init__(
        self, soft_targets: SoftTargets, labels: NDArray[np.int64], *, module: Callable[[], nn.Module] | None = None
    ) -> None:
        self._soft_targets, self._labels, self._module = soft_targets, labels, module

    def class_means(self, layer: str) -> Tensor:
        """Return the mean of a layer's features by class, of the samples in their first view: as `TeacherAccess`."""
        width = pooled_width(self._soft_targets.shapes.features[layer])
        classes = self._soft_targets.shapes.classes
        sums, counts = torch.zeros(classes, width, dtype=torch.float64), torch.zeros(classes, dtype=torch.float64)
        for start in range(0, len(self._labels), ROWS):
            rows = np.arange(start, min(start + ROWS, len(self._labels)))
            outputs = self._soft_targets.rows(rows, 0)
            labels = torch.from_numpy(self._labels[rows])
            known = labels.where(labels >= 0, outputs.logits.argmax(1))
            sums.index_add_(0, known, pooled(outputs.features[layer]).double())
            counts.index_add_(0, known, torch.ones(len(rows), dtype=torch.float64))
        return (sums / counts.clamp(min=1)[:, None]).float()

    def classes_of_samples(self) -> Tensor:
        """Return the class of every sample: as `TeacherAccess`."""
        labels = torch.from_numpy(self._labels)
        if bool((labels >= 0).all()):
            return labels
        rows = [np.arange(start, min(start + ROWS, len(labels))) for start in range(0, len(labels), ROWS)]
        found = torch.cat([self._soft_targets.rows(part, 0).logits.argmax(1) for part in rows])
        return labels.where(labels >= 0, found)

    def module(self) -> nn.Module:
        """Return the teacher; errors as in `TeacherAccess`."""
        if self._module is None:
            raise ModelError("teacher", found="only its outputs are at hand", wanted="the model itself")
        return self._module()


def pooled(features: Tensor) -> Tensor:
    """Return one vector for each sample, (batch, width): maps and tokens are averaged over their positions.

    Args:
        features: (batch, width), (batch, tokens, width) or (batch, channels, height, width).
    """
    if features.ndim == TOKENS + 1:
        return features.mean(1)
    return features.flatten(2).mean(2) if features.ndim > TOKENS else features


def pooled_width(shape: Shape) -> int:
    """Return the width of what `pooled` gives of features of a shape, without the batch."""
    return shape[-1] if len(shape) == TOKENS else shape[0]
