"""Who may ask. What was captured is private: a page in the user's browser must not read it.

A page on the internet can reach this machine's own addresses in two ways: by a form or fetch of its own (it bears an
`Origin`), and by a name that it owns and points at 127.0.0.1 (DNS rebinding: the `Host` is that name). Both are
refused. A server that listens to other machines wants a key instead.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edgedistill.capture.server.answers import error_answer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Guard:
    """Lets through to an application who may ask.

    Args:
        app: the application.
        hosts: names under which it may be asked for; empty: any.
        access_key: callers must send it as `Authorization: Bearer KEY`; it is not passed on. None: no key.
    """

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str] = LOOPBACK, access_key: str | None = None) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)
        self._expected = None if access_key is None else f"Bearer {access_key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request to the application, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = [(name.lower(), value) for name, value in scope["headers"]]
        refusal = self._refusal(headers)
        if refusal is not None:
            await error_answer(*refusal)(scope, receive, send)
            return
        if self._expected is not None:
            scope = {**scope, "headers": [pair for pair in headers if pair[0] != b"authorization"]}
        await self._app(scope, receive, send)

    def _refusal(self, headers: list[tuple[bytes, bytes]]) -> tuple[int, str] | None:
        if self._hosts:
            asked = [_host(b"//" + value) for name, value in headers if name == b"host"]
            if len(asked) != 1 or asked[0] not in self._hosts:
                return 403, "this name of the server is not allowed; see the option --allow-host"
            origins = [_host(value) for name, value in headers if name == b"origin"]
            if any(origin not in self._hosts for origin in origins):
                return 403, "pages of other sites may not ask here"
        if self._expected is not None:
            keys = [value for name, value in headers if name == b"authorization"]
            if len(keys) != 1 or not hmac.compare_digest(keys[0], self._expected):
                return 401, "the access key is missing or wrong"
        return None


def _host(address: bytes) -> str | None:
    try:
        return urlsplit(address.decode("latin-1")).hostname
    except ValueError:
        return None
