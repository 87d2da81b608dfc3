"""What goes over the wire on both sides of the server."""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from stub_teacher import KEY

from edgedistill.capture.redaction import redaction_of
from edgedistill.capture.retention import Retention
from edgedistill.capture.schema import DATABASE
from edgedistill.capture.server import content, relay

Room = Any
"""The fixture's, with the client and the stub in it."""

Open = Callable[..., Any]
ASK = {"model": "echo", "store": True, "messages": [{"role": "user", "content": "hi"}]}
HEADERS = {"authorization": f"Bearer {KEY}"}


def post(room: Room, body: bytes | dict[str, Any], *, path: str = "/chat/completions", **headers: str) -> Any:  # noqa: ANN401
    given = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx2.post(room.address + path, content=given, headers={**HEADERS, **headers}, timeout=20)


def holds(room: Room, text: str) -> bool:
    return any(text.encode() in path.read_bytes() for path in room.store.folder.rglob("*") if path.is_file())


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --- requests


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"null",
        b'["store"]',
        b'{"store": true}',
        b'{"store": "yes", "model": "echo", "metadata": {"a": "b"}}',
        b'{"store": 1, "model": "echo"}',
        b"[" * 50_000,
        b'{ "model" : "echo",  "x": 1e999, "y": 12345678901234567890.1 }',
    ],
)
def test_a_request_that_we_do_not_understand_is_passed_on_as_it_is(room: Room, body: bytes) -> None:
    answer = post(room, body)
    assert answer.status_code in (200, 400)
    assert room.received() == body or json.loads(body) == {"store": True}
    room.writer.flush()
    assert room.store.count() == 0


def test_numbers_are_passed_on_as_they_were(room: Room) -> None:
    body = b'{"store":true,"model":"echo","temperature":0.1,"seed":123456789012345678901,"top_p":1.0,"stop":"\\ud800"}'
    assert post(room, body).status_code == 200
    assert room.received() == body.replace(b'"store":true,', b"")


def test_headers_are_passed_on(room: Room) -> None:
    post(room, ASK, **{"x-mine": "a", "connection": "x-hop", "x-hop": "b", "openai-organization": "org", "te": "x"})
    headers = room.teacher.seen[-1][2]
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["x-mine"] == "a"
    assert headers["openai-organization"] == "org"
    assert not {"x-hop", "te", "keep-alive"} & set(headers)
    assert headers["host"].startswith("127.0.0.1:")
    assert headers["host"] not in room.address


@pytest.mark.parametrize(
    ("offered", "expected"), [("br, gzip;q=0.5, zstd", "gzip"), ("br", "identity"), ("", "identity")]
)
def test_only_compressions_that_we_can_read_are_offered(room: Room, offered: str, expected: str) -> None:
    post(room, ASK, **{"accept-encoding": offered})
    assert room.teacher.seen[-1][2]["accept-encoding"] == expected


def test_path_and_query_are_passed_on(room: Room) -> None:
    httpx2.get(f"{room.address}/some%2Fthing?a=b%20c&a=d", timeout=20)
    method, path, _, _ = room.teacher.seen[-1]
    assert (method, path) == ("GET", "/v1/some/thing")


@pytest.mark.parametrize("path", ["/v2/models", "/", "/v1", "/metrics"])
def test_what_is_not_below_v1_is_not_passed_on(room: Room, path: str) -> None:
    answer = httpx2.get(room.address.removesuffix("/v1") + path, timeout=20)
    assert answer.status_code == 404
    assert room.teacher.seen == []


def test_health(room: Room) -> None:
    post(room, ASK)
    answer = httpx2.get(room.address.removesuffix("/v1") + "/health", timeout=20).json()
    assert answer["status"] == "ok"
    assert answer["answers"]["stored"] >= 1


# --- answers


def test_headers_are_passed_back(room: Room) -> None:
    answer = post(room, ASK)
    assert answer.headers["x-teacher"] == "stub"
    assert answer.headers["set-cookie"] == "a=cookie-canary-1"
    assert "transfer-encoding" not in answer.headers
    assert not holds(room, "cookie-canary-1")


