"""The server as an application: who may ask, what is stored, and all else passed on."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

import httpx2
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.routing import Mount, Route

from edgedistill.capture.retention import Retention, prune
from edgedistill.capture.server.answers import error_answer, json_answer
from edgedistill.capture.server.guard import LOOPBACK, Guard
from edgedistill.capture.server.relay import Relay, Settings
from edgedistill.capture.server.stored import routes
from edgedistill.errors import EdgeDistillError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from edgedistill.capture.store import Store
    from edgedistill.capture.writer import Writer

PRUNE_EVERY_S = 600.0

logger = logging.getLogger(__name__)


def application(
    settings: Settings,
    *,
    store: Store,
    writer: Writer,
    retention: Retention | None = None,
    hosts: Iterable[str] = LOOPBACK,
    access_key: str | None = None,
    transport: httpx2.AsyncBaseTransport | None = None,
) -> ASGIApp:
    """Return the server as an ASGI application.

    Args:
        settings: where requests go, and which answers are stored.
        store: what the endpoints read; not the one that the writer writes, so that neither waits for the other.
        writer: where answers are stored.
        retention: enforced when the server starts and every ten minutes.
        hosts: names under which it may be asked for; empty: any.
        access_key: what callers must send; None: nothing.
        transport: instead of the network.
    """
    for name in ("httpx2", "httpcore2"):  # they log addresses, and with them a key in a query
        logging.getLogger(name).setLevel(logging.WARNING)
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=30.0)
    client = httpx2.AsyncClient(transport=transport, limits=limits)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        keeping = asyncio.create_task(_keep(store, retention or Retention()))
        try:
            yield
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping
            await client.aclose()

    async def health(_request: Request) -> Response:
        return json_answer({"status": "ok", "answers": asdict(writer.counts)})

    app = Starlette(
        routes=[Route("/health", health), *routes(store), Mount("/", app=Relay(settings, client, writer))],
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return Guard(_Quiet(app), hosts=hosts, access_key=access_key)


class _Quiet:
    """Answers for an application that raised; tracebacks quote what was asked, and so are not written."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except ClientDisconnect:
            pass
        except Exception as error:
            if scope["type"] != "http":
                raise
            logger.error("answering a request failed: %s", type(error).__name__)  # noqa: TRY400 - see the class
            with suppress(RuntimeError):  # the answer had begun
                await error_answer(503, "the store cannot answer now")(scope, receive, send)


async def _keep(store: Store, retention: Retention) -> None:
    """Enforce the limits of a store, again and again."""
    while retention.is_limited:
        try:
            await run_in_threadpool(prune, store, retention)
        except EdgeDistillError as error:
            logger.warning("old completions are not deleted: %s", error)
        await asyncio.sleep(PRUNE_EVERY_S)
