"""Runs the server until it is interrupted."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import closing
from typing import TYPE_CHECKING

import uvicorn

from edgedistill.capture.server.app import application
from edgedistill.capture.server.guard import LOOPBACK
from edgedistill.capture.store import Store
from edgedistill.capture.writer import Writer
from edgedistill.errors import InputError, ResourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from edgedistill.capture.retention import Retention
    from edgedistill.capture.server.relay import Settings
    from edgedistill.capture.writer import Counts

SHUTDOWN_S = 10
"""How long answers that are on their way may take when the server is interrupted."""

BACKLOG = 2048
"""Connections that may wait to be accepted."""


def serve(
    settings: Settings,
    folder: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8383,
    retention: Retention | None = None,
    hosts: Iterable[str] = (),
    access_key: str | None = None,
    on_start: Callable[[str], None] = lambda _: None,
    on_end: Callable[[Counts], None] = lambda _: None,
) -> None:
    """Serve until SIGINT or SIGTERM, which is raised again when all is stored.

    Args:
        settings: where requests go, and which answers are stored.
        folder: of the store; made where it is missing.
        host: address to listen at.
        port: 0 takes a free one.
        retention: limits of the store.
        hosts: further names under which it may be asked for.
        access_key: what callers must send; wanted when other machines can reach the address.
        on_start: is given the address when the server answers there.
        on_end: is given what became of the answers.

    Raises:
        InputError: other machines can reach the address, and there is no access key.
        ResourceError: the address cannot be listened at, or the store cannot be written.
        DataError: the folder holds something else.
    """
    is_local = _is_loopback(host)
    if not is_local and not access_key:
        fix = "listen at 127.0.0.1, or give an access key that callers must send"
        raise InputError(f"address '{host}'", found="other machines can reach it", fix=fix)
    names = {*LOOPBACK, host, *hosts} if is_local else set[str]()
    with (
        closing(_listening(host, port)) as listener,
        Store(folder) as reading,
        Store(folder) as written,
        Writer(written) as writer,
    ):
        app = application(
            settings, store=reading, writer=writer, retention=retention, hosts=names, access_key=access_key
        )
        # no access log and no tracebacks: both would write what was asked
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            date_header=False,
            ws="none",
            timeout_graceful_shutdown=SHUTDOWN_S,
        )
        shown = f"[{host}]" if ":" in host else host
        server = _Server(config, lambda: on_start(f"http://{shown}:{listener.getsockname()[1]}/v1"))
        try:
            server.run(sockets=[listener])
        finally:
            writer.close()
            on_end(writer.counts)


class _Server(uvicorn.Server):
    """Tells when it answers."""

    def __init__(self, config: uvicorn.Config, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_start()


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio sets TCP_NODELAY only where it is (CPython 3.11, base_events._set_nodelay).
    # Without it, the second piece of every answer waits 40 ms for an acknowledgement of the first.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        found = getattr(error, "strerror", None) or str(error)
        raise ResourceError(f"address '{host}:{port}'", found=found, fix="choose another with --port") from error
    return listener


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
