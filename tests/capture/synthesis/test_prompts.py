"""Rows become prompts; sets have no duplicates and share nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.capture.completion import chat_completion
from edgedistill.capture.filters import Filter
from edgedistill.capture.store import Entry, Store
from edgedistill.capture.synthesis.prompts import Prompt, prompts_from_rows, prompts_from_store, split_sets
from edgedistill.capture.synthesis.task import task_named
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from edgedistill.capture.json_text import Json
    from edgedistill.capture.synthesis.task import Task

NLI = task_named("nli")
SENTIMENT = task_named("classification", labels=("good", "bad"))


def prompt(text: str) -> Prompt:
    return Prompt(({"role": "user", "content": text},))


def one(row: Json, *, task: Task | None = None) -> Prompt:
    (found,) = prompts_from_rows([row], task=task, thing="rows")
    return found


def test_a_fine_tuning_line_gives_its_answer_as_gold() -> None:
    messages: list[Json] = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "2 + 2?"},
        {"role": "assistant", "content": "4"},
    ]
    found = one({"messages": messages})
    assert (list(found.messages), found.gold) == (messages[:2], "4")


def test_texts_and_prompts_as_they_are() -> None:
    for key in ("prompt", "text", "question"):
        found = one({key: "hello", "label": "greeting"})
        assert found.messages == ({"role": "user", "content": "hello"},)
        assert found.gold == "greeting"
    assert one({"item": {"text": "hello"}}).messages == ({"role": "user", "content": "hello"},)


def test_the_fields_of_a_task() -> None:
    found = one({"premise": "It rains.", "hypothesis": "It is wet.", "label": "entailment"}, task=NLI)
    assert [message["role"] for message in found.messages] == ["system", "user"]
    assert found.messages[1]["content"] == "Premise: It rains.\nHypothesis: It is wet."
    assert found.gold == "entailment"


def test_a_task_with_labels_says_them_where_the_row_has_no_system_message() -> None:
    asked: list[Json] = [{"role": "user", "content": "great!"}]
    assert "good, bad" in str(one({"messages": asked}, task=SENTIMENT).messages[0]["content"])
    own: list[Json] = [{"role": "system", "content": "mine"}, *asked]
    assert one({"messages": own}, task=SENTIMENT).messages == tuple(own)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "row 1: keys none"),
        ({"x": 1}, "keys x"),
        ({"text": " "}, "keys text"),
        ({"messages": []}, "messages that are none"),
        ({"messages": "hello"}, "messages that are none"),
        ({"messages": [{"content": "no role"}]}, "messages that are none"),
        ({"messages": [{"role": "system", "content": "alone"}]}, "no message of the user"),
        ({"messages": [{"role": "assistant", "content": "alone"}]}, "no message of the user"),
    ],
)
def test_rows_that_are_none(row: Json, message: str) -> None:
    with pytest.raises(DataError, match=message):
        one(row)


def test_rows_without_the_fields_of_their_task() -> None:
    with pytest.raises(DataError, match="no 'hypothesis'; it has: premise; wanted messages, or premise, hypothesis"):
        one({"premise": "It rains."}, task=NLI)


def test_duplicates_and_leaks_are_left_out_and_counted() -> None:
    train = [prompt("a"), prompt("b"), prompt("A "), prompt("c")]
    validation = [prompt("b"), prompt("d"), prompt("d")]
    sets = split_sets(train, validation, share=0.5)
    assert [p.messages[0]["content"] for p in sets.train] == ["a", "c"]
    assert [p.messages[0]["content"] for p in sets.validation] == ["b", "d"]
    assert (sets.duplicates, sets.leaks) == (2, 1)


@given(st.lists(st.text(max_size=8), max_size=40), st.floats(0, 0.9))
def test_a_split_by_share_loses_and_shares_nothing(texts: list[str], share: float) -> None:
    sets = split_sets([prompt(text) for text in texts], None, share=share)
    first, second = ({p.id for p in part} for part in (sets.train, sets.validation))
    assert first.isdisjoint(second)
    assert first | second == {prompt(text).id for text in texts}
    assert len(sets.train) + len(sets.validation) + sets.duplicates == len(texts)
    # where a prompt goes depends on what it asks alone
    again = split_sets([prompt(text) for text in reversed(texts)], None, share=share)
    assert {p.id for p in again.validation} == second


def test_a_share_is_about_that_share() -> None:
    sets = split_sets([prompt(f"text {n}") for n in range(2000)], None, share=0.1)
    assert 150 < len(sets.validation) < 250


def test_what_a_store_holds(tmp_path: Path) -> None:
    with Store(tmp_path / "captured") as store:
        for n in range(2):
            request = {"model": "teacher", "messages": [{"role": "user", "content": f"q {n}"}]}
            response = {"id": f"c-{n}", "choices": [{"message": {"role": "assistant", "content": f"a {n}"}}]}
            store.add_many([Entry(chat_completion(request, response, metadata={"n": str(n)}))])
        found = prompts_from_store(store, Filter(metadata={"n": "1"}), task=None)
    assert [(p.messages[0]["content"], p.gold) for p in found] == [("q 1", "a 1")]
