"""Streams: events, and the answer that they are pieces of."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.capture.server.assembly import MAX_CHOICES, assembled, join
from edgedistill.capture.server.events import EndOfStream, data_of


def stream(*choices: Any, end: bytes = b"data: [DONE]\n\n") -> bytes:  # noqa: ANN401 - JSON
    events = [f"data: {json.dumps({'id': 'a', 'model': 'm', 'choices': [choice]})}\n\n" for choice in choices]
    return "".join(events).encode() + end


def delta(index: int = 0, finish: str | None = None, **parts: object) -> dict[str, object]:
    return {"index": index, "delta": parts, "finish_reason": finish}


# --- events


def test_every_line_end_and_field() -> None:
    text = b"\xef\xbb\xbfdata: a\r\n\r\ndata:b\rdata: c\r\r: comment\nevent: x\ndata:  d\n\n\n\ndata\n\ndata: last"
    assert list(data_of(text)) == ["a", "b\nc", " d", "last"]
    assert list(data_of(b"")) == []
    assert list(data_of(b"data: \xff\n\n")) == ["\ufffd"]


@given(st.lists(st.integers(0, 60), max_size=6))
def test_the_last_event_is_seen_in_whatever_pieces_it_comes(cuts: list[int]) -> None:
    text = b'data: {"content": "data: [DONE]"}\n\ndata: [DONE]\n\n'
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[start:end] for start, end in itertools.pairwise(places)]
    end = EndOfStream()
    seen = [end.is_in(piece) for piece in pieces]
    complete = text.index(b"data: [DONE]\n") + len(b"data: [DONE]")
    first = next(number for number, place in enumerate(places[1:]) if place >= complete)
    assert seen.index(True) == first


def test_what_only_looks_like_the_last_event() -> None:
    for text in (b'data: {"a": "[DONE]"}\n\n', b": data: [DONE]\n\n", b"xdata: [DONE]"):
        assert not EndOfStream().is_in(b"\n" + text)
    assert EndOfStream().is_in(b"data: [DONE]")
    assert EndOfStream().is_in(b"data:[DONE]\r\n")


# --- pieces


@given(st.text(max_size=40), st.lists(st.integers(1, 5), max_size=10))
def test_a_text_comes_back_however_it_was_cut(text: str, sizes: list[int]) -> None:
    parts, rest = [], text
    for size in sizes:
        parts.append(rest[:size])
        rest = rest[size:]
    deltas = [delta(content=part) for part in (*parts, rest)]
    answer = assembled(stream(delta(role="assistant"), *deltas, delta(finish="stop")))
    assert answer is not None
    assert answer["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    ]
    assert (answer["id"], answer["model"], answer["object"]) == ("a", "m", "chat.completion")


def test_fields_that_no_specification_has_are_kept() -> None:
    answer = assembled(stream(delta(reasoning_content="thin"), delta(reasoning_content="king", finish="stop")))
    assert answer is not None
    message: Any = answer["choices"]
    assert message[0]["message"]["reasoning_content"] == "thinking"


def test_tool_calls_that_come_interleaved() -> None:
    def call(index: int, arguments: str, **more: object) -> dict[str, object]:
        return delta(tool_calls=[{"index": index, "function": {"arguments": arguments}, **more}])

    answer: Any = assembled(
        stream(
            call(1, "{", id="b", type="function"), call(0, "[", id="a"), call(1, "}"), call(0, "]"), delta(finish="x")
        )
    )
    assert answer["choices"][0]["message"]["tool_calls"] == [
        {"function": {"arguments": "{}"}, "id": "b", "type": "function"},
        {"function": {"arguments": "[]"}, "id": "a"},
    ]


def test_log_probabilities_are_strung_together() -> None:
    pieces = [{**delta(content=c), "logprobs": {"content": [{"token": c}], "refusal": None}} for c in "abc"]
    answer: Any = assembled(stream(*pieces, delta(finish="stop")))
    assert answer["choices"][0]["logprobs"]["content"] == [{"token": c} for c in "abc"]


def test_usage_in_an_event_without_choices() -> None:
    usage = b'data: {"choices": [], "usage": {"total_tokens": 3}}\n\n'
    answer = assembled(
        stream(delta(content="a", finish="stop"), end=usage + b'data: {"choices": [], "usage": null}\n\n')
    )
    assert answer is not None
    assert answer["usage"] == {"total_tokens": 3}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"data: [DONE]\n\n",
        stream(delta(content="a")),
        stream(delta(content="a", finish="stop"), delta(1, content="b")),
        stream(delta(content="a", finish="stop"), end=b'data: {"error": {}}\n\n'),
        stream(delta(content="a", finish="stop"), end=b"data: {\n\n"),
        stream(delta(content="a", finish="stop"), end=b"data: []\n\n"),
        stream(delta(MAX_CHOICES, content="a", finish="stop")),
        stream(delta(-1, content="a", finish="stop")),
        stream("a", 1, None),
    ],
)
def test_what_is_no_whole_answer(text: bytes) -> None:
    assert assembled(text) is None


JSON: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["index", "a", "b"]), inner, max_size=3)
    ),
)
OBJECTS = st.dictionaries(st.sampled_from(["a", "b", "role", "index"]), JSON, max_size=4)


@given(st.lists(OBJECTS, max_size=4))
def test_whatever_is_joined_stays_json(parts: list[dict[str, object]]) -> None:
    whole: dict[str, object] = {}
    for part in parts:
        join(whole, part)
    json.dumps(whole)
    assert set(whole) == {key for part in parts for key in part}


@given(st.lists(JSON, max_size=4))
def test_whatever_comes_is_an_answer_or_none(choices: list[object]) -> None:
    answer = assembled(stream(*choices))
    assert answer is None or answer["choices"]
