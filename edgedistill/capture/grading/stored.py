"""Grading what a store holds, and writing the grades back so that it can be filtered by them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedistill.capture.completion import Completion, Grade, Kind
from edgedistill.capture.filters import EVERYTHING
from edgedistill.capture.grading.samples import Sample, completed
from edgedistill.capture.json_text import list_at
from edgedistill.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edgedistill.capture.filters import Filter
    from edgedistill.capture.grading.outcome import Outcome
    from edgedistill.capture.json_text import Json
    from edgedistill.capture.store import Store


def samples_from_store(
    store: Store, chosen: Filter = EVERYTHING, *, metadata: Mapping[str, str] | None = None
) -> list[Sample]:
    """Return the chat completions that meet a filter, the oldest first, as what graders see.

    `item` has `input` (the messages), `prompt` (text of the last user message), `metadata`, `model` and `id`; `sample`
    has `output_text`, `output_json` where the text is JSON, `output_tools`, `choices`, `finish_reason` and `usage`.

    Args:
        store: where they are.
        chosen: which of them.
        metadata: pairs that the definition's own data source asks for as well.

    Raises:
        InputError: the filter asks for another kind than chat.
    """
    if chosen.kind not in (None, Kind.CHAT):
        raise InputError("filter kind", found=str(chosen.kind), wanted="chat: graders read text")
    wanted = dict(metadata or {})
    return [
        sample_from_completion(completion)
        for completion in store.iterate(chosen)
        if completion.kind is Kind.CHAT and wanted.items() <= completion.metadata.items()
    ]


def sample_from_completion(completion: Completion) -> Sample:
    """Return a chat completion as what graders see."""
    item: Json = {
        "input": list(completion.messages),
        "prompt": completion.prompt,
        "metadata": dict(completion.metadata),
        "model": completion.model,
        "id": completion.id,
    }
    sample: Json = {
        "choices": list_at(completion.response, "choices"),
        "model": completion.model,
        "finish_reason": completion.finish_reason,
        "usage": completion.response.get("usage"),
    }
    return Sample(completion.id, item, completed(sample))


def write_grades(store: Store, outcomes: Mapping[str, Sequence[Outcome]]) -> int:
    """Write grades into the store, replacing earlier ones of the same graders; return how many were written.

    Completions that were deleted meanwhile are left out, and so are graders that came to no score.
    """
    kept = {name: graded for name, graded in outcomes.items() if store.get(name) is not None}
    graders = dict.fromkeys(outcome.name for graded in kept.values() for outcome in graded)
    written = 0
    for grader in graders:
        grades = dict(_grades_of(grader, kept))
        store.set_grades(grades)
        written += len(grades)
    return written


def _grades_of(grader: str, outcomes: Mapping[str, Sequence[Outcome]]) -> Iterable[tuple[str, Grade]]:
    for name, graded in outcomes.items():
        for outcome in graded:
            if outcome.name == grader and outcome.score is not None:
                yield name, Grade(grader, outcome.score, outcome.passed)
