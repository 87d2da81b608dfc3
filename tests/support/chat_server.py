"""A model on this machine's own network, for tests that start other processes and kill them."""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Body = dict[str, object]


class ChatServer:
    """Answers chat completions with what `reply` makes of a request's body, and counts.

    Args:
        reply: the answer's text, or (status, document) for something else.
        delay_s: how long each answer takes.
    """

    def __init__(self, reply: Callable[[Body], str | tuple[int, object]], *, delay_s: float = 0.0) -> None:
        self.bodies: list[Body] = []
        self.headers: list[dict[str, str]] = []
        self.arrived = threading.Semaphore(0)
        self._reply, self._delay_s = reply, delay_s
        self._lock = threading.Lock()

    def answer(self, body: Body, headers: dict[str, str]) -> tuple[int, object]:
        with self._lock:
            self.bodies.append(body)
            self.headers.append(headers)
        self.arrived.release()
        time.sleep(self._delay_s)
        reply = self._reply(body)
        if not isinstance(reply, str):
            return reply
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": reply}}
        usage = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
        document = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "stub"}
        return 200, {**document, "choices": [choice], "usage": usage}


@contextmanager
def serving(server: ChatServer) -> Iterator[str]:
    """Serve from threads; give the address with `/v1`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["content-length"]))
            status, document = server.answer(json.loads(content), dict(self.headers))
            answer = json.dumps(document).encode()
            try:
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)
            except ConnectionError:  # who asked was killed
                self.close_connection = True

        def log_message(self, *_arguments: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing of a client that was killed in the middle of its request."""
            if not isinstance(sys.exception(), (ConnectionError, json.JSONDecodeError)):
                super().handle_error(request, client_address)  # type: ignore[arg-type]

    http = Server(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_address[1]}/v1"
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
