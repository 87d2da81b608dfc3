"""Crop, shift and mirror many images at once, each by its own parameters, on uint8 pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedistill.data.arrays import PRECISION_BITS, resize_taps

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]


def cropped(images: Pixels, boxes: NDArray[np.int32]) -> Pixels:
    """Return boxes cut out and enlarged to the whole size: `arrays.resize_image` of many boxes at once.

    Args:
        images: (batch, height, width, channels), uint8.
        boxes: (batch, 4): top, left, height, width in pixels, each box within its image.

    Returns:
        The same shape, uint8.
    """
    top, left, rows, columns = boxes.T
    _, height, width, _ = images.shape
    indices, weights = _stacked_taps(columns, width)
    across = (left[:, None, None] + indices)[:, None]
    every_row = np.arange(height)[:, None]
    images = _weighted(
        (_gathered(images, every_row, across[..., tap]), weights[:, None, :, tap]) for tap in range(weights.shape[-1])
    )
    indices, weights = _stacked_taps(rows, height)
    down = (top[:, None, None] + indices)[:, :, None]
    every_column = np.arange(width)
    return _weighted(
        (_gathered(images, down[..., tap], every_column), weights[:, :, None, tap]) for tap in range(weights.shape[-1])
    )


def shifted(images: Pixels, shift: NDArray[np.int32]) -> Pixels:
    """Return images moved by (down, right) pixels, 0 where nothing was.

    Args:
        images: (batch, height, width, channels), uint8.
        shift: (batch, 2) in pixels, negative for up and left.

    Returns:
        The same shape, uint8.
    """
    _, height, width, _ = images.shape
    rows, columns = np.arange(height) - shift[:, :1], np.arange(width) - shift[:, 1:]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None]
    rows, columns = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    moved = _gathered(images, rows[:, :, None], columns[:, None])
    moved *= inside[..., None]
    return moved


def mirrored(images: Pixels, flip: NDArray[np.bool_]) -> Pixels:
    """Return images (batch, height, width, channels) mirrored left to right where `flip` (batch,) says so."""
    result = images.copy()
    result[flip] = images[flip, :, ::-1]
    return result


def _stacked_taps(sources: NDArray[np.int32], target: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return `resize_taps` of many lengths up to `target`: indices and weights (batch, target, taps)."""
    lengths, place = np.unique(sources, return_inverse=True)
    taps = [resize_taps(int(length), target) for length in lengths]
    most = max(weights.shape[1] for _, weights in taps)
    indices = np.zeros((len(lengths), target, most), np.int64)
    weights = np.zeros((len(lengths), target, most), np.int32)
    for row, (some_indices, some_weights) in enumerate(taps):
        indices[row, :, : some_indices.shape[1]] = some_indices
        weights[row, :, : some_weights.shape[1]] = some_weights
    return indices[place], weights[place]


def _weighted(parts: Iterable[tuple[Pixels, NDArray[np.int32]]]) -> Pixels:
    """Return the sum of pixels times weights, rounded as in `resize_image`."""
    total: NDArray[np.int32] = np.array(1 << (PRECISION_BITS - 1), np.int32)
    for pixels, weights in parts:
        total = total + pixels.astype(np.int32) * weights[..., None]
    return (total >> PRECISION_BITS).astype(np.uint8)


def _gathered(images: Pixels, rows: NDArray[np.integer], columns: NDArray[np.integer]) -> Pixels:
    """Return pixels (batch, height, width, channels); the indices broadcast to (batch, height, width)."""
    count, height, width, channels = images.shape
    first = (np.arange(count) * height)[:, None, None]
    pixels: Pixels = np.take(images.reshape(-1, channels), (first + rows) * width + columns, axis=0)
    return pixels
