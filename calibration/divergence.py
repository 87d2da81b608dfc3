"""The clipping threshold whose rounded distribution is nearest to the values' own, by relative entropy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgedistill.calibration.histogram import Distribution

CELLS = 4096
"""Equal parts of the range from 0 to the largest absolute value."""

STRIDE = 16
"""Thresholds are tried at every so many cells."""

FLOOR = 1e-9
"""Share of all values that is put where rounding leaves none and values occur: the divergence would be infinite."""


def least_divergent_threshold(distribution: Distribution, *, levels: int) -> float:
    """Return the threshold on absolute values with the least KL(values, clipped || rounded), in nats.

    Source: Migacz 2017, "8-bit inference with TensorRT". Zero is exact at every threshold, so the first cell, which
    after a ReLU holds half of all values, counts as much as its neighbour, as in NVIDIA's own calibrator.

    Args:
        distribution: of the values.
        levels: magnitudes that codes can stand for, at most CELLS.

    Returns:
        A multiple of STRIDE / CELLS of the largest absolute value, at least levels / CELLS of it; 0 where all
        values are 0.
    """
    top = max(abs(distribution.lower[0]), abs(distribution.upper[-1]))
    if top == 0:
        return 0.0
    counts = _cells(distribution, top)
    counts[0] = counts[1]
    tried = sorted({*range(levels, CELLS, STRIDE), CELLS})
    divergences = [_divergence(counts, kept, levels=levels) for kept in tried]
    return float(top * tried[int(np.argmin(divergences))] / CELLS)


def _cells(distribution: Distribution, top: float) -> NDArray[np.float64]:
    """Return how many absolute values each of the equal cells holds (CELLS,), bins spread evenly over cells."""
    edges = np.linspace(0, top, CELLS + 1)
    return _spread(distribution.lower, distribution.upper, distribution.counts, edges) + _spread(
        -distribution.upper[::-1], -distribution.lower[::-1], distribution.counts[::-1], edges
    )


def _spread(
    lower: NDArray[np.float64], upper: NDArray[np.float64], counts: NDArray[np.float64], edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the counts of the bins with positive values, spread over cells."""
    positive = upper > 0
    lower, upper, counts = np.maximum(lower[positive], 0), upper[positive], counts[positive]
    if not counts.size:
        return np.zeros(edges.size - 1)
    below = np.append(0, np.cumsum(counts))
    lower = np.minimum(lower, np.nextafter(upper, -np.inf))  # a bin of one value still has a width
    places = np.stack([lower, upper], axis=1).ravel()
    heights = np.stack([below[:-1], below[1:]], axis=1).ravel()
    return np.diff(np.interp(edges, places, heights))


def _divergence(counts: NDArray[np.float64], kept: int, *, levels: int) -> float:
    """Return KL(P || Q) where P keeps so many cells and piles the rest on the last, and Q has `levels` heights."""
    reference = counts[:kept].copy()
    starts = np.rint(np.linspace(0, kept, levels + 1)).astype(np.int64)[:-1]
    occupied = reference > 0
    mass = np.add.reduceat(reference, starts)
    cells = np.add.reduceat(occupied.astype(np.float64), starts)
    heights = mass / np.maximum(cells, 1)
    rounded = np.where(occupied, np.repeat(heights, np.diff(np.append(starts, kept))), 0)
    reference[-1] += counts[kept:].sum()
    total = reference.sum()
    rounded = np.where((reference > 0) & (rounded == 0), FLOOR * total, rounded)
    present = reference > 0
    p, q = reference[present] / total, rounded[present] / rounded.sum()
    return float((p * np.log(p / q)).sum())
