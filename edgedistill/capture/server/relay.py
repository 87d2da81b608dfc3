"""Passes a request on to the teacher and the answer back, piece by piece; what is to be stored is copied aside.

The end of an answer is held back until its record is on the disk, for at most `wait_s`: who has a whole answer finds
it in the store. Its beginning, and every piece of a stream but the last, pass at once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import httpx2

from edgedistill.capture.policy import Policy
from edgedistill.capture.redaction import Redaction, credentials_of, redaction_of
from edgedistill.capture.server.answers import error_answer
from edgedistill.capture.server.content import MAX_BODY
from edgedistill.capture.server.events import EndOfStream
from edgedistill.capture.server.records import Passed, entries_of
from edgedistill.capture.server.requests import Wish, wish_of
from edgedistill.capture.server.upstream import Upstream, passed_back, passed_on, secrets_of
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from starlette.types import Receive, Scope, Send

    from edgedistill.capture.writer import Writer

ROOT = b"/v1/"
STATUS_OK = 200

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """How requests are passed on and answers stored.

    Args:
        upstream: the teacher.
        policy: which answers are stored.
        redaction: what is taken out of them first.
        metadata: for every stored answer, below the request's own.
        forwards_store: the teacher gets `store` and `metadata` too.
        secrets: texts that are never written, besides the keys of each request.
        connect_timeout_s: to reach the teacher.
        read_timeout_s: between two pieces of an answer.
        wait_s: how long the end of an answer waits for the store.
    """

    upstream: Upstream
    policy: Policy = field(default_factory=Policy)
    redaction: Redaction = field(default_factory=redaction_of)
    metadata: Mapping[str, str] = field(default_factory=dict)
    forwards_store: bool = False
    secrets: Sequence[str] = field(default=(), repr=False)
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 600.0
    wait_s: float = 1.0


class _NotSentError(Exception):
    """A request that HTTP does not allow to be passed on."""


class Relay:
    """An ASGI application that passes everything below /v1 on.

    Args:
        settings: where to, and what is stored.
        client: connections to the teacher.
        writer: where answers are stored.
    """

    def __init__(self, settings: Settings, client: httpx2.AsyncClient, writer: Writer) -> None:
        self._settings, self._client, self._writer = settings, client, writer
        self._waits = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; if the caller leaves before the end, so do we."""
        exchange = _Exchange(scope, send)
        if not exchange.path.startswith(ROOT):
            await exchange.refuse(404, "there is nothing here; what is passed on is below /v1")
            return
        body = await _body(receive)
        if body is None:
            return
        passing = asyncio.ensure_future(self._pass(exchange, body))
        leaving = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({passing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            if not exchange.has_ended:
                passing.cancel()
        await asyncio.wait({passing})
        if not passing.cancelled() and (error := passing.exception()) is not None:
            # neither message nor traceback: both may quote what was asked
            logger.error("passing a request on failed: %s", type(error).__name__)

    async def _pass(self, exchange: _Exchange, body: bytes) -> None:
        if len(body) > MAX_BODY:
            await exchange.refuse(413, f"the request is longer than {MAX_BODY} bytes")
            return
        try:
            wish = self._wish(exchange, body)
            async with self._answer(exchange, wish.body) as answer:
                await self._pass_back(exchange, wish, answer)
        except DataError as error:
            await exchange.refuse(400, str(error), param="metadata")
        except _NotSentError as error:
            await exchange.refuse(400, str(error))
        except httpx2.HTTPError as error:
            # never the error's own text: it may quote a header, and so a key
            name = type(error).__name__
            logger.info("the teacher broke off or did not answer: %s", name)
            if not exchange.has_begun:  # else the connection is cut, as the teacher's was
                status = 504 if isinstance(error, httpx2.TimeoutException) else 502
                await exchange.refuse(status, f"the teacher did not answer: {name}", code=name)

    def _wish(self, exchange: _Exchange, body: bytes) -> Wish:
        settings = self._settings
        path = exchange.path.removeprefix(ROOT) if exchange.scope["method"] == "POST" else b""
        return wish_of(
            path,
            body,
            policy=settings.policy,
            forwards_store=settings.forwards_store,
            defaults=settings.metadata,
        )

    @asynccontextmanager
    async def _answer(self, exchange: _Exchange, body: bytes) -> AsyncIterator[httpx2.Response]:
        settings, scope = self._settings, exchange.scope
        timeout = httpx2.Timeout(settings.read_timeout_s, connect=settings.connect_timeout_s, pool=None)
        try:
            request = httpx2.Request(
                scope["method"],
                settings.upstream.url(exchange.path.removeprefix(ROOT), scope["query_string"]),
                headers=passed_on(scope["headers"], key=settings.upstream.key),
                content=body,
                extensions={"timeout": timeout.as_dict()},
            )
        except (httpx2.InvalidURL, ValueError) as error:
            raise _NotSentError(f"the address cannot be passed on: {type(error).__name__}") from None
        answer = await self._client.send(request, stream=True)
        try:
            yield answer
        finally:
            await answer.aclose()

    async def _pass_back(self, exchange: _Exchange, wish: Wish, answer: httpx2.Response) -> None:
        await exchange.begin(answer)
        if wish.kind is None or answer.status_code != STATUS_OK:
            async for piece in answer.aiter_raw():
                await exchange.pass_on(piece)
            await exchange.end()
        elif answer.headers.get("content-type", "").startswith("text/event-stream"):
            await self._pass_stream(exchange, wish, answer)
        else:
            await self._pass_document(exchange, wish, answer)

    async def _pass_document(self, exchange: _Exchange, wish: Wish, answer: httpx2.Response) -> None:
        kept, held = _Kept(), b""
        async for piece in answer.aiter_raw():
            await exchange.pass_on(held)
            held = piece
            kept.add(piece)
        await self._store(exchange, wish, answer, kept, is_stream=False)
        await exchange.pass_on(held)
        await exchange.end()

    async def _pass_stream(self, exchange: _Exchange, wish: Wish, answer: httpx2.Response) -> None:
        kept, end, has_ended = _Kept(), EndOfStream(), False
        async for piece in answer.aiter_raw():
            kept.add(piece)
            if not has_ended and end.is_in(piece):
                has_ended = True
                await self._store(exchange, wish, answer, kept, is_stream=True)
            await exchange.pass_on(piece)
        if not has_ended:  # it is compressed, or the teacher ends streams without their last event
            await self._store(exchange, wish, answer, kept, is_stream=True)
        await exchange.end()

    async def _store(
        self, exchange: _Exchange, wish: Wish, answer: httpx2.Response, kept: _Kept, *, is_stream: bool
    ) -> None:
        """Have an answer stored, and wait for it as long as the store keeps up."""
        settings = self._settings
        if wish.kind is None or (content := kept.content()) is None:
            return
        passed = Passed(
            kind=wish.kind,
            request=wish.request,
            metadata=wish.metadata,
            answer=content,
            encoding=answer.headers.get("content-encoding", ""),
            is_stream=is_stream,
            latency_ms=1e3 * (time.perf_counter() - exchange.started_s),
            source=settings.upstream.address,
            credentials=credentials_of([*exchange.secrets(), settings.upstream.key or "", *settings.secrets]),
        )
        done = self._writer.submit(lambda: entries_of(passed, settings.redaction))
        if not self._waits:
            return
        finished, _ = await asyncio.wait({asyncio.wrap_future(done)}, timeout=settings.wait_s)
        if not finished:
            logger.warning("the store takes longer than %g s; answers do not wait for it", settings.wait_s)
            self._waits = False
            done.add_done_callback(self._wait_again)

    def _wait_again(self, _done: object) -> None:
        self._waits = True


class _Exchange:
    """One request and what was sent back so far."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope = scope
        self.path: bytes = scope["raw_path"]
        self.started_s = time.perf_counter()
        self.has_begun = False
        self.has_ended = False
        self._send = send

    def secrets(self) -> list[str]:
        return secrets_of(self.scope["headers"], parse_qs(self.scope["query_string"].decode("latin-1")))

    async def begin(self, answer: httpx2.Response) -> None:
        self.has_begun = True
        headers = passed_back(answer.headers.raw)
        await self._send({"type": "http.response.start", "status": answer.status_code, "headers": headers})

    async def pass_on(self, piece: bytes) -> None:
        if piece:
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def end(self) -> None:
        self.has_ended = True
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def refuse(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        self.has_begun = self.has_ended = True
        answer = error_answer(status, message, param=param, code=code)
        await answer(self.scope, _nothing_more, self._send)


class _Kept:
    """What of an answer is kept for the store: all of it, or nothing if it is too long."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size <= MAX_BODY:
            self._pieces.append(piece)
        else:
            self._pieces.clear()

    def content(self) -> bytes | None:
        if self._size > MAX_BODY:
            logger.warning("an answer is not stored: it is longer than %d bytes", MAX_BODY)
            return None
        return b"".join(self._pieces)


async def _body(receive: Receive) -> bytes | None:
    """Return a request's body, cut where it is longer than MAX_BODY; None if the caller has left."""
    pieces, size = list[bytes](), 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        piece = message.get("body", b"")
        pieces.append(piece)
        size += len(piece)
        if not message.get("more_body") or size > MAX_BODY:
            return b"".join(pieces)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _nothing_more() -> dict[str, str]:
    return {"type": "http.disconnect"}
