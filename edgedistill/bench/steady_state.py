"""Whether one process reached a steady state, where it began, and what came before.

The classes are those of Barrett et al. 2017, "Virtual machine warmup blows hot and cold" (OOPSLA, section 4), with two
that devices add: two alternating modes, and throttling.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.bench.change_points import SHORTEST, change_points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Samples = NDArray[np.int64]

BLOCKS = 256
"""Blocks of consecutive samples whose medians are searched for changes."""
SMALLEST_BLOCK = 4
FEWEST_SAMPLES = 2 * SHORTEST * SMALLEST_BLOCK
"""Below, there is no telling."""
SAME_LEVEL = 0.02
"""Levels that differ by less than this share are one level."""
STEADY_SHARE = 0.25
"""A steady state has lasted for the last quarter of the samples, at least (Barrett et al.: 500 of 2,000)."""
DRIFT = 1.05
"""Ratio of the last decile's median to the first's from which latency has drifted."""
FREQUENCY_FALL = 0.95
"""Ratio of the last decile's frequency to the first's below which it fell."""
MODES_APART = 4.0
"""Ashman's D from which two modes are apart; a normal distribution cut in halves has 2.65."""
MODE_RATIO = 1.05
SMALLEST_MODE = 0.05
"""Share of the samples in the smaller mode, at least: below, they are outliers."""
PARTS, SMALLEST_SHARE = 8, 0.02
"""Modes alternate where each eighth of the trace has so large a share of both."""
HISTOGRAM_BINS = 256
FEWEST_READINGS = 10


class Label(StrEnum):
    """What one process did after its first inference."""

    FLAT = "flat"
    """One level from the start."""
    WARM_UP = "warm-up"
    """Slower levels first, then one of the fastest to the end."""
    SLOW_DOWN = "slow-down"
    """Ends on a level that is slower than one before, and stays there."""
    THROTTLED = "throttled"
    """Slower with a falling frequency, or drifting slower where no frequency can be read."""
    BIMODAL = "bimodal"
    """One level, on which samples alternate between two modes."""
    NO_STEADY_STATE = "no steady state"
    """The level still changed in the last quarter."""
    TOO_SHORT = "too short"
    """Too few samples to tell."""


@dataclass(frozen=True)
class SteadyState:
    """What was found in the samples of one process.

    Args:
        label: what it did.
        begins: index of the first sample of the steady state; none where there is none.
        changes: indices of the samples at which the level changed, ascending.
        drift: median of the last tenth of the samples over that of the first.
        frequency_ratio: the same of the CPU frequency; none where it was not read.
        modes_ms: medians of the two modes of a bimodal process.
    """

    label: Label
    begins: int | None
    changes: tuple[int, ...]
    drift: float
    frequency_ratio: float | None = None
    modes_ms: tuple[float, float] | None = None

    @property
    def throttled(self) -> bool:
        """Whether the frequency fell, or latency drifted and no frequency could be read."""
        return self.label is Label.THROTTLED


