"""Completions that say the same again."""

from __future__ import annotations

import enum
from collections import defaultdict
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from edgedistill.capture.completion import Kind, duplicate_hash, evened, prompt_hash, text_of_content

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from edgedistill.capture.completion import Completion

SIMILARITY = 0.85
"""Share of the pieces of two texts that are the same, above which they are near duplicates."""

PIECE = 5
"""Characters in a piece of text."""

BANDS = 24
ROWS = 6
"""Rows of a signature in a band. With 24 bands of 6, two texts of similarity s meet in a band with probability
1 - (1 - s^6)^24: 0.99999 at 0.85, 0.68 at 0.6. Those that meet are compared exactly."""


class Duplicates(enum.StrEnum):
    """What makes one completion the duplicate of another."""

    EXACT = "exact"
    """The same messages, tools and answer, character by character."""
    PROMPT = "prompt"
    """The same prompt, whatever its case and space, and whatever the answer."""
    NEAR = "near"
    """Nearly the same words of the user, whatever the answer. What the system message says does not count: it is the
    same in most requests of one program."""


def without_duplicates(completions: Iterable[Completion], what: Duplicates) -> Iterator[Completion]:
    """Yield of completions that are duplicates the first alone. Memory grows with what is yielded."""
    if what is Duplicates.NEAR:
        index = NearIndex()
        for completion in completions:
            text = near_text(completion)
            if not index.similar(text):
                index.add(text)
                yield completion
        return
    seen = set[str]()
    key = duplicate_hash if what is Duplicates.EXACT else prompt_hash
    for completion in completions:
        hash_ = key(completion)
        if hash_ not in seen:
            seen.add(hash_)
            yield completion


def groups_of(completions: Iterable[Completion], what: Duplicates) -> Iterator[tuple[Completion, str]]:
    """Yield completions with a name of the group of duplicates that each belongs to.

    Near duplicates of near duplicates are one group. The name is the prompt hash of one in the group.
    """
    key = duplicate_hash if what is Duplicates.EXACT else prompt_hash
    if what is not Duplicates.NEAR:
        yield from ((completion, key(completion)) for completion in completions)
        return
    members: list[Completion] = []
    index, above = NearIndex(), list[int]()
    for completion in completions:
        text = near_text(completion)
        found = index.similar(text)
        place = index.add(text)
        members.append(completion)
        above.append(place)
        for other in found:
            _unite(above, place, other)
    for place, completion in enumerate(members):
        yield completion, prompt_hash(members[_top(above, place)])


def near_text(completion: Completion) -> str:
    """Return the text whose near duplicates count: all the user said; of other kinds the input."""
    if completion.kind is not Kind.CHAT:
        hashes = [hash_ for name, hash_ in sorted(completion.arrays.items()) if name.startswith("input")]
        return evened(" ".join([completion.prompt, *hashes]))
    said = [text_of_content(message.get("content")) for message in completion.messages if message.get("role") == "user"]
    return evened("\n".join(said) or completion.prompt)


class NearIndex:
    """Texts, and which of them are near duplicates of another.

    Source: Broder 1997, "On the resemblance and containment of documents" (minima of hashes); Leskovec, Rajaraman and
    Ullman, "Mining of Massive Datasets", section 3.4 (bands).

    Args:
        similarity: share of pieces in common, 0 < similarity <= 1.
    """

    def __init__(self, similarity: float = SIMILARITY) -> None:
        self._similarity = similarity
        draw = np.random.Generator(np.random.PCG64(0))
        self._factors = draw.integers(0, 2**63, (BANDS * ROWS, 1), np.uint64) * np.uint64(2) + np.uint64(1)
        self._offsets = draw.integers(0, 2**63, (BANDS * ROWS, 1), np.uint64)
        self._pieces: list[NDArray[np.uint32]] = []
        self._buckets: defaultdict[tuple[int, bytes], list[int]] = defaultdict(list)

    def add(self, text: str) -> int:
        """Take a text in; return its place: 0, 1, ..."""
        pieces = pieces_of(text)
        place = len(self._pieces)
        self._pieces.append(pieces)
        for key in self._keys(pieces):
            self._buckets[key].append(place)
        return place

    def similar(self, text: str) -> list[int]:
        """Return the places of the texts that a text is nearly the same as."""
        pieces = pieces_of(text)
        met = {place for key in self._keys(pieces) for place in self._buckets.get(key, ())}
        return [place for place in sorted(met) if resemblance(pieces, self._pieces[place]) >= self._similarity]

    def _keys(self, pieces: NDArray[np.uint32]) -> list[tuple[int, bytes]]:
        # multiply-shift hashing: the upper half of factor * piece + offset, modulo 2^64
        hashes = (self._factors * pieces.astype(np.uint64) + self._offsets) >> np.uint64(32)
        signature = hashes.min(axis=1).astype(np.uint32).reshape(BANDS, ROWS)
        return [(band, row.tobytes()) for band, row in enumerate(signature)]


def pieces_of(text: str) -> NDArray[np.uint32]:
    """Return the pieces of a text: sorted, distinct hashes of all PIECE characters that follow each other."""
    content = text.encode("utf-32-le", "surrogatepass")
    width = 4 * PIECE
    starts = range(0, max(len(content) - width, 0) + 1, 4)
    return np.unique(np.fromiter((crc32(content[start : start + width]) for start in starts), np.uint32))


def resemblance(one: NDArray[np.uint32], other: NDArray[np.uint32]) -> float:
    """Return the share of the pieces of two texts that both have: 0 to 1."""
    common = len(np.intersect1d(one, other, assume_unique=True))
    return common / (len(one) + len(other) - common)


def _top(above: list[int], place: int) -> int:
    while above[place] != place:
        above[place] = above[above[place]]
        place = above[place]
    return place


def _unite(above: list[int], one: int, other: int) -> None:
    first, second = sorted((_top(above, one), _top(above, other)))
    above[second] = first
