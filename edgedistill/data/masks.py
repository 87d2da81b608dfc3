"""Masks: labels with a class for every pixel; how they move with their image, and what class a whole one stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedistill.data.transfer_set import UNKNOWN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgedistill.data.view_draws import ViewDraw

    Masks = NDArray[np.int64]

AXES = 3
"""Axes of masks: samples, height, width."""


def are_masks(labels: Masks) -> bool:
    """Tell whether labels are masks (n, height, width), rather than one class a sample (n,)."""
    return labels.ndim == AXES


def moved(masks: Masks, draw: ViewDraw, chosen: NDArray[np.int64]) -> Masks:
    """Return masks moved as their images are by a view: cropped, then shifted, then mirrored.

    Args:
        masks: (batch, height, width), int64.
        draw: of the view, for all samples.
        chosen: (batch,), int64: which samples they are.

    Returns:
        The same shape; a crop takes the class of the nearest pixel, and what a shift brings in from outside is UNKNOWN.
    """
    _, height, width = masks.shape
    rows, columns = (np.broadcast_to(np.arange(size), (len(masks), size)) for size in (height, width))
    inside = np.ones(masks.shape, np.bool_)
    if draw.flip is not None:
        columns = np.where(draw.flip[chosen, None], width - 1 - columns, columns)
    if draw.shift is not None:
        rows, columns = rows - draw.shift[chosen, :1], columns - draw.shift[chosen, 1:]
        inside = _within(rows, height)[:, :, None] & _within(columns, width)[:, None]
        rows, columns = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    if draw.crop is not None:
        top, left, tall, wide = draw.crop[chosen].T[..., None].astype(np.int64)
        rows = top + (2 * rows + 1) * tall // (2 * height)
        columns = left + (2 * columns + 1) * wide // (2 * width)
    found = masks[np.arange(len(masks))[:, None, None], rows[:, :, None], columns[:, None]]
    return np.where(inside, found, UNKNOWN)


def strata(labels: Masks) -> NDArray[np.int64]:
    """Return one class for each sample, to choose samples evenly by: its label, or what its mask has most of.

    That is the class whose share of the mask's known pixels is largest beside its share of all masks; so a rare class
    counts where it stands.

    Args:
        labels: (n,) or (n, height, width), int64, 0 or greater, or UNKNOWN.

    Returns:
        (n,), int64; UNKNOWN where nothing is known.
    """
    if not are_masks(labels):
        return labels
    classes = max(int(labels.max(initial=0)), 0) + 1
    counts = np.stack([(labels == label).sum((1, 2)) for label in range(classes)], 1)
    shares = counts / np.maximum(counts.sum(0), 1)
    found: NDArray[np.int64] = np.where(counts.any(1), shares.argmax(1), UNKNOWN)
    return found


def _within(places: NDArray[np.int64], size: int) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (places >= 0) & (places < size)
    return inside
