"""The record of one answer."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from edgedistill.capture.completion import (
    Completion,
    Kind,
    chat_completion,
    checked_metadata,
    duplicate_hash,
    new_id,
    prompt_hash,
    text_of_content,
)
from edgedistill.capture.json_text import MAX_DEPTH, parsed, parsed_object, text_of
from edgedistill.errors import DataError


def asked(content: object, answer: str | None = "yes", **request: object) -> Completion:
    choice = {"finish_reason": "stop", "message": {"role": "assistant", "content": answer}}
    messages = [{"role": "system", "content": "label it"}, {"role": "user", "content": content}]
    return chat_completion({"model": "m", "messages": messages, **request}, {"id": "a", "choices": [choice]})


def test_a_record_of_a_chat() -> None:
    found = asked("good?", store=True, metadata={"task": "a"}, temperature=0)
    assert found.request == {"model": "m", "messages": found.messages, "temperature": 0}
    assert found.metadata == {"task": "a"}
    assert (found.kind, found.finish_reason, found.prompt, found.answer) == (Kind.CHAT, "stop", "good?", "yes")
    assert found.response["object"] == "chat.completion"
    assert found.model == found.response["model"] == "m"


@pytest.mark.parametrize("name", ["", "a/b", "a b", "x" * 129, "é", 7, None])
def test_an_id_that_cannot_stand_in_a_url_is_replaced(name: object) -> None:
    found = chat_completion({}, {"id": name, "choices": [{}, {"index": 0}]} | {"choices": [{"index": 0}]})
    assert found.id.startswith("chatcmpl-")
    assert found.response["id"] == found.id


@pytest.mark.parametrize("created", [-1, 2**40, 1.5, "1", True, None])
def test_a_time_that_is_none_is_now(created: object) -> None:
    assert chat_completion({}, {"created": created, "choices": [{"index": 0}]}).created > 1_700_000_000


@pytest.mark.parametrize("choices", [[], None, ["a"], {}])
def test_an_answer_without_choices_is_refused(choices: object) -> None:
    with pytest.raises(DataError, match="no choices"):
        chat_completion({}, {"choices": choices})


def test_the_prompt_is_what_the_user_said_last() -> None:
    assert asked([{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}]).prompt == "a\nb"
    only_system = chat_completion({"messages": [{"role": "system", "content": "s"}]}, {"choices": [{"index": 0}]})
    assert only_system.prompt == "s"
    assert chat_completion({"messages": "x"}, {"choices": [{"index": 0}]}).prompt == ""
    assert text_of_content(None) == ""


def test_log_probabilities() -> None:
    other = {"token": "no", "logprob": math.log(0.25)}
    token = {"token": "yes", "logprob": math.log(0.75), "top_logprobs": [{"token": "yes", "logprob": -0.1}, other]}
    choice = {"message": {"content": "yes"}, "logprobs": {"content": [token, {"token": "!", "logprob": None}]}}
    first, second = chat_completion({}, {"choices": [choice]}).log_probabilities
    assert first == ("yes", math.log(0.75), {"yes": -0.1, "no": math.log(0.25)})
    assert second == ("!", -math.inf, {})
    assert asked("x").log_probabilities == []


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], "list; wanted an object of texts"),
        ({str(number): "" for number in range(17)}, "17 pairs; wanted at most 16"),
        ({"k" * 65: "v"}, "65 characters; wanted at most 64"),
        ({"k": "v" * 513}, "513 characters; wanted at most 512"),
        ({"k": 1}, "metadata value: int; wanted a text"),
        ({1: "v"}, "metadata key: int; wanted a text"),
        ({"k": "\ud800"}, "surrogate"),
    ],
)
def test_metadata_has_limits(pairs: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        checked_metadata(pairs)


def test_metadata_at_its_limits() -> None:
    largest = {f"{number:064}": "v" * 512 for number in range(16)}
    assert checked_metadata(largest) == largest
    assert checked_metadata(None) == {}


def test_prompts_that_are_the_same() -> None:
    base = prompt_hash(asked("Is it good?"))
    assert prompt_hash(asked("  is it\nGOOD? ", answer="no", temperature=1)) == base
    assert prompt_hash(asked("Is it goode\u0301?")) == prompt_hash(asked("is it good\u00e9?"))
    assert prompt_hash(asked("Is it bad?")) != base
    other_system = chat_completion(
        {"messages": [{"role": "system", "content": "count"}, {"role": "user", "content": "Is it good?"}]},
        {"choices": [{"index": 0}]},
    )
    assert prompt_hash(other_system) != base


def test_exact_duplicates() -> None:
    base = duplicate_hash(asked("good?"))
    assert duplicate_hash(replace(asked("good?"), id="b", created=1)) == base
    assert duplicate_hash(asked("good?", temperature=0.5)) == base
    for other in (asked("Good?"), asked("good?", answer="no"), asked("good?", tools=[{}])):
        assert duplicate_hash(other) != base


def test_new_ids_differ() -> None:
    assert len({new_id("a") for _ in range(1000)}) == 1000


# --- JSON


def test_what_is_no_json_is_none() -> None:
    for content in (b"", b"{", b"\xff", b'{"a": 1', b"[" * 100_000, b"9" * 5000):
        assert parsed(content) is None
    assert parsed_object(b"[]") is None
    assert parsed(b'{"a": [NaN, -Infinity]}') == {"a": [None, None]}


def test_what_is_nested_too_deep_is_none() -> None:
    assert parsed("[" * MAX_DEPTH + "]" * MAX_DEPTH) is not None
    assert parsed("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)) is None


def test_json_that_others_can_read() -> None:
    assert text_of({"a": "é"}) == '{"a":"é"}'
    assert text_of(parsed(b'{"a": [1e999, 1]}')) == '{"a":[null,1]}'
    assert text_of({"a": "\ud800é"}) == '{"a":"\\ud800\\u00e9"}'
