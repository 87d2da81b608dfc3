"""The interval of a share that was counted on a sample."""

from __future__ import annotations

import math
from typing import Final

Z95: Final = 1.959963984540054
"""Quantile of the normal distribution that leaves 2.5 % above it."""


def wilson_interval(share: float, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a binomial share.

    Unlike the normal approximation it stays within 0 to 1 and is no point where every sample is right.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference",
    Journal of the American Statistical Association 22, pages 209-212.

    Args:
        share: observed share of right samples, from 0 to 1.
        n: samples, at least 1.

    Returns:
        Lower and upper bound, from 0 to 1, with `low <= share <= high`.

    Raises:
        ValueError: n is below 1, or the share is out of range.
    """
    if n < 1 or not 0 <= share <= 1:
        raise ValueError(f"no interval of share {share} on {n} samples; wanted 0 <= share <= 1 and n >= 1")
    spread = Z95 * Z95 / n
    centre = (share + spread / 2) / (1 + spread)
    half = Z95 * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    # rounding may leave the exact bounds 0 and 1 by an ulp
    return min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half))
