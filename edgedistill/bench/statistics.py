"""Statistics of latency samples: quantiles with intervals that hold whatever the distribution, and across processes."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.bench.student import student_quantile
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Samples = NDArray[np.int64]

TAIL_CONFIDENCE = 0.99
INTERVAL_CONFIDENCE = 0.95
OUTLIER_MADS = 5.0
ENUMERATED_PROCESSES = 5
"""Up to so many, every draw of processes is taken once, with its probability; above, they are drawn at random."""
DRAWS = 2000
SKETCH = 2001
"""Quantiles that stand for the samples of one process in a draw of processes."""
FEWEST_BATCHES = 8


def samples_needed(share: float, *, confidence: float = TAIL_CONFIDENCE) -> int:
    """Return how many samples bound a quantile from above by their largest, whatever the distribution.

    The largest of n samples is below the quantile with probability share^n (Hahn and Meeker, Statistical
    Intervals, section 5.3). At 99 % confidence: 44 for the 90th percentile, 459 for the 99th.

    Args:
        share: the quantile, above 0 and below 1.
        confidence: above 0 and below 1.
    """
    return math.ceil(math.log(1 - confidence) / math.log(share))


def interval_samples_needed(share: float, *, confidence: float = INTERVAL_CONFIDENCE) -> int:
    """Return how many samples give a quantile a two-sided interval: from the smallest to the largest of them.

    Both ends are beside the quantile with probability 1 - share^n - (1 - share)^n, each side at most half of the rest.
    At 95 %: 6 for the median, 36 for the 90th percentile, 368 for the 99th.
    """
    return max(math.ceil(math.log((1 - confidence) / 2) / math.log(side)) for side in (share, 1 - share))


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


def quantile_interval(
    samples: Samples, share: float, *, confidence: float = INTERVAL_CONFIDENCE, correlation: float = 1.0
) -> tuple[float, float] | None:
    """Return a two-sided interval of a quantile between two samples, whatever the distribution; None below the count.

    How many of n independent samples lie below the quantile is binomial; the ranks are its quantiles (Hahn and
    Meeker, Statistical Intervals, section 5.2). Each side is wrong with at most half of what the confidence leaves.

    Args:
        samples: (n,), any unit.
        share: the quantile, above 0 and below 1.
        confidence: above 0 and below 1.
        correlation: variance of the count below the quantile, as a multiple of independent samples' (see
            `correlation_time`); the ranks move apart by its square root.
    """
    if len(samples) < interval_samples_needed(share, confidence=confidence):
        return None
    low, high = _ranks(len(samples), share, confidence)
    centre, stretch = len(samples) * share, math.sqrt(correlation)
    low = max(1, math.floor(centre - (centre - low) * stretch))
    high = min(len(samples), math.ceil(centre + (high - centre) * stretch))
    found = np.partition(samples, (low - 1, high - 1))
    return float(found[low - 1]), float(found[high - 1])


def upper_bound(samples: Samples, share: float, *, confidence: float = TAIL_CONFIDENCE) -> float | None:
    """Return the smallest sample that is above a quantile with this confidence; None below `samples_needed`."""
    if len(samples) < samples_needed(share, confidence=confidence):
        return None
    below = _binomial_cdf(len(samples), share)
    rank = int(np.searchsorted(below, confidence)) + 1
    return float(np.partition(samples, min(rank, len(samples)) - 1)[min(rank, len(samples)) - 1])


def correlation_time(samples: Samples, share: float) -> float:
    """Return how much more the count below a quantile varies than with independent samples; 1 where no more.

    Measured by batch means: the variance of the share below the quantile between batches of consecutive samples,
    against p(1-p) over the batch's length. What chance alone explains (one standard error) is 1.

    Args:
        samples: (n,), in the order they were taken.
        share: the quantile.
    """
    batches = math.isqrt(len(samples))
    if batches < FEWEST_BATCHES:
        return 1.0
    length = len(samples) // batches
    below = samples[: batches * length] <= np.quantile(samples, share)
    spread = below.mean()
    if not 0 < spread < 1:
        return 1.0
    means = below.reshape(batches, length).mean(axis=1)
    found = float(means.var(ddof=1) * length / (spread * (1 - spread)))
    return found if found > 1 + math.sqrt(2 / (batches - 1)) else 1.0


def interval_across_processes(
    processes: Sequence[Samples], *, share: float = 0.5, confidence: float = INTERVAL_CONFIDENCE, seed: int = 0
) -> tuple[float, float]:
    """Return the interval of a quantile over all samples, by a bootstrap over processes.

    Processes differ by more than their samples do (memory layout, frequency), so whole processes are drawn with
    replacement and their samples kept (Davison and Hinkley 1997, section 3.8; Kalibera and Jones 2013, "Rigorous
    benchmarking in reasonable time", section 6). The percentiles of so few processes would be too narrow; the interval
    is the draws' standard deviation, on a logarithmic scale, times Student's t with one degree of freedom less than
    processes, corrected for the bootstrap's narrowness, sqrt(k / (k - 1)) (Hesterberg 2015, arXiv:1411.5279, section
    3.2). One process says nothing of others: its interval is `quantile_interval` with its own `correlation_time`.

    Args:
        processes: samples of each, above 0, in the order they were taken.
        share: the quantile.
        confidence: above 0 and below 1.
        seed: of the draws, where they are random (more than five processes).

    Raises:
        DataError: there is no process, or one without samples, or a single one with too few.
    """
    if not processes or not all(len(samples) for samples in processes):
        raise DataError("latency samples", found="a process without samples", wanted="at least one of each")
    if len(processes) == 1:
        return _within(processes[0], share, confidence)
    count = len(processes)
    centre = math.log(_pooled_quantile(processes, share))
    quantiles, weights = _draws(processes, share, seed)
    logs = np.log(quantiles)
    mean = float(weights @ logs)
    error = math.sqrt(float(weights @ (logs - mean) ** 2) * count / (count - 1))
    reach = student_quantile((1 + confidence) / 2, degrees=count - 1) * error
    return math.exp(centre - reach), math.exp(centre + reach)


def _within(samples: Samples, share: float, confidence: float) -> tuple[float, float]:
    found = quantile_interval(samples, share, confidence=confidence, correlation=correlation_time(samples, share))
    if found is None:
        wanted = f"at least {interval_samples_needed(share, confidence=confidence)}"
        raise DataError("latency samples", found=f"{len(samples)} of one process", wanted=wanted)
    return found


def _pooled_quantile(processes: Sequence[Samples], share: float) -> float:
    pooled = np.concatenate(processes)
    return float(np.median(pooled)) if share == 0.5 else float(np.quantile(pooled, share, method="inverted_cdf"))  # noqa: PLR2004 - the median is the mean of two


def _draws(processes: Sequence[Samples], share: float, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the quantile of each draw of processes, and the draw's probability."""
    sketches = [_sketch(samples) for samples in processes]
    values = np.concatenate(sketches)
    owners = np.repeat(np.arange(len(processes)), [len(sketch) for sketch in sketches])
    # each sketch point stands for so many samples of its process
    mass = np.repeat(
        [len(samples) / len(sketch) for samples, sketch in zip(processes, sketches, strict=True)],
        [len(sketch) for sketch in sketches],
    )
    order = np.argsort(values, kind="stable")
    values, owners, mass = values[order], owners[order], mass[order]
    times, weights = _multiplicities(len(processes), seed)
    found = np.empty(len(times))
    for index, multiplicity in enumerate(times):
        below = np.cumsum(mass * multiplicity[owners])
        found[index] = values[np.searchsorted(below, share * below[-1])]
    return found, weights


