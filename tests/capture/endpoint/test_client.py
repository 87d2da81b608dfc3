"""Requests are paced, tried again, counted; a hostile answer is an answer that failed."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import httpx2
import pytest
from chat_stub import ENDPOINT, FakeClock, Stub, in_turn, refused, said

from edgedistill.capture.endpoint.address import Endpoint, checked_endpoint
from edgedistill.capture.endpoint.client import Client, EndpointError, RequestError
from edgedistill.capture.endpoint.limits import Budget, LimitError, Limits
from edgedistill.capture.endpoint.pool import work_through
from edgedistill.capture.journal import Journal
from edgedistill.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgedistill.capture.endpoint.answers import Answer

BODY = {"model": "judge", "messages": [{"role": "user", "content": "hello"}]}


def ask(
    stub: Stub,
    *,
    times: int = 1,
    limits: Limits | None = None,
    endpoint: Endpoint = ENDPOINT,
    clock: FakeClock | None = None,
) -> list[Answer]:
    async def run() -> list[Answer]:
        async with Client(endpoint, limits, clock=clock or FakeClock(), transport=stub.transport) as client:
            return list(await asyncio.gather(*(client.complete(BODY) for _ in range(times))))

    return asyncio.run(run())


def test_an_answer() -> None:
    stub = in_turn(said("hi", reasoning_content="because"))
    (answer,) = ask(stub)
    assert (answer.text, answer.reasoning, answer.finish_reason, answer.model) == ("hi", "because", "stop", "judge-1")
    assert (answer.usage.total_tokens, answer.requests) == (12, 1)
    assert str(stub.requests[0].url) == "http://teacher.example/v1/chat/completions"
    assert stub.bodies == [BODY]


def test_another_model_can_be_asked_than_the_definition_names() -> None:
    stub = in_turn(said("hi"))
    ask(stub, endpoint=Endpoint("http://teacher.example/v1", key_variable="", model="local"))
    assert stub.bodies[0]["model"] == "local"


@pytest.mark.parametrize("status", [408, 429, 500, 503, 529])
def test_what_may_pass_is_tried_again_and_waits_longer_each_time(status: int) -> None:
    clock = FakeClock()
    stub = in_turn(refused(status), refused(status), httpx2.ConnectError("gone"), said("hi"))
    (answer,) = ask(stub, clock=clock)
    assert answer.requests == 4
    first, second, third = clock.slept
    assert 0.375 <= first <= 0.625 < second <= 1.25 < third <= 2.5


def test_retries_end() -> None:
    stub = Stub(lambda _: refused(503, "overloaded"))
    with pytest.raises(RequestError, match="status 503: overloaded") as caught:
        ask(stub, limits=Limits(retries=2))
    assert len(stub.requests) == caught.value.requests == 3


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_will_not_pass_is_not_tried_again(status: int) -> None:
    stub = Stub(lambda _: refused(status, "too long"))
    with pytest.raises(RequestError, match="too long"):
        ask(stub)
    assert len(stub.requests) == 1


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_key_or_address_stops_everything(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "sk-secret-0123456789")
    stub = Stub(lambda _: refused(status, "Incorrect API key provided: sk-secret-0123456789"))
    endpoint = Endpoint("https://teacher.example/v1", key_variable="A_KEY")
    with pytest.raises(EndpointError) as caught:
        ask(stub, endpoint=endpoint)
    assert stub.requests[0].headers["authorization"] == "Bearer sk-secret-0123456789"
    assert "secret" not in str(caught.value)
    assert "A_KEY" in str(caught.value)


def test_the_endpoint_says_how_long_to_wait_and_all_wait() -> None:
    clock = FakeClock()
    replies = iter([refused(429, retry_after="7"), *(said("hi") for _ in range(4))])
    stub = Stub(lambda _: next(replies), clock=clock)
    ask(stub, times=4, limits=Limits(concurrency=1), clock=clock)
    assert stub.moments == [0.0, 7.0, 7.0, 7.0, 7.0]


def test_a_wait_of_an_hour_is_a_failure() -> None:
    clock = FakeClock()
    with pytest.raises(RequestError, match="429"):
        ask(Stub(lambda _: refused(429, "daily quota", retry_after="3600")), clock=clock)
    assert clock.slept == []


def test_requests_begin_at_even_distances() -> None:
    clock = FakeClock()
    stub = Stub(lambda _: said("hi"), clock=clock)
    ask(stub, times=5, limits=Limits(requests_per_minute=30, concurrency=5), clock=clock)
    assert stub.moments == [0.0, 2.0, 4.0, 6.0, 8.0]


def test_no_more_at_once_than_allowed() -> None:
    running, most = 0, 0

    class Slow(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, _request: httpx2.Request) -> httpx2.Response:
            nonlocal running, most
            running += 1
            most = max(most, running)
            for _ in range(10):
                await asyncio.sleep(0)
            running -= 1
            return said("hi")

    async def run() -> None:
        async with Client(ENDPOINT, Limits(concurrency=3), transport=Slow()) as client:
            await asyncio.gather(*(client.complete(BODY) for _ in range(20)))

    asyncio.run(run())
    assert most == 3


def test_the_limit_of_requests_counts_retries() -> None:
    stub = Stub(lambda _: refused(503))
    with pytest.raises(LimitError, match="limit of 4 requests: 4 are used"):
        ask(stub, limits=Limits(max_requests=4, retries=10))
    assert len(stub.requests) == 4


def test_the_limit_of_tokens_stops_before_the_next_request() -> None:
    stub = Stub(lambda _: said("hi"))
    with pytest.raises(LimitError, match="tokens: 24 are used"):
        ask(stub, times=5, limits=Limits(max_tokens=20, concurrency=1))
    assert len(stub.requests) == 2


def test_a_budget_counts_on_where_a_killed_run_stopped(tmp_path: Path) -> None:
    limits = Limits(max_requests=3)
    with Journal(tmp_path / "a.jsonl") as journal:
        budget = Budget(limits, journal)
        budget.take_request()
        budget.take_request()
    with Journal(tmp_path / "a.jsonl") as journal:
        budget = Budget(limits, journal)
        budget.take_request()
        with pytest.raises(LimitError):
            budget.take_request()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"choices": []}',
        b'{"choices": [[]]}',
        b'{"choices": [{"message": "hi"}]}',
        b'{"choices": {"0": {"message": {"content": "hi"}}}}',
        b"<html>bad gateway</html>",
        b'{"choices": ' + b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_a_hostile_answer_is_a_failed_request(content: bytes) -> None:
    stub = Stub(lambda _: httpx2.Response(200, content=content))
    with pytest.raises(RequestError):
        ask(stub, limits=Limits(retries=1))


@pytest.mark.parametrize("usage", [None, [], {"total_tokens": "9"}, {"prompt_tokens": -5}, {"total_tokens": True}])
def test_nonsense_in_the_usage_counts_nothing(usage: object) -> None:
    document = {"choices": [{"message": {"content": "hi"}}], "usage": usage}
    (answer,) = ask(in_turn(httpx2.Response(200, json=document)))
    assert answer.usage.total_tokens == 0


def test_a_redirect_is_not_followed_with_the_key() -> None:
    stub = Stub(lambda _: httpx2.Response(307, headers={"location": "http://elsewhere.example/"}))
    with pytest.raises(RequestError, match="307"):
        ask(stub)
    assert len(stub.requests) == 1


def embed(stub: Stub, texts: Sequence[str]) -> list[list[float]]:
    async def run() -> list[list[float]]:
        async with Client(ENDPOINT, Limits(retries=0), transport=stub.transport) as client:
            return await client.embed(texts, model="embedder")

    return asyncio.run(run())


def test_embeddings() -> None:
    data = [{"embedding": [1, 0.5]}, {"embedding": [0, -1]}]
    stub = in_turn(httpx2.Response(200, json={"data": data}))
    assert embed(stub, ["a", "b"]) == [[1.0, 0.5], [0.0, -1.0]]
    assert json.loads(stub.requests[0].content) == {
        "model": "embedder",
        "input": ["a", "b"],
        "encoding_format": "float",
    }


@pytest.mark.parametrize(
    "data",
    [
        [],
        [{"embedding": [1]}],
        [{"embedding": [1]}, {"embedding": [1, 2]}],
        [{"embedding": "AAAA"}] * 2,
        [{"embedding": [None]}] * 2,
    ],
)
def test_embeddings_that_do_not_fit(data: object) -> None:
    with pytest.raises(RequestError, match="vectors for 2 texts"):
        embed(in_turn(httpx2.Response(200, json={"data": data})), ["a", "b"])


# --- addresses


@pytest.mark.parametrize(
    "address",
    [
        "",
        "localhost:8000",
        "ftp://a/v1",
        "http://",
        "http://user:pw@a/v1",
        "http://a/v1?key=sk-1",
        "http://[::1/v1",
        "http://a:99999/v1",
    ],
)
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(InputError) as caught:
        checked_endpoint(address)
    assert "pw" not in str(caught.value)
    assert "sk-1" not in str(caught.value)


def test_a_key_goes_in_the_clear_to_this_machine_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    for address in ("http://127.0.0.1:8000/v1", "http://localhost/v1", "http://[::1]:1/v1", "https://api.example/v1"):
        checked_endpoint(address)
    with pytest.raises(InputError, match="in the clear"):
        checked_endpoint("http://192.168.0.7:8000/v1")
    checked_endpoint("http://192.168.0.7:8000/v1", key_variable="")
    assert "sk-1" not in repr(checked_endpoint("https://api.example/v1"))


# --- many at once


def test_after_an_error_nothing_else_is_begun_and_what_runs_ends() -> None:
    ended = []

    async def work(item: int) -> None:
        await asyncio.sleep(0)
        if item == 2:
            raise ValueError("stop")
        await asyncio.sleep(0)
        ended.append(item)

    with pytest.raises(ValueError, match="stop"):
        asyncio.run(work_through(range(100), work, workers=3))
    assert ended == [0, 1]
