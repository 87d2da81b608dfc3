"""Change points of a series: where its level steps, found by optimal partitioning."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Series = NDArray[np.float64]

SHORTEST = 5
"""Points of the shortest segment."""
WINDOW = 9
"""Points of the running median that spikes are clipped to."""
CLIP = 3.0
"""A point counts as at most so many noise deviations off the running median: a spike is no change of level."""
PENALTY = 3.0
"""Times the logarithm of the length, in units of the noise's variance, for each change. 2 would be Schwarz's."""
SMALLEST_NOISE = 1e-6
GAUSSIAN_MAD = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""


def change_points(series: Series) -> list[int]:
    """Return where the level changes: the indices at which a new segment begins, ascending.

    Minimises squared distance from each segment's mean, plus a penalty for each change (optimal partitioning, Jackson
    et al. 2005; the partition is the one that PELT finds, Killick et al. 2012, arXiv:1101.1438, with every start kept,
    because the series here are short). Spikes are clipped first.

    Args:
        series: (n,), any unit; n^2 is the work.
    """
    count = len(series)
    if count < 2 * SHORTEST:
        return []
    noise = max(noise_of(series), SMALLEST_NOISE)
    scaled = _without_spikes(series, noise) / noise
    sums = np.concatenate([[0.0], np.cumsum(scaled)])
    squares = np.concatenate([[0.0], np.cumsum(scaled**2)])
    penalty = PENALTY * math.log(count)
    best = np.full(count + 1, np.inf)
    best[0] = -penalty
    last = np.zeros(count + 1, np.int64)
    for end in range(SHORTEST, count + 1):
        starts = np.arange(end - SHORTEST + 1)
        lengths = end - starts
        costs = squares[end] - squares[starts] - (sums[end] - sums[starts]) ** 2 / lengths
        totals = best[starts] + costs + penalty
        last[end] = int(np.argmin(totals))
        best[end] = totals[last[end]]
    return _traced(last, count)


def noise_of(series: Series) -> float:
    """Return the standard deviation of a point around its level, from differences of neighbours: steps hardly count."""
    differences = np.diff(series)
    return GAUSSIAN_MAD * float(np.median(np.abs(differences - np.median(differences)))) / math.sqrt(2)


def _without_spikes(series: Series, noise: float) -> Series:
    half = WINDOW // 2
    padded = np.pad(series, half, mode="edge")
    centre = np.median(np.lib.stride_tricks.sliding_window_view(padded, WINDOW), axis=1)
    return np.clip(series, centre - CLIP * noise, centre + CLIP * noise)


def _traced(last: NDArray[np.int64], count: int) -> list[int]:
    found, end = [], count
    while end > 0:
        end = int(last[end])
        found.append(end)
    return sorted(found)[1:]
