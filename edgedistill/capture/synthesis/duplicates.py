"""Texts that say nearly the same, found without comparing all pairs."""

from __future__ import annotations

import math
import unicodedata
from collections import defaultdict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

SHINGLE: Final = 5
"""Characters of the pieces that two texts are compared by."""


class Seen:
    """The texts that were taken, and whether another one is too like one of them.

    Two texts are alike by the Jaccard index of their sets of shingles: runs of five characters, lower-cased, with
    marks and spaces evened out. Exact: of sets that are alike by a threshold t, the first |A| - ceil(t |A|) + 1
    shingles of either, in one order for all, have one in common (Chaudhuri et al. 2006, "A primitive operator for
    similarity joins", section 4), and only those are looked up.

    Args:
        threshold: least Jaccard index that counts as the same, above 0 and up to 1.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._taken: list[frozenset[str]] = []
        self._having: defaultdict[str, list[int]] = defaultdict(list)

    def takes(self, text: str) -> bool:
        """Take a text, unless it is empty or too like one that was taken; say whether it was taken."""
        shingles = shingles_of(text)
        if not shingles:
            return False
        first = self._prefix(shingles)
        near = {index for shingle in first for index in self._having[shingle]}
        if any(jaccard(shingles, self._taken[index]) >= self._threshold for index in near):
            return False
        for shingle in first:
            self._having[shingle].append(len(self._taken))
        self._taken.append(shingles)
        return True

    def _prefix(self, shingles: frozenset[str]) -> Iterable[str]:
        length = len(shingles) - math.ceil(self._threshold * len(shingles) - 1e-9) + 1
        return sorted(shingles)[:length]


def shingles_of(text: str) -> frozenset[str]:
    """Return the runs of five characters in a text, or the text itself where it is shorter."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    plain = " ".join("".join(char if char.isalnum() else " " for char in folded).split())
    if len(plain) <= SHINGLE:
        return frozenset([plain] if plain else [])
    return frozenset(plain[place : place + SHINGLE] for place in range(len(plain) - SHINGLE + 1))


def jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    """Return the share of what two sets have together that they have in common."""
    return len(first & second) / len(first | second)
