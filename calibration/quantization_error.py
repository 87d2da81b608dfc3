"""Mean squared error that rounding to codes makes, computed from a histogram."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgedistill.calibration.histogram import Distribution

NEAR_ZERO = 2.0**-16
"""Values below this share of the largest are taken as 0: they change the error by less than 2e-4 of itself."""

NARROW = 2.0**-20
"""A bin narrower than this share of a step counts as one value: the integral over it would cancel."""

PIECE = 1 << 14
"""Products of candidates and bins computed at once, so that the intermediate arrays stay in the CPU's cache."""


def mean_squared_errors(
    distribution: Distribution, low: NDArray[np.float64], high: NDArray[np.float64], *, codes: int
) -> NDArray[np.float64]:
    """Return E[(x - dequantize(quantize(x)))²] of each candidate range.

    As on the device, the step is (high - low) / (codes - 1), the zero point is rounded to a whole code and values
    beyond the codes are clipped. Values are taken as spread evenly within their bin, and the error is integrated
    over it: near the top of the range a bin is about as wide as a step, and its centre alone would say nothing.

    Args:
        distribution: of the values.
        low: (candidates,), at most 0.
        high: (candidates,), at least 0, and more than low.
        codes: number of codes.

    Returns:
        (candidates,), in the values' unit squared; exact for values that are single-valued bins, and within 1 % for
        smooth distributions.
    """
    pooled = _pooled(distribution)
    rows = max(1, PIECE // pooled[0].size)
    parts = range(0, low.size, rows)
    return np.concatenate([_errors(pooled, low[i : i + rows], high[i : i + rows], codes) for i in parts])


def nudged(
    low: NDArray[np.float64], high: NDArray[np.float64], *, codes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ranges that remain when the zero point is rounded to a whole code; same shape, same width."""
    step = (high - low) / (codes - 1)
    zero = np.rint(-low / step)
    return -zero * step, (codes - 1 - zero) * step


_Bins = tuple["NDArray[np.float64]", "NDArray[np.float64]", "NDArray[np.float64]"]


def _pooled(distribution: Distribution) -> _Bins:
    """Return lower and upper edges and shares of the bins, those near 0 as one bin of value 0."""
    lower, upper, counts = distribution.lower, distribution.upper, distribution.counts
    magnitude = np.maximum(abs(lower), abs(upper))
    far = magnitude > NEAR_ZERO * magnitude.max()
    near = counts[~far].sum()
    shares = np.append(counts[far], near) / counts.sum()
    return np.append(lower[far], 0.0), np.append(upper[far], 0.0), shares


def _errors(bins: _Bins, low: NDArray[np.float64], high: NDArray[np.float64], codes: int) -> NDArray[np.float64]:
    lower, upper, shares = bins
    step = ((high - low) / (codes - 1))[:, None]
    zero = np.rint(-low[:, None] / step)
    first, last = -zero, codes - 1 - zero
    start, end = lower / step, upper / step
    width = end - start
    narrow = width < NARROW
    whole = _integral(end, first, last) - _integral(start, first, last)
    middle = (start + end) / 2
    single = (middle - np.clip(np.rint(middle), first, last)) ** 2
    mean = np.where(narrow, single, whole / np.where(narrow, 1, width))
    errors: NDArray[np.float64] = (mean * shares).sum(axis=1) * step[:, 0] ** 2
    return errors


def _integral(
    values: NDArray[np.float64], first: NDArray[np.float64], last: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the integral of (v - nearest code)² up to values in steps, from an arbitrary but common start.

    A whole cell of width 1 around a code contributes 1 / 12; this holds beyond the last code too, where the
    nearest code stays the last.
    """
    code = np.clip(np.rint(values), first, last)
    rest = values - code
    integral: NDArray[np.float64] = code / 12 + rest * rest * rest / 3  # far faster than `rest**3`
    return integral
