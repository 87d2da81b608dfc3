"""Sound at another sample rate. On the workstation only: a device records at the rate that the model wants."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSION = 1
"""Raise it with every change of the numbers: what is kept of decoded sounds is keyed by it."""

CROSSINGS = 24
"""Zero crossings of the filter on each side."""

PASS_BAND = 0.94
"""Share of the lower of both Nyquist frequencies at which the filter's response is a half."""


def resampled(sound: NDArray[np.float64], source_hz: int, target_hz: int) -> NDArray[np.float64]:
    """Return a sound at another sample rate: a sinc filter in a Hann window, below the lower Nyquist frequency.

    Args:
        sound: (n,), float64.
        source_hz: its sample rate.
        target_hz: the one wanted.

    Returns:
        (ceil(n * target / source),), float64; the sound itself where the rates are equal.
    """
    if source_hz == target_hz or not len(sound):
        return sound
    divisor = math.gcd(source_hz, target_hz)
    up, down = target_hz // divisor, source_hz // divisor
    place = np.arange(-(-len(sound) * up // down), dtype=np.int64) * down
    phases, which = np.unique(place % up, return_inverse=True)
    cutoff = PASS_BAND * min(1.0, up / down)
    reach = math.ceil(CROSSINGS / cutoff)
    offsets = np.arange(-reach + 1, reach + 1)
    distance = offsets - phases[:, None] / up
    window = np.where(abs(distance) < reach, np.cos(np.pi * distance / (2 * reach)) ** 2, 0)
    weights = np.sinc(cutoff * distance) * window
    weights /= weights.sum(axis=1, keepdims=True)
    padded = np.pad(sound, reach)
    first = place // up + reach
    result = np.zeros(len(place))
    for tap, offset in enumerate(offsets.tolist()):
        result += padded[np.minimum(first + offset, len(padded) - 1)] * weights[which, tap]
    return result