def test_pieces_of_a_stream_pass_at_once(room: Room) -> None:
    # the stub breaks off before the last event: what came before must have been passed on
    pieces = []
    body = json.dumps({**ASK, "model": "cut", "stream": True}).encode()
    with (
        pytest.raises(httpx2.RemoteProtocolError),
        httpx2.stream("POST", f"{room.address}/chat/completions", content=body, headers=HEADERS, timeout=20) as answer,
    ):
        pieces.extend(answer.iter_text())
    assert "you s" in "".join(pieces)
    assert "[DONE]" not in "".join(pieces)


@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_that_leaves_frees_the_teacher(room: Room, stream: bool) -> None:  # noqa: FBT001 - a parameter
    before = room.teacher.closed_early
    body = {**ASK, "model": "stalled", "stream": stream}
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.post(f"{room.address}/chat/completions", json=body, headers=HEADERS, timeout=0.3)
    wait_until(lambda: room.teacher.closed_early == before + 1)
    assert room.store.count() == 0
    assert post(room, ASK).status_code == 200


def test_a_request_that_is_too_long(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "MAX_BODY", 1000)
    answer = post(room, {**ASK, "user": "x" * 1000})
    assert answer.status_code == 413
    assert room.teacher.seen == []


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_is_too_long_is_passed_back_and_not_stored(
    room: Room,
    monkeypatch: pytest.MonkeyPatch,
    stream: bool,  # noqa: FBT001 - a parameter
) -> None:
    monkeypatch.setattr(relay, "MAX_BODY", 100_000)
    answer = post(room, {**ASK, "model": "huge", "stream": stream})
    assert len(answer.content) > 300_000
    room.writer.flush()
    assert room.store.count() == 0
    assert post(room, ASK).status_code == 200
    assert room.store.count() == 1


def test_a_compressed_answer_that_is_too_long(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "MAX_BODY", 100)
    assert post(room, {**ASK, "model": "gzip"}).json()["choices"]
    room.writer.flush()
    assert room.store.count() == 0


# --- the store


def test_a_store_that_is_full_fails_no_caller(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    database = room.writer._store._database
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count={pages}")
    failed = room.writer.counts.failed
    try:
        long = {**ASK, "messages": [{"role": "user", "content": "x" * 50_000}]}
        assert post(room, long).json()["choices"][0]["message"]["content"].endswith("xxx")
        assert "[DONE]" in post(room, {**long, "stream": True}).text
    finally:
        database.execute("PRAGMA max_page_count=1073741823")
    assert room.store.count() == 0
    assert room.writer.counts.failed == failed + 2
    assert "disk is full" in caplog.text
    assert post(room, ASK).status_code == 200
    assert room.store.count() == 1


def test_a_store_that_is_busy_holds_no_caller_up(open_room: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay.Settings, "wait_s", 0.1)
    with open_room() as room:
        other = sqlite3.connect(room.store.folder / DATABASE, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        for _ in range(3):
            assert post(room, ASK).status_code == 200
        assert room.store.count() == 0
        other.execute("ROLLBACK")
        other.close()
        room.writer.flush()
        assert room.store.count() == 3
        assert post(room, ASK).status_code == 200
        wait_until(lambda: room.store.count() == 4)


def test_answers_of_one_id_are_all_stored(room: Room) -> None:
    for _ in range(3):
        assert post(room, {**ASK, "user": "same"}).json()["id"] == "chatcmpl-same"
    names = [completion.id for completion in room.store.iterate()]
    assert len(set(names)) == 3
    assert names[0] == "chatcmpl-same"


def test_retention(open_room: Open) -> None:
    with open_room() as room:
        post(room, ASK)
    with open_room(retention=Retention(max_bytes=1)) as room:
        wait_until(lambda: room.store.count() == 0)


# --- redaction


def test_what_is_redacted_is_in_no_file(open_room: Open) -> None:
    def shout(text: str) -> str:
        return text.replace("Rumpelstilzchen", "***")

    with open_room(redaction=redaction_of(["keys", "email"], function=shout)) as room:
        said = "I am Rumpelstilzchen, jane.doe@example.org, sk-proj-0123456789abcdefghij"
        body = {**ASK, "messages": [{"role": "user", "content": said}], "metadata": {"who": said}}
        assert said in post(room, body).text
        (stored,) = room.store.iterate()
        assert stored.prompt == "I am ***, [redacted:email], [redacted:keys]"
        assert stored.answer == f"you said: {stored.prompt}"
        assert stored.metadata == {"who": stored.prompt}
        assert len(stored.redaction) == 12
        for text in ("Rumpelstilzchen", "jane.doe", "sk-proj"):
            assert not holds(room, text)


def test_a_redaction_that_fails_stores_nothing_and_fails_no_caller(
    open_room: Open, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(text: str) -> str:
        raise RuntimeError(text)

    with open_room(redaction=redaction_of(function=broken)) as room:
        assert post(room, {**ASK, "messages": [{"role": "user", "content": "secret"}]}).status_code == 200
        assert room.store.count() == 0
        assert room.writer.counts.failed == 1
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"api-key": "canary-of-ours-1"}, ""),
        ({"x-goog-api-key": "canary-of-ours-1"}, ""),
        ({"cookie": "a=1; session=canary-of-ours-1"}, ""),
        ({"authorization": "Basic canary-of-ours-1"}, ""),
        ({"x-my-secret": "canary-of-ours-1"}, ""),
        ({}, "?key=canary-of-ours-1"),
        ({}, "?x=canary%2Dof-ours-1"),
    ],
)
def test_no_key_is_written_wherever_it_was_sent(
    room: Room, caplog: pytest.LogCaptureFixture, headers: dict[str, str], query: str
) -> None:
    caplog.set_level(logging.DEBUG)
    message = {"role": "user", "content": "my key is canary-of-ours-1"}
    body = {**ASK, "messages": [message], "user": "canary-of-ours-1", "metadata": {"canary-of-ours-1": "x"}}
    assert "canary-of-ours-1" in post(room, body, path=f"/chat/completions{query}", **headers).text
    (stored,) = room.store.iterate()
    assert stored.prompt == "my key is [redacted:credential]"
    assert not holds(room, "canary-of-ours-1")
    ours = [record for record in caplog.records if not record.name.startswith(("openai", "httpcore2", "httpx2"))]
    assert not any("canary-of-ours-1" in record.getMessage() for record in ours)


