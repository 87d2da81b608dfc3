"""A teacher that speaks the API on this machine and misbehaves on demand: the model's name says how."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import socket
import struct
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import uvicorn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from starlette.types import ASGIApp, Receive, Scope, Send

Json = dict[str, Any]
KEY = "sk-canary-0123456789abcdefghij"


class StubTeacher:
    """An ASGI application.

    Models: `echo` (says what the user said), `slow`, `cut` (breaks off), `unended` (a stream without its last event),
    `failing` (an error event in a stream), `limited` (429 with headers), `gzip`, `tools`, `logprobs`, `two` (choices),
    `leaky` (says the caller's key), `stalled` (never answers), `huge`, `weird` (status 599).
    """

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.closed_early = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError  # this is how an application says that it has none
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self.seen.append((scope["method"], scope["path"], headers, body))
        try:
            request = json.loads(body)
        except (ValueError, RecursionError):
            request = None
        answer = _Answer(request, headers, send)
        if scope["path"] == "/v1/models":
            await answer.document({"object": "list", "data": [{"id": "echo", "object": "model"}]})
        elif not isinstance(request, dict) or not isinstance(request.get("model"), str):
            await answer.error(400, "you must give a model")
        elif scope["path"] == "/v1/embeddings":
            await answer.embeddings()
        elif scope["path"] == "/v1/chat/completions":
            await self._complete(answer, receive)
        else:
            await answer.error(404, "unknown path")

    async def _complete(self, answer: _Answer, receive: Receive) -> None:
        model = answer.request["model"]
        if model == "limited":
            await answer.error(429, "too many requests", headers=[(b"retry-after", b"7"), (b"x-request-id", b"req_1")])
        elif model == "weird":
            await answer.error(599, "no such thing")
        elif model == "stalled":
            while (await receive())["type"] != "http.disconnect":
                pass
            self.closed_early += 1
        else:
            if model == "slow":
                await asyncio.sleep(0.3)
            await (answer.stream() if answer.request.get("stream") else answer.completion())


class _Answer:
    def __init__(self, request: Json, headers: dict[str, str], send: Send) -> None:
        self.request = request
        self.headers = headers
        self.send = send

    async def error(self, status: int, text: str, *, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        await self.document({"error": {"message": text, "type": "stub", "param": None, "code": None}}, status, headers)

    async def document(self, value: object, status: int = 200, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        body = json.dumps(value).encode()
        more = [(b"content-type", b"application/json"), (b"set-cookie", b"a=cookie-canary-1"), (b"x-teacher", b"stub")]
        if isinstance(self.request, dict) and self.request.get("model") == "gzip":
            body = gzip.compress(body)
            more.append((b"content-encoding", b"gzip"))
        length = [(b"content-length", str(len(body)).encode())]
        await self.send({"type": "http.response.start", "status": status, "headers": [*more, *length, *headers]})
        if isinstance(self.request, dict) and self.request.get("model") == "cut":
            await self.send({"type": "http.response.body", "body": body[:20], "more_body": True})
            return
        for place in range(0, len(body), 1 << 16):
            await self.send({"type": "http.response.body", "body": body[place : place + (1 << 16)], "more_body": True})
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def embeddings(self) -> None:
        given = self.request.get("input")
        texts = given if isinstance(given, list) else [given]
        data = []
        for index, text in enumerate(texts):
            vector: Any = [float(len(str(text))), 0.5, -1.25]
            if self.request.get("encoding_format") == "base64":
                vector = base64.b64encode(struct.pack("<3f", *vector)).decode()
            data.append({"object": "embedding", "index": index, "embedding": vector})
        usage = {"prompt_tokens": 3, "total_tokens": 3}
        await self.document({"object": "list", "data": data, "model": "embedder-1", "usage": usage})

    def _says(self) -> str:
        model = self.request["model"]
        if model == "leaky":
            return f"your key is {self.headers.get('authorization', '').removeprefix('Bearer ')}, remember it"
        if model == "huge":
            return "x" * 300_000
        messages = self.request.get("messages")
        last = messages[-1] if isinstance(messages, list) and messages and isinstance(messages[-1], dict) else {}
        return f"you said: {last.get('content')}"

    def _name(self) -> str:
        user = self.request.get("user")
        return f"chatcmpl-{user}" if isinstance(user, str) else f"chatcmpl-{abs(hash(json.dumps(self.request))):x}"

    async def completion(self) -> None:
        content: str | None = self._says()
        message: Json = {"role": "assistant", "content": content, "refusal": None}
        if self.request["model"] == "tools":
            message |= {"content": None, "tool_calls": [_call("call_1", "look_up", '{"city": "Bern"}')]}
        logprobs = _logprobs(content or "") if self.request["model"] in ("logprobs", "leaky") else None
        finish = "tool_calls" if self.request["model"] == "tools" else "stop"
        choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": finish}
        await self.document(
            {
                "id": self._name(),
                "object": "chat.completion",
                "created": 1_700_000_000,
                "model": f"{self.request['model']}-2026",
                "choices": [choice],
                "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
            }
        )

    async def stream(self) -> None:
        model = self.request["model"]
        head = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-teacher", b"stub")]
        await self.send({"type": "http.response.start", "status": 200, "headers": head})
        async for event in self._events():
            for piece in (event[:7], event[7:]):  # events come in pieces that end anywhere
                await self.send({"type": "http.response.body", "body": piece, "more_body": True})
        if model != "cut":
            await self.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _events(self) -> AsyncIterator[bytes]:
        model = self.request["model"]
        base = {
            "id": self._name(),
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": f"{model}-2026",
        }
        choices = list(_stream_choices(model, self._says()))
        for place, choice in enumerate(choices):
            if model == "cut" and place == len(choices) - 2:
                await asyncio.sleep(0.02)  # let what came be passed on before the end
                return
            yield _event({**base, "choices": [choice], "usage": None})
        if model == "failing":
            yield _event({"error": {"message": "overloaded", "type": "server_error"}})
        options = self.request.get("stream_options")
        if isinstance(options, dict) and options.get("include_usage"):
            usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
            yield _event({**base, "choices": [], "usage": usage})
        if model != "unended":
            yield b"data: [DONE]\n\n"


def _stream_choices(model: str, text: str) -> Iterator[Json]:
    yield {"index": 0, "delta": {"role": "assistant", "content": "", "refusal": None}, "finish_reason": None}
    if model == "tools":
        yield {
            "index": 0,
            "delta": {"tool_calls": [{"index": 0, **_call("call_1", "look_up", "")}]},
            "finish_reason": None,
        }
        for part in ('{"ci', 'ty": "Be', 'rn"}'):
            call = {"index": 0, "function": {"arguments": part}}
            yield {"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}
        yield {"index": 0, "delta": {}, "finish_reason": "tool_calls"}
        return
    size = 5000 if model == "huge" else 5
    for start in range(0, len(text), size):
        part = text[start : start + size]
        logprobs = _logprobs(part) if model in ("logprobs", "leaky") else None
        yield {"index": 0, "delta": {"content": part}, "logprobs": logprobs, "finish_reason": None}
        if model == "two":
            yield {"index": 1, "delta": {"content": part.upper()}, "finish_reason": None}
    if model == "two":
        yield {"index": 1, "delta": {}, "finish_reason": "length"}
    yield {"index": 0, "delta": {}, "finish_reason": "stop"}


def _call(name: str, function: str, arguments: str) -> Json:
    return {"id": name, "type": "function", "function": {"name": function, "arguments": arguments}}


def _logprobs(text: str) -> Json:
    tokens = [{"token": c, "logprob": -0.5, "bytes": list(c.encode()), "top_logprobs": []} for c in text]
    return {"content": tokens, "refusal": None}


def _event(value: object) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


@contextmanager
def running(app: ASGIApp) -> Iterator[str]:
    """Serve an application from a thread; give its address with `/v1`."""
    # the protocol is named, else asyncio does not set TCP_NODELAY
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            app, log_config=None, log_level="critical", lifespan="auto", ws="none", timeout_graceful_shutdown=2
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + 20
        while not server.started and thread.is_alive() and time.monotonic() < deadline:
            thread.join(0.005)
        assert server.started
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()
