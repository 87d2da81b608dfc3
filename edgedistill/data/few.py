"""Few samples: a part of the training samples, as many of each class, chosen by the seed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.data.masks import strata
from edgedistill.data.transfer_set import part_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgedistill.data.transfer_set import Samples


def at_most_per_class(samples: Samples, most: int, *, seed: int) -> Samples:
    """Return at most so many samples of each class, in their order; those of unknown class count as one class.

    Of the same seed, a larger part contains a smaller one.

    Args:
        samples: all of them.
        most: of each class, at least 1.
        seed: of the choice, 0 or greater.
    """
    chosen = chosen_per_class(strata(samples.labels), most, seed=seed)
    if len(chosen) == len(samples):
        return samples
    return part_of(samples, chosen, name=f"max_per_class {most}")


def chosen_per_class(labels: NDArray[np.int64], most: int, *, seed: int) -> NDArray[np.int64]:
    """Return the numbers of at most so many samples of each class, rising.

    Args:
        labels: (n,), int64.
        most: at least 1.
        seed: 0 or greater.
    """
    key = hashlib.sha256(f"edgedistill few samples|{seed}".encode()).digest()[:16]
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
    order = generator.permutation(len(labels))
    first = [order[labels[order] == label][:most] for label in np.unique(labels)]
    return np.sort(np.concatenate(first)) if first else np.zeros(0, np.int64)