# --- keys of the operator's


def test_a_key_of_the_server_s_replaces_the_caller_s(open_room: Open) -> None:
    with open_room(upstream_key="upstream-canary-1", access_key="access-canary-1") as room:
        room.client.chat.completions.create(
            model="leaky", messages=[{"role": "user", "content": "say access-canary-1"}], store=True
        )
        assert room.teacher.seen[-1][2]["authorization"] == "Bearer upstream-canary-1"
        (stored,) = room.store.iterate()
        assert stored.answer == "your key is [redacted:credential], remember it"
        assert stored.prompt == "say [redacted:credential]"
        for given in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Bearer upstream-canary-1"}):
            for path in ("/chat/completions", "/models", "/chat/completions/a"):
                answer = httpx2.get(room.address + path, headers=given, timeout=20)
                assert answer.status_code == 401
                assert answer.json()["error"]["type"] == "authentication_error"


def test_an_access_key_is_not_passed_on(open_room: Open) -> None:
    with open_room(access_key="access-canary-1") as room:
        room.client.models.list()
        assert "authorization" not in room.teacher.seen[-1][2]


# --- pages in the user's browser


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost:1234"}, 200),
        ({"host": "[::1]"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example"}, 403),
        ({"host": "[evil"}, 403),
        ({"origin": "http://localhost:3000"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
    ],
)
def test_other_sites_pages_are_refused(room: Room, headers: dict[str, str], status: int) -> None:
    for path in ("/chat/completions", "/models"):
        answer = httpx2.get(room.address + path, headers=headers, timeout=20)
        assert answer.status_code == status
    assert len(room.teacher.seen) == (status == 200)


# --- queries of the endpoints


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=ten",
        "limit=-1",
        "limit=9999999999999999999",
        "order=up",
        "after=nobody",
        "created_after=x",
        "created_before=1.5",
        "&".join(f"metadata[{number}]=x" for number in range(17)),
    ],
)
def test_a_query_that_cannot_be_answered(room: Room, query: str) -> None:
    answer = httpx2.get(f"{room.address}/chat/completions?{query}", timeout=20)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"metadata": 1}', b'{"metadata": {"a": 1}}', b"x" * 100_000])
def test_an_update_that_cannot_be_made(room: Room, body: bytes) -> None:
    post(room, {**ASK, "user": "a", "metadata": {"k": "v"}})
    assert post(room, body, path="/chat/completions/chatcmpl-a").status_code == 400
    assert room.client.chat.completions.retrieve("chatcmpl-a").metadata == {"k": "v"}
