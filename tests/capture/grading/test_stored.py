"""What a store holds is graded where it lies, and can be filtered by its grades."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedistill.capture.completion import Kind, chat_completion
from edgedistill.capture.filters import Filter
from edgedistill.capture.grading.outcome import Outcome
from edgedistill.capture.grading.stored import samples_from_store, write_grades
from edgedistill.capture.grading.templates import rendered
from edgedistill.capture.store import Entry, Store
from edgedistill.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    entries = []
    for n in range(4):
        request = {
            "model": "teacher",
            "messages": [{"role": "system", "content": "label"}, {"role": "user", "content": f"text {n}"}],
        }
        message = {"role": "assistant", "content": f'{{"label": {n}}}'}
        response = {
            "id": f"c-{n}",
            "created": 1_760_000_000 + n,
            "choices": [{"finish_reason": "stop", "message": message}],
        }
        entries.append(
            Entry(chat_completion(request, response, metadata={"use": "a" if n % 2 else "b", "gold": str(n)}))
        )
    with Store(tmp_path / "captured") as opened:
        opened.add_many(entries)
        yield opened


def test_a_completion_has_the_names_that_definitions_use(store: Store) -> None:
    sample = samples_from_store(store)[2]
    assert sample.id == "c-2"
    names = sample.namespaces
    assert rendered("{{item.prompt}}|{{item.metadata.gold}}|{{item.model}}", names) == "text 2|2|teacher"
    assert rendered("{{item.input[0].content}}|{{item.input.1.content}}", names) == "label|text 2"
    assert rendered("{{sample.output_text}}|{{sample.output_json.label}}", names) == '{"label": 2}|2'
    assert rendered("{{sample.choices[0].finish_reason}}|{{sample.finish_reason}}", names) == "stop|stop"


def test_filters_of_the_command_and_of_the_definition_both_count(store: Store) -> None:
    assert [sample.id for sample in samples_from_store(store, metadata={"use": "a"})] == ["c-1", "c-3"]
    chosen = Filter(metadata={"gold": "3"})
    assert [sample.id for sample in samples_from_store(store, chosen, metadata={"use": "a"})] == ["c-3"]
    assert samples_from_store(store, chosen, metadata={"use": "b"}) == []
    with pytest.raises(InputError, match="chat"):
        samples_from_store(store, Filter(kind=Kind.EMBEDDING))


def test_grades_can_be_filtered_by(store: Store) -> None:
    outcomes = {
        "c-0": [Outcome("judge", "score_model", 0.9, passed=True), Outcome("plain", "python", 3.0)],
        "c-1": [Outcome("judge", "score_model", 0.2, passed=False), Outcome("plain", "python", 1.0)],
        "c-2": [Outcome("judge", "score_model", None, error="gone"), Outcome("plain", "python", 2.0)],
        "deleted meanwhile": [Outcome("judge", "score_model", 1.0, passed=True)],
    }
    assert write_grades(store, outcomes) == 5

    def ids(chosen: Filter) -> list[str]:
        return [completion.id for completion in store.iterate(chosen)]

    assert ids(Filter(grader="judge", passed=True)) == ["c-0"]
    assert ids(Filter(grader="judge", passed=False)) == ["c-1"]
    assert ids(Filter(grader="judge")) == ["c-0", "c-1"]
    assert ids(Filter(grader="plain", min_score=2)) == ["c-0", "c-2"]
    again = store.get("c-2")
    assert again is not None
    assert again.grades["plain"].passed is None
