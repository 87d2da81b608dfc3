"""A model behind an address that is not there, and time that passes only when everybody waits."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import json
from typing import TYPE_CHECKING

import httpx2

from edgedistill.capture.endpoint.address import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

ENDPOINT = Endpoint(address="http://teacher.example/v1", key_variable="")
_SETTLED = 100
"""Rounds of the event loop after which nothing but sleepers is left."""

Body = dict[str, object]


class FakeClock:
    """Virtual time: when nothing else is to do, it jumps to the moment at which the next sleeper wakes."""

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._driver: asyncio.Task[None] | None = None

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.time + seconds, next(self._order), future))
        if self._driver is None or self._driver.done():
            self._driver = asyncio.create_task(self._drive())
        await future

    async def _drive(self) -> None:
        while self._sleepers:
            for _ in range(_SETTLED):
                await asyncio.sleep(0)
            self.time, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)


class Stub:
    """Answers with what `reply` makes of a request's body, and remembers requests and when they came."""

    def __init__(self, reply: Callable[[Body], httpx2.Response], *, clock: FakeClock | None = None) -> None:
        self.requests: list[httpx2.Request] = []
        self.moments: list[float] = []
        self._reply, self._clock = reply, clock

    @property
    def bodies(self) -> list[Body]:
        return [json.loads(request.content) for request in self.requests]

    @property
    def transport(self) -> httpx2.MockTransport:
        return httpx2.MockTransport(self._handle)

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        self.moments.append(self._clock.now() if self._clock else 0.0)
        return self._reply(json.loads(request.content))


def in_turn(*replies: httpx2.Response | Exception) -> Stub:
    """Return a stub that gives one reply after another; an exception is raised."""
    waiting = iter(replies)

    def reply(_: Body) -> httpx2.Response:
        found = next(waiting)
        if isinstance(found, Exception):
            raise found
        return found

    return Stub(reply)


def said(content: object, *, finish: str = "stop", logprobs: object = None, **message: object) -> httpx2.Response:
    """Return a chat completion with one answer; what is no text becomes JSON."""
    text = content if isinstance(content, str) else json.dumps(content)
    choice = {
        "index": 0,
        "finish_reason": finish,
        "logprobs": logprobs,
        "message": {"role": "assistant", "content": text, **message},
    }
    usage = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
    answer = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "judge-1"}
    return httpx2.Response(200, json={**answer, "choices": [choice], "usage": usage})


def refused(
    status: int, message: str = "no", *, code: str | None = None, retry_after: str | None = None
) -> httpx2.Response:
    """Return an error in the API's form."""
    headers = {} if retry_after is None else {"retry-after": retry_after}
    return httpx2.Response(status, json={"error": {"message": message, "code": code}}, headers=headers)


def last_text(body: Body) -> str:
    """Return the content of the last message of a request."""
    messages = body["messages"]
    assert isinstance(messages, list)
    return str(messages[-1]["content"])
