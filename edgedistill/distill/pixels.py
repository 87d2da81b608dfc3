"""Pixels as samples: what a loss says of rows (samples, classes), it says of the pixels of a map as well.

A model that gives logits (batch, classes, height, width) is trained by the same objectives as a classifier: while one
computes its loss, the model's outputs, the teacher's, and the masks are laid out as rows, one a pixel. The losses then
are the means over pixels: cross-entropy and soft targets of each pixel, as in Liu et al. 2019, arXiv:1903.04197,
section 3.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor, nn

from edgedistill.data.masks import are_masks
from edgedistill.data.transfer_set import Batch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgedistill.distill.objective import Objective

VECTOR = 2
"""Axes of logits that have no pixels: (batch, classes)."""


def pixel_rows(logits: Tensor) -> Tensor:
    """Return logits (batch, classes, height, width) as (batch · height · width, classes); (batch, classes) as it is."""
    return logits.movedim(1, -1).flatten(0, -2) if logits.ndim > VECTOR else logits


def loss_of(
    objective: Objective, model: nn.Module, inputs: Tensor, batch: Batch, indices: NDArray[np.int64], view: int
) -> Tensor:
    """Return an objective's loss on a batch; where the labels are masks, over its pixels. Arguments as `Objective`."""
    if not are_masks(batch.labels):
        return objective(model, inputs, batch, indices, view)
    handle = model.register_forward_hook(_as_rows)
    try:
        return objective(model, inputs, _pixels_of(batch), indices, view)
    finally:
        handle.remove()


class PixelRows(nn.Module):
    """A model whose outputs are laid out as rows.

    Args:
        model: gives (batch, classes, height, width).
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (batch · height · width, classes)."""
        return pixel_rows(self.model(inputs))


def _as_rows(_module: nn.Module, _inputs: tuple[object, ...], outputs: object) -> object:
    return pixel_rows(outputs) if isinstance(outputs, Tensor) else outputs


def _pixels_of(batch: Batch) -> Batch:
    """Return a batch whose samples are pixels; its inputs stay images."""
    pixels = batch.labels[0].size if len(batch.labels) else 1
    return Batch(
        inputs=batch.inputs,
        labels=np.ascontiguousarray(batch.labels).reshape(-1),
        mixed_labels=np.ascontiguousarray(batch.mixed_labels).reshape(-1),
        mix=np.repeat(batch.mix, pixels),
    )
