"""A teacher for benchmarks: streams 20 tokens, 25 ms apart, the first after 50 ms. Prints its address.

Usage: python benchmarks/capture/streaming_teacher.py
"""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

TOKENS = 20
APART_S = 0.025
FIRST_S = 0.05
numbers = itertools.count()


async def teacher(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer whatever is asked."""
    if scope["type"] != "http":
        raise NotImplementedError
    while (await receive()).get("more_body"):
        pass
    head = {"id": f"chatcmpl-{next(numbers)}", "object": "chat.completion.chunk", "created": 1_760_000_000}
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    due = asyncio.get_running_loop().time() + FIRST_S
    for place in range(TOKENS):
        await asyncio.sleep(due - asyncio.get_running_loop().time())
        due += APART_S
        finish = "stop" if place == TOKENS - 1 else None
        choice = {"index": 0, "delta": {"content": f"token {place} "}, "finish_reason": finish}
        event = {**head, "model": "teacher-2026", "choices": [choice]}
        await send({"type": "http.response.body", "body": f"data: {json.dumps(event)}\n\n".encode(), "more_body": True})
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": False})


def serve(app: ASGIApp) -> None:
    """Print an address of this machine, and serve there until terminated."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(2048)
        print(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", flush=True)
        config = uvicorn.Config(app, log_level="critical", access_log=False, ws="none", lifespan="off")
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    serve(teacher)
