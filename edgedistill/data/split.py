"""Splits samples into training and test, the same way every time."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TEST_SHARE = 0.2


def test_members(labels: NDArray[np.int64], names: Sequence[str]) -> NDArray[np.bool_]:
    """Return which samples are for testing: a fifth of each class, chosen by the hash of their names.

    A class of n samples gives round(n / 5) of them, at least 1 where it has 2 or more, none where it has 1.
    Which ones depends on the names alone, not on their order.

    Args:
        labels: (n,), int64, 0 or greater.
        names: a name of each sample, all different.

    Returns:
        (n,), bool.
    """
    ranks = np.array([hashlib.sha256(name.encode()).digest()[:8] for name in names], "S8").view(">u8")
    chosen = np.zeros(len(labels), np.bool_)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = max(round(len(members) * TEST_SHARE), 1) if len(members) > 1 else 0
        chosen[members[np.argsort(ranks[members], kind="stable")[:count]]] = True
    return chosen
