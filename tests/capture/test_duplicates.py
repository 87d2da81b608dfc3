"""Duplicates, and splits that let none of them be on two sides."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.capture.completion import chat_completion, prompt_hash
from edgedistill.capture.duplicates import (
    PIECE,
    SIMILARITY,
    Duplicates,
    NearIndex,
    groups_of,
    pieces_of,
    resemblance,
    without_duplicates,
)
from edgedistill.capture.splits import SHARES, part_of, shares_from, split, warnings_of
from edgedistill.errors import DataError, InputError

if TYPE_CHECKING:
    from edgedistill.capture.completion import Completion


def chat(said: str, answer: str = "yes", *, system: str = "label it") -> Completion:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": said}]
    return chat_completion({"messages": messages}, {"choices": [{"message": {"role": "assistant", "content": answer}}]})


LONG = "the delivery came two days late and the box was open, but everything inside was as it should be"
NEAR = LONG.replace("two", "six")
OTHER = "no letter from the bank has ever reached me at this address, and nobody there answers the telephone"
GIVEN = [
    chat(LONG),
    chat(LONG),
    chat(LONG, "no"),
    chat(f"  {LONG.upper()}"),
    chat(NEAR),
    chat(OTHER),
    chat(LONG, system="count the words"),
]


@pytest.mark.parametrize(
    ("what", "kept"),
    [(Duplicates.EXACT, [0, 2, 3, 4, 5, 6]), (Duplicates.PROMPT, [0, 4, 5, 6]), (Duplicates.NEAR, [0, 5])],
)
def test_the_first_of_duplicates_stays(what: Duplicates, kept: list[int]) -> None:
    assert list(without_duplicates(GIVEN, what)) == [GIVEN[place] for place in kept]


def exact_share(one: str, other: str) -> float:
    """Return the share by definition, on sets of texts."""
    first, second = ({text[k : k + PIECE] for k in range(max(len(text) - PIECE, 0) + 1)} for text in (one, other))
    return len(first & second) / len(first | second)


@given(st.text(st.sampled_from("abc é"), max_size=30), st.text(st.sampled_from("abc é"), max_size=30))
def test_resemblance_is_the_share_of_pieces_in_common(one: str, other: str) -> None:
    assert resemblance(pieces_of(one), pieces_of(other)) == exact_share(one, other)


def test_near_duplicates_are_those_that_a_comparison_of_all_pairs_finds() -> None:
    draw = np.random.default_rng(5)
    words = [f"word{number}" for number in range(60)]
    texts = list[str]()
    for _ in range(60):
        base = list(draw.choice(words, 30))
        for _ in range(4):  # a text, and some with words exchanged
            changed = [str(draw.choice(words)) if draw.random() < 0.04 else word for word in base]
            texts.append(" ".join(changed))
    index = NearIndex()
    found = set[tuple[int, int]]()
    for place, text in enumerate(texts):
        found |= {(other, place) for other in index.similar(text)}
        index.add(text)
    expected = {
        (one, other)
        for other in range(len(texts))
        for one in range(other)
        if exact_share(texts[one], texts[other]) >= SIMILARITY
    }
    assert len(expected) > 20
    assert found == expected


def test_near_duplicates_of_near_duplicates_are_one_group() -> None:
    words = LONG.split()
    chain = [chat(" ".join([*words[:k], *[f"x{k}{i}" for i in range(1)], *words[k + 1 :]])) for k in (3, 9)]
    given = [chain[0], chat(OTHER), chain[1], chat(LONG)]
    names = [name for _, name in groups_of(given, Duplicates.NEAR)]
    assert names[0] == names[2] == names[3] == prompt_hash(chain[0])
    assert names[1] != names[0]


def test_short_and_empty_texts() -> None:
    given = [chat(text) for text in ("", " ", "a", "A ", "b", "\ud800")]
    assert len(list(without_duplicates(given, Duplicates.NEAR))) == 4


# --- splits


def many(count: int) -> list[Completion]:
    return [chat(f"text number {number}", f"{number % 3}") for number in range(count)]


def test_a_split_has_everything_once() -> None:
    given = many(1000)
    found = split(given)
    assert sorted(one.id for part in found.parts.values() for one in part) == sorted(one.id for one in given)
    sizes = {name: len(part) for name, part in found.parts.items()}
    assert list(sizes) == ["train", "validation", "test"]
    assert abs(sizes["train"] - 800) < 64  # 5 standard deviations
    assert found.prompts == sizes
    assert found.warnings == []


def test_a_prompt_is_in_one_part() -> None:
    given = [
        chat(f"Text {number % 40}" if number % 2 else f"text  {number % 40}", f"{number}") for number in range(400)
    ]
    found = split(given)
    homes: dict[str, set[str]] = {}
    for name, part in found.parts.items():
        for one in part:
            homes.setdefault(prompt_hash(one), set()).add(name)
    assert all(len(home) == 1 for home in homes.values())
    assert sum(found.prompts.values()) == len(homes) == 40


def test_near_prompts_may_be_kept_together() -> None:
    given = [
        one for number in range(30) for one in (chat(f"{number} {LONG} {number}"), chat(f"{number} {NEAR} {number}"))
    ]
    loose, tight = (split(given, together=what) for what in (Duplicates.PROMPT, Duplicates.NEAR))
    assert sum(loose.prompts.values()) == 60
    assert sum(tight.prompts.values()) < 31


def test_more_completions_change_nobody_s_part() -> None:
    given = many(300)
    homes = {one.id: name for name, part in split(given[:200]).parts.items() for one in part}
    later = {one.id: name for name, part in split(given).parts.items() for one in part}
    assert homes.items() <= later.items()
    other = {one.id: name for name, part in split(given[:200], seed=1).parts.items() for one in part}
    assert other != homes


def test_too_few_are_refused_and_few_are_warned_of() -> None:
    with pytest.raises(DataError, match="9 completions; wanted at least 10"):
        split(many(9))
    assert "10 completions: fewer than the 200 that are advised" in split(many(10)).warnings
    assert any("199 completions" in one for one in split(many(199)).warnings)
    assert split(many(200)).warnings == []
    assert warnings_of({"train": 300, "test": 0}) == ["part 'test' is empty: capture more, or choose another seed"]


@given(st.dictionaries(st.text(min_size=1), st.floats(1e-6, 1e6), min_size=1), st.text(), st.integers())
def test_every_prompt_has_a_part(shares: dict[str, float], hash_: str, seed: int) -> None:
    hash_ = hash_.encode("utf-8", "replace").decode()
    assert part_of(hash_, shares, seed=seed) in shares
    assert part_of(hash_, {"a": 1.0}) == "a"


@pytest.mark.parametrize("shares", [{}, {"a": 0.0}, {"a": -1.0, "b": 2.0}, {"a": float("inf")}, {"a": float("nan")}])
def test_shares_that_are_none(shares: dict[str, float]) -> None:
    with pytest.raises(InputError):
        split(many(10), shares)


def test_exact_duplicates_are_not_enough_to_keep_together() -> None:
    with pytest.raises(InputError, match="prompt or near"):
        split(many(10), SHARES, together=Duplicates.EXACT)


def test_shares_as_people_write_them() -> None:
    assert shares_from(["train=3", "held-out=1"]) == {"train": 3.0, "held-out": 1.0}
    for terms, words in (
        (["train"], "a number"),
        (["a=1", "a=2"], "stands twice"),
        (["../a=1"], "no name"),
        (["a=x"], "'x'"),
    ):
        with pytest.raises(InputError, match=re.escape(words)):
            shares_from(terms)