def _sketch(samples: Samples) -> NDArray[np.float64]:
    if len(samples) <= SKETCH:
        return np.sort(samples).astype(np.float64)
    shares = (np.arange(SKETCH) + 0.5) / SKETCH
    return np.asarray(np.quantile(samples, shares, method="inverted_cdf"), np.float64)


def _multiplicities(count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return how often each process is in each draw, (draws, processes), and the draws' probabilities."""
    if count > ENUMERATED_PROCESSES:
        drawn = np.random.default_rng(seed).multinomial(count, [1 / count] * count, size=DRAWS)
        return drawn, np.full(DRAWS, 1 / DRAWS)
    rows = [
        np.bincount(chosen, minlength=count) for chosen in itertools.combinations_with_replacement(range(count), count)
    ]
    ways = [math.factorial(count) / math.prod(math.factorial(int(times)) for times in row) for row in rows]
    return np.array(rows), np.array(ways) / float(count) ** count


def _ranks(count: int, share: float, confidence: float) -> tuple[int, int]:
    """Return the ranks, from 1, of the samples that a quantile lies between."""
    below, side = _binomial_cdf(count, share), (1 - confidence) / 2
    low = int(np.searchsorted(below, side, side="right"))  # the largest rank with P(count below < rank) <= side
    high = int(np.searchsorted(below, 1 - side)) + 1
    return max(1, low), min(count, high)


def _binomial_cdf(count: int, share: float) -> NDArray[np.float64]:
    """Return P(X <= k) for k from 0 to count, X binomial; from ratios of neighbours, so that nothing underflows."""
    successes = np.arange(count)
    steps = np.log((count - successes) / (successes + 1)) + math.log(share / (1 - share))
    logs = np.concatenate([[0.0], np.cumsum(steps)])
    probabilities = np.exp(logs - logs.max())
    return np.asarray(np.cumsum(probabilities) / probabilities.sum())
