from __future__ import annotations

import functools
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from openai import OpenAI
from stub_teacher import KEY, StubTeacher, running

from edgedistill.capture.filters import EVERYTHING
from edgedistill.capture.policy import Ask, Policy
from edgedistill.capture.redaction import Redaction, redaction_of
from edgedistill.capture.server.app import application
from edgedistill.capture.server.relay import Settings
from edgedistill.capture.server.upstream import checked_upstream
from edgedistill.capture.store import Store
from edgedistill.capture.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from edgedistill.capture.retention import Retention

TIMEOUT_S = 20.0
"""Of every request in these tests: one that hangs fails."""


@dataclass
class Room:
    """A server between a client and the stub."""

    address: str
    teacher: StubTeacher
    store: Store
    writer: Writer
    client: OpenAI

    def received(self) -> bytes:
        """Return the body of the last request that the teacher got."""
        return self.teacher.seen[-1][3]


@contextmanager
def opened_room(
    folder: Path,
    *,
    ask: Ask = Ask.REQUESTED,
    redaction: Redaction | None = None,
    upstream: str | None = None,
    upstream_key: str | None = None,
    access_key: str | None = None,
    retention: Retention | None = None,
    metadata: dict[str, str] | None = None,
    forwards_store: bool = False,
    read_timeout_s: float = TIMEOUT_S,
) -> Iterator[Room]:
    """Start a server with a policy before a stub of its own."""
    teacher = StubTeacher()
    with running(teacher) as address, Store(folder) as store, Store(folder) as written, Writer(written) as writer:
        settings = Settings(
            checked_upstream(upstream or address, key=upstream_key),
            policy=Policy(ask),
            redaction=redaction or redaction_of(),
            metadata=metadata or {},
            forwards_store=forwards_store,
            secrets=[access_key or ""],
            read_timeout_s=read_timeout_s,
            connect_timeout_s=5.0,
        )
        app = application(settings, store=store, writer=writer, retention=retention, access_key=access_key)
        key = access_key or KEY
        with (
            running(app) as proxy,
            OpenAI(base_url=proxy, api_key=key, timeout=TIMEOUT_S, max_retries=0) as client,
        ):
            yield Room(proxy, teacher, store, writer, client)


@pytest.fixture
def open_room(tmp_path: Path) -> Callable[..., AbstractContextManager[Room]]:
    """Return what starts a server with a policy of the test's own."""
    return functools.partial(opened_room, tmp_path / "store")


@pytest.fixture(scope="module")
def shared_room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with opened_room(tmp_path_factory.mktemp("room") / "store") as room:
        yield room


@pytest.fixture
def room(shared_room: Room) -> Room:
    """Return a server that the module's tests share, with an empty store: starting one takes half a second."""
    shared_room.writer.flush()
    shared_room.store.delete_matching(EVERYTHING)
    shared_room.teacher.seen.clear()
    return shared_room
