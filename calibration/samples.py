"""Which samples to calibrate on, and whether they are enough: the ranges of two halves are compared."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edgedistill.calibration.ranges import Range


def choose_samples(labels: NDArray[np.int64], *, count: int, seed: int) -> NDArray[np.int64]:
    """Return the numbers of samples that have the classes in the proportions of all samples.

    Each class has its share, rounded so that the sum is right, and at least one where `count` allows. The order is
    such that every stretch, and also every other sample, has the classes in these proportions as near as whole numbers
    allow: `samples[::2]` and `samples[1::2]` are two halves to compare.

    Args:
        labels: (n,), int64, 0 or greater; n at least 1.
        count: how many are wanted, at least 1; all where there are fewer.
        seed: of the choice.

    Returns:
        (min(count, n),), int64, all different.
    """
    key = hashlib.sha256(f"edgedistill calibration|{seed}".encode()).digest()[:16]
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
    order = generator.permutation(len(labels))
    shuffled = labels[order]
    quotas = _quotas(np.bincount(shuffled), min(count, len(labels)))
    chosen, places = [], []
    for label in np.flatnonzero(quotas):
        quota = int(quotas[label])
        chosen.append(order[shuffled == label][:quota])
        places.append((np.arange(quota) // 2 + 0.5) / quota)  # in pairs: one for each half
    sequence = np.argsort(np.concatenate(places), kind="stable")
    samples: NDArray[np.int64] = np.concatenate(chosen)[sequence]
    return samples


def drift(first: Range, second: Range) -> float:
    """Return how far two ranges differ: the larger difference of their ends, as a share of the wider range.

    0 for equal ranges, 1 where one is nothing beside the other.
    """
    wider = max(first.width, second.width)
    if wider == 0:
        return 0.0
    return max(abs(first.low - second.low), abs(first.high - second.high)) / wider


def check_drift(first: Mapping[str, Range], second: Mapping[str, Range], *, max_drift: float) -> None:
    """Raise where the ranges of two halves of the calibration samples differ too much to be trusted.

    Args:
        first: ranges of the first half by tensor.
        second: ranges of the second half, of the same tensors.
        max_drift: largest `drift` that passes.

    Raises:
        DataError: some tensor's ranges differ by more; names the worst.
    """
    drifts = {name: drift(found, second[name]) for name, found in first.items()}
    above = [name for name, value in drifts.items() if value > max_drift]
    if not above:
        return
    worst = max(above, key=drifts.__getitem__)
    one, other = first[worst], second[worst]
    raise DataError(
        f"calibration of '{worst}'",
        found=(
            f"one half of the samples gives {one.low:.4g} to {one.high:.4g}, the other {other.low:.4g} to "
            f"{other.high:.4g}: a drift of {drifts[worst]:.2f} ({len(above)} of {len(drifts)} tensors are above)"
        ),
        wanted=f"at most {max_drift:g} ('quantize.calibration.max_drift')",
        fix="raise 'quantize.calibration.samples', or look for outliers in the samples",
    )


def _quotas(counts: NDArray[np.int64], total: int) -> NDArray[np.int64]:
    """Return how many of each class make `total`, by largest remainders, at least 1 each where that is possible."""
    exact = counts * (total / counts.sum())
    quotas: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    if total >= np.count_nonzero(counts):
        quotas = np.maximum(quotas, counts > 0)
    while quotas.sum() > total:  # the classes raised to 1 take from those that lose least by it
        quotas[np.argmax(np.where(quotas > 1, quotas - exact, -np.inf))] -= 1
    rest = total - int(quotas.sum())
    quotas[np.argsort(quotas - exact, kind="stable")[:rest]] += 1
    return quotas
