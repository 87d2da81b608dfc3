"""Statistics of latency samples: medians with bootstrap intervals, tails only where they can be bounded."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[np.int64]

TAIL_CONFIDENCE = 0.99
OUTLIER_MADS = 5.0
MOST_REPLICATES = 2000
FEWEST_REPLICATES = 200
LARGEST_DRAW = 100_000_000
"""Numbers drawn for one interval; larger sets of samples get fewer replicates, never below the fewest."""
LARGEST_CHUNK = 1_000_000
"""Numbers drawn at once, which bounds the memory."""
MATRIX_AXES = 2


def samples_needed(share: float, *, confidence: float = TAIL_CONFIDENCE) -> int:
    """Return how many samples bound a quantile from above by their largest, whatever the distribution.

    The largest of n samples is below the quantile with probability share^n (Hahn and Meeker, Statistical
    Intervals, section 5.3). At 99 % confidence: 44 for the 90th percentile, 459 for the 99th.

    Args:
        share: the quantile, above 0 and below 1.
        confidence: above 0 and below 1.
    """
    return math.ceil(math.log(1 - confidence) / math.log(share))


def tail(samples: Samples, share: float) -> float | None:
    """Return a high quantile, or None where there are too few samples to bound it.

    The value is one that was observed (the inverse of the empirical distribution), never an interpolation.

    Args:
        samples: (n,), any unit.
        share: the quantile, above 0 and below 1.
    """
    if len(samples) < samples_needed(share):
        return None
    return float(np.quantile(samples, share, method="inverted_cdf"))


def median_absolute_deviation(samples: Samples) -> float:
    """Return the median distance from the median, not scaled, in the samples' own unit."""
    return float(np.median(np.abs(samples - np.median(samples))))


def outlier_count(samples: Samples) -> int:
    """Return how many samples lie further than 5 MAD from the median. They are counted, never removed."""
    limit = OUTLIER_MADS * median_absolute_deviation(samples)
    return int(np.count_nonzero(np.abs(samples - np.median(samples)) > limit))


def median_interval(processes: Samples, *, seed: int) -> tuple[float, float]:
    """Return the 95 % interval of the median over all samples: bootstrap over processes, then samples.

    Processes differ by more than their samples do (memory layout, frequency), so whole processes are drawn
    with replacement first, then samples within each. Source: Kalibera and Jones 2013, "Rigorous benchmarking
    in reasonable time", section 6. With fewer than five processes the interval is too narrow.

    Args:
        processes: (processes, samples), any unit.
        seed: of the random draws; the same seed gives the same interval.

    Raises:
        DataError: there is no process, or no sample.
    """
    if processes.ndim != MATRIX_AXES or not processes.size:
        raise DataError("latency samples", found=f"shape {processes.shape}", wanted="(processes, samples), none 0")
    rng = np.random.default_rng(seed)
    replicates = max(FEWEST_REPLICATES, min(MOST_REPLICATES, LARGEST_DRAW // processes.size))
    at_once = max(1, LARGEST_CHUNK // processes.size)
    medians = [
        _medians(processes, rng, replicates=min(at_once, replicates - start)) for start in range(0, replicates, at_once)
    ]
    low, high = np.quantile(np.concatenate(medians), (0.025, 0.975))
    return float(low), float(high)


def _medians(processes: Samples, rng: np.random.Generator, *, replicates: int) -> NDArray[np.float64]:
    count, samples = processes.shape
    chosen = rng.integers(count, size=(replicates, count, 1))
    drawn = processes[chosen, rng.integers(samples, size=(replicates, count, samples))]
    return np.asarray(np.median(drawn, axis=(1, 2)), np.float64)
