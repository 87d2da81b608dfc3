"""Near duplicates are found as comparing all pairs would find them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.capture.synthesis.duplicates import Seen, jaccard, shingles_of

LONG = "The train to Bern was forty minutes late because of a signal failure near Olten."


def test_the_same_but_for_case_marks_and_space() -> None:
    seen = Seen(0.7)
    assert seen.takes(LONG)
    for text in (LONG, LONG.upper(), f"  {LONG[:-1]}!!", LONG.replace(" ", "\n")):
        assert not seen.takes(text)


def test_one_word_more_is_the_same_and_another_sentence_is_not() -> None:
    seen = Seen(0.7)
    assert seen.takes(LONG)
    assert not seen.takes(LONG.replace("forty", "fifty"))
    assert seen.takes("A parcel that was sent on Monday has not arrived, and nobody answers the telephone.")


@pytest.mark.parametrize("text", ["", " ", "?!", "\n"])
def test_nothing_is_not_taken(text: str) -> None:
    assert not Seen(0.7).takes(text)


def test_short_texts_are_compared_whole() -> None:
    seen = Seen(0.7)
    assert [seen.takes(text) for text in ("yes", "no", "Yes!", "日本")] == [True, True, False, True]


WORDS = ["the", "a", "train", "late", "bank", "card", "lost", "parcel"]
words = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join)


@given(st.lists(words, max_size=25), st.sampled_from([0.3, 0.5, 0.7, 0.9, 1.0]))
def test_as_comparing_all_pairs(texts: list[str], threshold: float) -> None:
    seen, taken = Seen(threshold), list[frozenset[str]]()
    for text in texts:
        shingles = shingles_of(text)
        is_new = all(jaccard(shingles, other) < threshold for other in taken)
        if is_new:
            taken.append(shingles)
        assert seen.takes(text) == is_new
