"""One-pass histogram of float32 values in fixed memory, mergeable exactly.

The bin of a value is the top 16 bits of its float32: sign, exponent and the first 7 bits of the fraction. No range has
to be guessed, a bin is at most 2^-7 of its values wide, NaN and infinity have bins of their own, and the histogram of
two sets is the sum of their histograms. 512 KiB per tensor.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

BINS = 65_536
CHUNK = 1 << 18
"""Values counted at once: `numpy.bincount` wants 8 bytes for each, so this bounds the memory."""

HIGH_HALF = 1 if sys.byteorder == "little" else 0
"""Which of a float32's two 16-bit halves has the sign and the exponent."""

NEGATIVE = BINS // 2
"""First bin of the negative values; negative zero is in it."""


@dataclass(frozen=True)
class Distribution:
    """Occupied bins in ascending order of their values.

    A bin holds values from `lower` to `upper`; where both are equal, all of them have this value.

    Args:
        lower: (bins,), float64.
        upper: (bins,), float64, not less.
        counts: (bins,), float64, whole numbers, positive.
    """

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    counts: NDArray[np.float64]

    @property
    def centres(self) -> NDArray[np.float64]:
        """Middle of each bin: within 2^-8 of each of its values, relative to the value."""
        return (self.lower + self.upper) / 2


class Histogram:
    """How often values occur in a tensor. Start with none, `update` with each batch, `merge` those of processes.

    Attributes:
        counts: (65536,), int64, by the top 16 bits of the float32.
        minimum: least finite value, exactly; +infinity before the first.
        maximum: largest finite value, exactly; -infinity before the first.
    """

    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros(BINS, np.int64)
        self.minimum, self.maximum = np.inf, -np.inf

    def update(self, values: NDArray[np.floating] | Tensor) -> None:
        """Add the values of an array or of a torch tensor of any shape.

        A float32 array, or float32 tensor in the CPU's memory, is read in place where its values lie side by
        side in any order of its axes; others are copied as float32.
        """
        flat = _flat(values)
        for start in range(0, flat.size, CHUNK):
            self._add(flat[start : start + CHUNK])

    def merge(self, other: Histogram) -> None:
        """Add another histogram: the result is that of all values together, exactly."""
        self.counts += other.counts
        self.minimum, self.maximum = min(self.minimum, other.minimum), max(self.maximum, other.maximum)

    @property
    def total(self) -> int:
        """Values seen, NaN and infinity too."""
        return int(self.counts.sum())

    @property
    def not_finite(self) -> int:
        """NaN and infinities seen."""
        return int(self.counts[~_FINITE].sum())

    def distribution(self, name: str = "a tensor") -> Distribution:
        """Return the occupied bins, cut to the least and the largest value.

        Args:
            name: of the tensor, for the error.

        Raises:
            DataError: NaN or infinity was seen, or nothing at all.
        """
        if self.not_finite:
            raise DataError(
                f"calibration of {name}",
                found=f"{self.not_finite} of {self.total} values are NaN or infinite",
                wanted="finite activations",
                fix="look for a division by zero or an overflow before this tensor",
            )
        if not self.total:
            raise DataError(f"calibration of {name}", found="no values")
        used = _ORDER[self.counts[_ORDER] > 0]
        lower, upper = _LOWER[used], _UPPER[used]
        return Distribution(
            lower=np.clip(lower, self.minimum, self.maximum),
            upper=np.clip(upper, self.minimum, self.maximum),
            counts=self.counts[used].astype(np.float64),
        )

    def _add(self, flat: NDArray[np.float32]) -> None:
        self.counts += np.bincount(flat.view(np.uint16)[HIGH_HALF::2], minlength=BINS)
        with np.errstate(invalid="ignore"):
            low, high = float(flat.min()), float(flat.max())
        if not np.isfinite([low, high]).all():
            finite = flat[np.isfinite(flat)]
            low, high = float(finite.min(initial=np.inf)), float(finite.max(initial=-np.inf))
        self.minimum, self.maximum = min(self.minimum, low), max(self.maximum, high)


def _flat(values: NDArray[np.floating] | Tensor) -> NDArray[np.float32]:
    """Return values in one dimension, float32, in any order."""
    if not isinstance(values, np.ndarray):
        values = values.detach().float().cpu().numpy()
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, and is counted as that
        return np.ravel(np.asarray(values, np.float32), order="K")


def _edges() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the least and the largest value of each bin, float64; NaN and infinity for those."""
    keys = np.arange(BINS, dtype=np.uint32) << 16
    near = keys.view(np.float32)
    far = (keys | 0xFFFF).view(np.float32)
    with np.errstate(invalid="ignore"):
        return np.minimum(near, far).astype(np.float64), np.maximum(near, far).astype(np.float64)


_LOWER, _UPPER = _edges()
_FINITE = np.isfinite(_LOWER) & np.isfinite(_UPPER)
_ORDER = np.concatenate([np.arange(BINS - 1, NEGATIVE - 1, -1), np.arange(NEGATIVE)])
"""Bins in ascending order of their values: the negative ones from the largest magnitude down."""
