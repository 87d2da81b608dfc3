"""The openai client, unmodified, against the server with a stub behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx2
import numpy as np
import openai
import pytest
from openai import AsyncOpenAI
from stub_teacher import KEY

from edgedistill.capture.completion import Kind
from edgedistill.capture.policy import Ask

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

Room = Any
"""The fixture's, with the client and the stub in it."""

Open = Callable[..., Any]


def say(room: Room, text: str, *, model: str = "echo", store: bool | None = True, **more: Any) -> ChatCompletion:  # noqa: ANN401 - the client's own parameters
    """Ask the teacher; the text is the id too."""
    messages = [{"role": "system", "content": "be kind"}, {"role": "user", "content": text}]
    given = {} if store is None else {"store": store}
    return room.client.chat.completions.create(model=model, messages=messages, user=text, **given, **more)


def ids(found: Any) -> list[str]:  # noqa: ANN401 - a page of the client
    return [completion.id.removeprefix("chatcmpl-") for completion in found]


# --- create


def test_an_answer_is_passed_back_and_stored(room: Room) -> None:
    answer = say(room, "hello", metadata={"task": "greeting"}, temperature=0.5)
    assert answer.choices[0].message.content == "you said: hello"
    stored = room.store.get(answer.id)
    assert stored is not None
    assert stored.prompt == "hello"
    assert stored.answer == "you said: hello"
    assert stored.request["temperature"] == 0.5
    assert stored.metadata == {"task": "greeting"}
    assert (stored.model, stored.finish_reason) == ("echo-2026", "stop")
    assert stored.response["usage"] == {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    assert stored.latency_ms is not None
    assert stored.latency_ms > 0
    assert stored.source.startswith("http://127.0.0.1:")


@pytest.mark.parametrize("store", [None, False])
def test_what_is_not_asked_to_be_stored_is_not(room: Room, store: bool | None) -> None:  # noqa: FBT001 - a parameter
    assert say(room, "hello", store=store).choices[0].message.content == "you said: hello"
    room.writer.flush()
    assert room.store.count() == 0


def test_a_policy_may_store_all_but_what_is_asked_not_to_be(open_room: Open) -> None:
    with open_room(ask=Ask.ALWAYS, metadata={"from": "server", "task": "x"}) as room:
        for text, store in (("a", None), ("b", True), ("c", False)):
            say(room, text, store=store, metadata={"task": text})
        assert ids(room.client.chat.completions.list()) == ["a", "b"]
        assert room.client.chat.completions.retrieve("chatcmpl-a").metadata == {"from": "server", "task": "a"}


def test_a_policy_may_store_nothing(open_room: Open) -> None:
    with open_room(ask=Ask.NEVER) as room:
        say(room, "a", store=True)
        assert room.store.count() == 0


def test_the_teacher_gets_the_request_without_what_is_for_the_store(room: Room) -> None:
    say(room, "hello", metadata={"task": "a"}, seed=7)
    body = json.loads(room.received())
    assert body["seed"] == 7
    assert not {"store", "metadata"} & set(body)


def test_the_teacher_may_get_everything(open_room: Open) -> None:
    with open_room(forwards_store=True) as room:
        say(room, "hello", metadata={"task": "a"})
        body = json.loads(room.received())
        assert (body["store"], body["metadata"]) == (True, {"task": "a"})


def test_the_caller_s_key_is_passed_on_and_not_written(room: Room) -> None:
    answer = say(room, "hello", model="leaky", logprobs=True)
    assert KEY in (answer.choices[0].message.content or "")
    assert room.teacher.seen[-1][2]["authorization"] == f"Bearer {KEY}"
    stored = room.store.get(answer.id)
    assert stored is not None
    assert stored.answer == "your key is [redacted:credential], remember it"
    assert stored.log_probabilities == []  # they spell it
    for path in room.store.folder.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes()


def test_log_probabilities_are_stored(room: Room) -> None:
    answer = say(room, "hello", model="logprobs", logprobs=True)
    stored = room.store.get(answer.id)
    assert stored is not None
    assert "".join(one.token for one in stored.log_probabilities) == "you said: hello"
    assert {one.logprob for one in stored.log_probabilities} == {-0.5}


def test_too_much_metadata_is_the_caller_s_error(room: Room) -> None:
    with pytest.raises(openai.BadRequestError, match="17 pairs"):
        say(room, "hello", metadata={str(number): "" for number in range(17)})
    assert room.teacher.seen == []


def test_a_compressed_answer(room: Room) -> None:
    answer = say(room, "hello", model="gzip")
    assert answer.choices[0].message.content == "you said: hello"
    assert ids(room.store.iterate()) == ["hello"]


# --- stream


@pytest.mark.parametrize("model", ["echo", "unended"])
def test_a_stream_is_passed_back_and_stored_whole(room: Room, model: str) -> None:
    chunks = list(say(room, "a-longer-text", model=model, stream=True, stream_options={"include_usage": True}))
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert len(pieces) > 3
    assert "".join(pieces) == "you said: a-longer-text"
    assert chunks[-1].usage is not None
    room.writer.flush()
    stored = room.client.chat.completions.retrieve(chunks[0].id)
    assert stored.choices[0].message.content == "you said: a-longer-text"
    assert stored.choices[0].finish_reason == "stop"
    assert stored.object == "chat.completion"
    assert stored.usage == chunks[-1].usage


def test_who_has_the_end_of_a_stream_finds_it_in_the_store(room: Room) -> None:
    for number in range(20):
        for chunk in say(room, f"text-{number}", stream=True):
            last = chunk
        assert room.store.get(last.id) is not None


def test_a_stream_of_tool_calls(room: Room) -> None:
    for chunk in say(room, "hello", model="tools", stream=True):
        last = chunk
    message = room.client.chat.completions.retrieve(last.id).choices[0].message
    assert not message.content
    assert message.tool_calls is not None
    (call,) = message.tool_calls
    assert "index" not in call.model_dump()
    assert (call.id, call.type) == ("call_1", "function")
    assert (call.function.name, call.function.arguments) == ("look_up", '{"city": "Bern"}')


def test_a_stream_of_two_choices(room: Room) -> None:
    list(say(room, "hello", model="two", stream=True, n=2))
    first, second = room.client.chat.completions.retrieve("chatcmpl-hello").choices
    assert (first.index, first.message.content, first.finish_reason) == (0, "you said: hello", "stop")
    assert (second.index, second.message.content, second.finish_reason) == (1, "YOU SAID: HELLO", "length")


def test_a_stream_with_log_probabilities(room: Room) -> None:
    list(say(room, "hello", model="logprobs", stream=True, logprobs=True))
    stored = room.store.get("chatcmpl-hello")
    assert stored is not None
    assert "".join(one.token for one in stored.log_probabilities) == stored.answer


def test_the_client_s_helper_for_streams(room: Room) -> None:
    with room.client.chat.completions.stream(
        model="echo", messages=[{"role": "user", "content": "hi"}], store=True, user="hi"
    ) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == "you said: hi"
    assert ids(room.store.iterate()) == ["hi"]


# --- list, retrieve, update, delete, messages


@pytest.fixture
def filled(room: Room) -> Room:
    for number in range(7):
        split = "test" if number % 3 == 0 else "train"
        say(room, f"{number}", model="echo" if number % 2 else "gzip", metadata={"split": split, "task": "a"})
    return room


def test_list_pages_by_itself(filled: Room) -> None:
    assert ids(filled.client.chat.completions.list(limit=2)) == list("0123456")
    assert ids(filled.client.chat.completions.list(limit=3, order="desc")) == list("6543210")
    page = filled.client.chat.completions.list(limit=3)
    assert (len(page.data), page.has_more) == (3, True)
    assert ids(filled.client.chat.completions.list(after=page.data[-1].id)) == list("3456")


def test_list_filters(filled: Room) -> None:
    completions = filled.client.chat.completions
    assert ids(completions.list(metadata={"split": "test"})) == list("036")
    assert ids(completions.list(metadata={"split": "test", "task": "a"}, limit=1)) == list("036")
    assert ids(completions.list(metadata={"split": "test", "task": "b"})) == []
    assert ids(completions.list(model="echo")) == list("135")
    assert ids(completions.list(model="gzip-2026", metadata={"split": "train"})) == list("24")
    assert ids(completions.list(extra_query={"created_after": "1699999999"})) == list("0123456")
    assert ids(completions.list(extra_query={"created_before": "1700000000"})) == []


def test_retrieve_gives_what_was_answered(filled: Room) -> None:
    found = filled.client.chat.completions.retrieve("chatcmpl-3")
    assert found.choices[0].message.content == "you said: 3"
    assert found.metadata == {"split": "test", "task": "a"}
    assert found.model == "echo-2026"


def test_update_replaces_metadata(filled: Room) -> None:
    completions = filled.client.chat.completions
    assert completions.update("chatcmpl-3", metadata={"split": "gold"}).metadata == {"split": "gold"}
    assert ids(completions.list(metadata={"split": "gold"})) == ["3"]
    assert completions.update("chatcmpl-3", metadata=None).metadata == {}
    with pytest.raises(openai.BadRequestError, match="at most 512"):
        completions.update("chatcmpl-3", metadata={"k": "v" * 513})


def test_delete(filled: Room) -> None:
    completions = filled.client.chat.completions
    gone = completions.delete("chatcmpl-3")
    assert (gone.id, gone.deleted, gone.object) == ("chatcmpl-3", True, "chat.completion.deleted")
    assert ids(completions.list()) == list("012456")
    for call in (completions.delete, completions.retrieve):
        with pytest.raises(openai.NotFoundError, match="no stored completion"):
            call("chatcmpl-3")


def test_messages(filled: Room) -> None:
    messages = filled.client.chat.completions.messages
    assert [(one.id, one.role, one.content) for one in messages.list("chatcmpl-3")] == [
        ("chatcmpl-3-0", "system", "be kind"),
        ("chatcmpl-3-1", "user", "3"),
    ]
    assert [one.role for one in messages.list("chatcmpl-3", order="desc", limit=1)] == ["user", "system"]
    assert [one.role for one in messages.list("chatcmpl-3", after="chatcmpl-3-0")] == ["user"]
    with pytest.raises(openai.BadRequestError, match="after"):
        messages.list("chatcmpl-3", after="chatcmpl-3-9")


def test_messages_of_several_parts(room: Room) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    answer = room.client.chat.completions.create(
        model="echo", messages=[{"role": "user", "content": parts}], store=True
    )
    (message,) = room.client.chat.completions.messages.list(answer.id)
    assert message.content == "a\nb"
    assert [part.text for part in message.content_parts] == ["a", "b"]


# --- errors


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_is_passed_back_unchanged(room: Room, stream: bool) -> None:  # noqa: FBT001 - a parameter
    with pytest.raises(openai.RateLimitError, match="too many requests") as caught:
        say(room, "hello", model="limited", stream=stream)
    assert caught.value.response.headers["retry-after"] == "7"
    assert caught.value.request_id == "req_1"
    assert caught.value.body == {"message": "too many requests", "type": "stub", "param": None, "code": None}
    assert room.store.count() == 0


def test_a_status_that_nobody_knows(room: Room) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        say(room, "hello", model="weird")
    assert caught.value.status_code == 599


def test_a_teacher_that_is_not_there(open_room: Open) -> None:
    with open_room(upstream="http://127.0.0.1:9/v1") as room:
        with pytest.raises(openai.InternalServerError, match="the teacher did not answer: ConnectError") as caught:
            say(room, "hello")
        assert caught.value.status_code == 502


def test_a_teacher_that_takes_too_long(open_room: Open) -> None:
    with open_room(read_timeout_s=0.2) as room:
        with pytest.raises(openai.InternalServerError, match="ReadTimeout") as caught:
            say(room, "hello", model="stalled")
        assert caught.value.status_code == 504


def test_a_slow_teacher(room: Room) -> None:
    answer = say(room, "hello", model="slow")
    stored = room.store.get(answer.id)
    assert stored is not None
    assert stored.latency_ms is not None
    assert stored.latency_ms >= 300


@pytest.mark.parametrize(("model", "stream"), [("cut", False), ("cut", True)])
def test_a_teacher_that_breaks_off(room: Room, model: str, stream: bool) -> None:  # noqa: FBT001 - a parameter
    # in a stream, the client passes on its HTTP library's own error
    with pytest.raises((openai.APIConnectionError, httpx2.RemoteProtocolError)):
        list(say(room, "a-longer-text", model=model, stream=stream))
    room.writer.flush()
    assert room.store.count() == 0


def test_an_error_within_a_stream(room: Room) -> None:
    before = room.writer.counts.skipped
    with pytest.raises(openai.APIError, match="overloaded"):
        list(say(room, "hello", model="failing", stream=True))
    room.writer.flush()
    assert room.store.count() == 0
    assert room.writer.counts.skipped == before + 1


# --- embeddings, and all else


@pytest.mark.parametrize("form", [None, "float", "base64"])
def test_embeddings(room: Room, form: str | None) -> None:
    given = {} if form is None else {"encoding_format": form}
    answer = room.client.embeddings.create(
        model="embedder", input=["a", "bcd"], extra_body={"store": True, "metadata": {"task": "e"}}, **given
    )
    if form != "base64":
        assert answer.data[1].embedding == [3.0, 0.5, -1.25]
    (stored,) = room.store.iterate()
    assert (stored.kind, stored.model, stored.metadata) == (Kind.EMBEDDING, "embedder-1", {"task": "e"})
    assert stored.request["input"] == ["a", "bcd"]
    array = room.store.array(stored.arrays["embedding"])
    assert array.dtype == np.float32
    assert array.tolist() == [[1.0, 0.5, -1.25], [3.0, 0.5, -1.25]]
    assert ids(room.client.chat.completions.list()) == []
    with pytest.raises(openai.NotFoundError):
        room.client.chat.completions.retrieve(stored.id)


def test_all_else_is_passed_on(room: Room) -> None:
    assert [model.id for model in room.client.models.list()] == ["echo"]
    with pytest.raises(openai.NotFoundError, match="unknown path"):
        room.client.responses.create(model="echo", input="hello")


async def _many(room: Room, count: int) -> list[str]:
    async with AsyncOpenAI(base_url=room.address, api_key=KEY, timeout=20, max_retries=0) as client:

        async def one(number: int) -> str:
            messages = [{"role": "user", "content": f"{number}"}]
            chunks = await client.chat.completions.create(
                model="echo", messages=messages, store=True, stream=True, user=f"{number}"
            )
            return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])

        return await asyncio.gather(*(one(number) for number in range(count)))


def test_many_at_once(room: Room) -> None:
    answers = asyncio.run(_many(room, 40))
    assert answers == [f"you said: {number}" for number in range(40)]
    assert room.store.count() == 40
    for number in range(40):
        stored = room.store.get(f"chatcmpl-{number}")
        assert stored is not None
        assert stored.answer == f"you said: {number}"
