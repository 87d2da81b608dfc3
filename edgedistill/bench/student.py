"""Quantiles of Student's t distribution, without a further dependency."""

from __future__ import annotations

import math

import numpy as np


def student_quantile(probability: float, *, degrees: int) -> float:
    """Return the quantile of Student's t distribution.

    The distribution function has a closed form in the angle arctan(t / sqrt(degrees)) (Abramowitz and Stegun, Handbook
    of Mathematical Functions, 26.7.3 and 26.7.4); it is inverted by bisection.

    Args:
        probability: above 0.5 and below 1.
        degrees: of freedom, at least 1.
    """
    wanted = 2 * probability - 1
    low, high = 0.0, math.pi / 2
    for _ in range(200):
        middle = (low + high) / 2
        if _central_probability(middle, degrees) < wanted:
            low = middle
        else:
            high = middle
    return math.sqrt(degrees) * math.tan((low + high) / 2)


def _central_probability(angle: float, degrees: int) -> float:
    """Return P(|T| <= t) for t = sqrt(degrees) * tan(angle)."""
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = degrees % 2
    if degrees == 1:
        return 2 * angle / math.pi
    numbers = np.arange(2 if odd else 1, degrees - 1, 2, dtype=np.float64)
    ratios = numbers / (numbers + 1)
    terms = np.concatenate([[1.0], np.cumprod(ratios * cosine**2)])
    series = float(terms.sum()) * sine
    return 2 / math.pi * (angle + series * cosine) if odd else series