def steady_state(samples: Samples, *, frequency_mhz: NDArray[np.float64] | None = None) -> SteadyState:
    """Classify the samples of one process.

    Args:
        samples: (n,), nanoseconds above 0, in order, from the second inference on.
        frequency_mhz: readings of the CPU frequency over the same time, in order; none where it cannot be read.
    """
    drift = decile_ratio(samples)
    fall = _frequency_ratio(frequency_mhz)
    if len(samples) < FEWEST_SAMPLES:
        return SteadyState(Label.TOO_SHORT, None, (), drift, fall)
    length = max(SMALLEST_BLOCK, len(samples) // BLOCKS)
    modes = _alternating_modes(samples)
    levels = np.log(block_medians(samples if modes is None else _collapsed(samples, modes), length))
    starts = _distinct_levels(levels, change_points(levels))
    label, begins = _classified(levels, starts)
    changes = tuple(start * length for start in starts)
    first = None if begins is None else begins * length
    if _is_throttled(levels, starts, drift, fall):
        label = Label.THROTTLED
    elif label is Label.FLAT and modes is not None:
        label = Label.BIMODAL
    return SteadyState(label, first, changes, drift, fall, None if modes is None else modes.medians_ms)


def block_medians(samples: Samples | NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Return the median of each `length` consecutive samples; what is left over at the end joins the last block."""
    blocks = len(samples) // length
    medians = np.median(samples[: blocks * length].reshape(blocks, length), axis=1)
    medians[-1] = np.median(samples[(blocks - 1) * length :])
    return np.asarray(medians, np.float64)


def decile_ratio(series: NDArray[np.integer] | NDArray[np.float64]) -> float:
    """Return the median of the last tenth over that of the first."""
    tenth = max(1, len(series) // 10)
    return float(np.median(series[-tenth:]) / np.median(series[:tenth]))


@dataclass(frozen=True)
class Modes:
    """Two modes of a distribution.

    Args:
        cut_ns: samples above belong to the slower one.
        medians_ms: of the faster and of the slower.
    """

    cut_ns: float
    medians_ms: tuple[float, float]


def modes_of(samples: Samples) -> Modes | None:
    """Return two modes that are clearly apart; None where there is one.

    The cut is Otsu's (1979), which leaves the least variance within; the modes are apart by Ashman's D (Ashman et al.
    1994, AJ 108, equation 2).
    """
    logs = np.log(samples)
    low, high = np.quantile(logs, (0.001, 0.999))
    inside = logs[(logs >= low) & (logs <= high)]
    cut = _otsu(inside)
    parts = (inside[inside <= cut], inside[inside > cut])
    if min(map(len, parts)) < SMALLEST_MODE * len(inside):
        return None
    spread = float(np.sqrt(sum(part.var() for part in parts) / 2)) or 1e-9
    faster, slower = (float(np.median(part)) for part in parts)
    if float(parts[1].mean() - parts[0].mean()) / spread < MODES_APART or slower - faster < np.log(MODE_RATIO):
        return None
    return Modes(float(np.exp(cut)), (float(np.exp(faster)) / 1e6, float(np.exp(slower)) / 1e6))


def _alternating_modes(samples: Samples) -> Modes | None:
    """Return two modes of which each part of the trace has both; a level that changes and stays has two as well."""
    modes = modes_of(samples)
    if modes is None:
        return None
    shares = [float((part > modes.cut_ns).mean()) for part in np.array_split(samples, PARTS)]
    return modes if min(shares) >= SMALLEST_SHARE and max(shares) <= 1 - SMALLEST_SHARE else None


def _collapsed(samples: Samples, modes: Modes) -> NDArray[np.float64]:
    """Return the samples with the slower mode's brought to the faster one's level."""
    faster, slower = modes.medians_ms
    return np.where(samples > modes.cut_ns, samples * (faster / slower), samples)


def _otsu(values: NDArray[np.float64]) -> float:
    if not len(values) or values.min() == values.max():
        return float(values[0]) if len(values) else 0.0
    counts, edges = np.histogram(values, bins=HISTOGRAM_BINS)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = below[-1] + counts[-1] - below
    first = np.cumsum(counts * centres)[:-1] / np.maximum(below, 1)
    total = float((counts * centres).sum())
    second = (total - np.cumsum(counts * centres)[:-1]) / np.maximum(above, 1)
    between = below * above * (first - second) ** 2
    # an empty gap has many equally good cuts: the middle one
    best = np.flatnonzero(between >= between.max() * (1 - 1e-12))
    return float(edges[1:-1][best[len(best) // 2]])


def _distinct_levels(levels: NDArray[np.float64], starts: Sequence[int]) -> list[int]:
    """Return the starts of segments without those between which the level is the same; the closest pair goes first."""
    kept = list(starts)
    tolerance = np.log1p(SAME_LEVEL)
    while kept:
        medians = _medians(levels, kept)
        steps = np.abs(np.diff(medians))
        closest = int(np.argmin(steps))
        if steps[closest] >= tolerance:
            break
        del kept[closest]
    return kept


def _medians(levels: NDArray[np.float64], starts: Sequence[int]) -> NDArray[np.float64]:
    return np.array([np.median(part) for part in np.split(levels, list(starts))])


def _classified(levels: NDArray[np.float64], starts: Sequence[int]) -> tuple[Label, int | None]:
    """Return the label and the block at which the steady state begins."""
    if not starts:
        return Label.FLAT, 0
    begins = starts[-1]
    if len(levels) - begins < STEADY_SHARE * len(levels):
        return Label.NO_STEADY_STATE, None
    medians = _medians(levels, starts)
    is_fastest = medians[-1] - medians.min() < np.log1p(SAME_LEVEL)
    return (Label.WARM_UP if is_fastest else Label.SLOW_DOWN), _settled(begins, len(levels))


def _settled(begins: int, count: int) -> int:
    """Return a later beginning: what decays is not done at the last change that could be seen.

    As long again as it took, or half of what is left; at least one block, which may hold samples of both levels.
    """
    return begins + max(1, min(begins, (count - begins) // 2))


def _is_throttled(levels: NDArray[np.float64], starts: Sequence[int], drift: float, fall: float | None) -> bool:
    """Tell whether latency rose with a falling frequency, or in more than one step where no frequency was read."""
    if drift <= DRIFT or not starts:
        return False
    if fall is not None:
        return fall < FREQUENCY_FALL
    medians = _medians(levels, starts)
    rising = int(np.count_nonzero(np.diff(medians) > 0))
    return rising > 1 and rising == len(starts)


def _frequency_ratio(frequency_mhz: NDArray[np.float64] | None) -> float | None:
    if frequency_mhz is None or len(frequency_mhz) < FEWEST_READINGS or not frequency_mhz.min() > 0:
        return None
    return decile_ratio(frequency_mhz)
