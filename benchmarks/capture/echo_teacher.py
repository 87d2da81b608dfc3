"""A teacher that says what it is told, at once, and calls its answer by the request's `user`. Prints its address.

Usage: python benchmarks/capture/echo_teacher.py
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from streaming_teacher import serve

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


async def teacher(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a chat, streamed or not; anything else with status 400."""
    if scope["type"] != "http":
        raise NotImplementedError
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    try:
        request = json.loads(body)
        said = f"you said: {request['messages'][-1]['content']}"
        name = f"chatcmpl-{request['user']}"
        is_stream = bool(request.get("stream"))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        await _send(send, 400, b"application/json", b'{"error": {"message": "what?", "type": "invalid_request_error"}}')
        return
    head = {"id": name, "created": 1_760_000_000, "model": "echo-1"}
    if not is_stream:
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        await _send(send, 200, b"application/json", json.dumps({**head, "choices": [choice]}).encode())
        return
    choices = [{"delta": {"content": said}}, {"delta": {}, "finish_reason": "stop"}]
    events = [f"data: {json.dumps({**head, 'choices': [choice]})}\n\n" for choice in choices]
    await _send(send, 200, b"text/event-stream", "".join([*events, "data: [DONE]\n\n"]).encode())


async def _send(send: Send, status: int, kind: bytes, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
    await send({"type": "http.response.body", "body": body, "more_body": False})


if __name__ == "__main__":
    serve(teacher)
