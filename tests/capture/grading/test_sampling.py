"""A run's data source says what is asked; a model's answers become samples, once each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from chat_stub import ENDPOINT, FakeClock, Stub, last_text, refused, said

from edgedistill.capture.endpoint.limits import Limits
from edgedistill.capture.grading.definitions import DefinitionError
from edgedistill.capture.grading.samples import Sample
from edgedistill.capture.grading.sampling import (
    Sampler,
    StoredCompletions,
    answered,
    data_source_from_document,
    forget_answers,
    request_body,
)
from edgedistill.errors import GateError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx2

ROWS = {"type": "file_content", "content": [{"item": {"q": "2 + 2?"}}]}
TEMPLATE = {
    "type": "template",
    "template": [
        {"role": "developer", "content": "Be brief."},
        {"type": "message", "role": "user", "content": {"type": "input_text", "text": "Question: {{ item.q }}"}},
    ],
}
ASKING = {
    "type": "completions",
    "source": ROWS,
    "input_messages": TEMPLATE,
    "model": "gpt-4.1-mini",
    "sampling_params": {"temperature": 0, "max_completions_tokens": 50, "seed": 42},
}
ITEMS = [Sample(f"row-{n}", {"q": str(n)}, {}) for n in range(6)]


def source(**changed: object) -> Any:  # noqa: ANN401 - a model of ours
    return data_source_from_document({"name": "run", "data_source": {**ASKING, **changed}}, thing="run")


def test_a_template() -> None:
    body = request_body(source(), Sample("a", {"q": "2 + 2?"}, {}))
    assert body == {
        "model": "gpt-4.1-mini",
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Question: 2 + 2?"}]},
        ],
        "temperature": 0.0,
        "seed": 42,
        "max_completion_tokens": 50,
    }


@pytest.mark.parametrize("value", [[{"role": "user", "content": "hi"}], "hi"])
def test_a_reference_to_messages_or_a_text(value: object) -> None:
    referring = source(input_messages={"type": "item_reference", "item_reference": "item.input"})
    body = request_body(referring, Sample("a", {"input": value}, {}))
    assert body["messages"] == [{"role": "user", "content": "hi"}]


def test_what_an_item_does_not_have() -> None:
    with pytest.raises(DefinitionError, match="there is no 'q'"):
        request_body(source(), Sample("a", {}, {}))
    referring = source(input_messages={"type": "item_reference", "item_reference": "item.input"})
    for item in ({"input": 7}, {"input": []}, {"input": ["hi"]}, {}):
        with pytest.raises(DefinitionError, match="item 'a'"):
            request_body(referring, Sample("a", dict(item), {}))


def test_stored_completions_are_a_filter() -> None:
    stored = {"type": "stored_completions", "metadata": {"a": "b"}, "model": "m", "created_after": 5, "limit": 3}
    found = source(source=stored).source
    assert isinstance(found, StoredCompletions)
    assert (found.filter.metadata, found.filter.model, found.limit) == ({"a": "b"}, "m", 3)
    # the published time is inclusive, the store's exclusive
    assert found.filter.created_after == 4


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "no data_source"),
        ({"data_source": {**ASKING, "modle": "x"}}, "modle"),
        ({"data_source": {**ASKING, "input_messages": {"type": "template", "template": []}}}, "template"),
        ({"data_source": {"type": "jsonl"}}, "source: Field required"),
    ],
)
def test_what_is_no_data_source(document: object, message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        data_source_from_document(document, thing="run")


def test_a_source_that_is_not_run_here() -> None:
    with pytest.raises(UnsupportedError, match="type 'responses'"):
        data_source_from_document({"data_source": {"type": "responses"}}, thing="run")


def ask(history: Path, reply: Callable[[dict[str, object]], httpx2.Response]) -> tuple[list[Sample], Stub]:
    stub = Stub(reply)
    sampler = Sampler(source(), ENDPOINT, Limits(concurrency=1, retries=0))
    return answered(ITEMS, sampler, history=history, transport=stub.transport, clock=FakeClock()), stub


def echo(body: dict[str, object]) -> httpx2.Response:
    return said({"echo": last_text(body)})


def test_answers_become_samples(tmp_path: Path) -> None:
    samples, stub = ask(tmp_path, echo)
    assert len(stub.requests) == 6
    assert [sample.id for sample in samples] == [item.id for item in ITEMS]
    found = samples[3].sample
    assert "Question: 3" in str(found["output_json"])
    assert found["finish_reason"] == "stop"
    assert samples[3].item == {"q": "3"}


def test_answers_are_kept_until_the_run_is_complete(tmp_path: Path) -> None:
    with pytest.raises(GateError, match="1 have none: status 400: no"):
        ask(tmp_path, lambda body: refused(400, "no") if "Question: 4" in last_text(body) else echo(body))
    samples, stub = ask(tmp_path, echo)
    assert [last_text(body) for body in stub.bodies] == [str([{"type": "text", "text": "Question: 4"}])]
    assert len(samples) == 6
    sampler = Sampler(source(), ENDPOINT)
    forget_answers(ITEMS, sampler, history=tmp_path)
    assert list(tmp_path.iterdir()) == []
    _, stub = ask(tmp_path, echo)
    assert len(stub.requests) == 6
