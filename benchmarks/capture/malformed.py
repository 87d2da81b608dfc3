"""10,000 malformed requests: none may be answered with status 500, and no key may be found in store, log or traceback.

Usage: python benchmarks/capture/malformed.py [--requests 10000] [--seed 0] [--out FILE]

The requests are made by hypothesis and written to the socket byte by byte, so that what no HTTP library would send is
among them: broken JSON, wrong types everywhere, metadata of all kinds, queries and ids of the stored completions'
endpoints, headers and request lines that are none. Every one carries a key, in the header and often in its body, its
path, its query or its metadata. The server and the teacher behind it (which says what it is told, the key too) are
processes of their own; what they print is read, and at the end every file of the store.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import json
import random
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from hypothesis import strategies as st
from machine import machine

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
KEY = "sk-malformed-canary-0123456789"
TIMEOUT_S = 20.0
WAIT_S = 3.0
FEW, MOST = 0.15, 0.5
ROUND = 100
"""Requests of one seed: after that, hypothesis mostly varies what it had."""


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(KEY)
JSON: st.SearchStrategy[object] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.just(KEY), inner, max_size=3),
    max_leaves=8,
)
MESSAGE = st.fixed_dictionaries({"role": st.just("user") | JSON, "content": st.just(f"my key is {KEY}") | JSON})
PAIRS = st.dictionaries(st.text(max_size=70) | st.just(KEY), st.text(max_size=20) | st.just(KEY), max_size=3)
METADATA = PAIRS | st.dictionaries(st.text(max_size=70), JSON, max_size=18) | JSON
CHAT = st.fixed_dictionaries(
    {"messages": st.lists(MESSAGE, max_size=2) | JSON},
    optional={
        "model": st.just("m") | JSON,
        "store": st.booleans() | JSON,
        "stream": st.booleans() | JSON,
        "metadata": METADATA,
        "user": st.text("ab/ ", min_size=1, max_size=5) | JSON,
        "input": JSON,
    },
)
TEXTS = st.one_of(CHAT, st.fixed_dictionaries({"metadata": METADATA}), JSON).map(
    lambda value: json.dumps(value).encode()
)
GOOD = st.fixed_dictionaries(
    {
        "messages": st.lists(
            st.fixed_dictionaries({"role": st.just("user"), "content": SCALARS}), min_size=1, max_size=2
        ),
        "user": st.text("ab/ ", min_size=1, max_size=5),
    },
    optional={"stream": st.booleans(), "store": st.booleans(), "metadata": PAIRS, "extra": JSON},
)
OTHERS = st.one_of(CHAT, st.fixed_dictionaries({"metadata": METADATA}), JSON)
NAMES = st.sampled_from(["chatcmpl-a", "chatcmpl-b", KEY, "%2e%2e", "..", "%00", "a%2Fb", "é", "x" * 300])
STORED = st.one_of(
    st.just("/v1/chat/completions"),
    st.builds("/v1/chat/completions/{}".format, NAMES),
    st.builds("/v1/chat/completions/{}/messages".format, NAMES),
)
PATHS = st.one_of(
    STORED,
    st.just("/v1/embeddings"),
    st.builds("/v1/{}".format, st.text(max_size=10) | NAMES),
    st.text(max_size=10),
)
VALUES = st.text(max_size=6) | st.integers().map(str) | st.sampled_from(["asc", "desc", "chatcmpl-a", KEY, "101", "0"])
FIELDS = st.sampled_from(
    ["limit", "order", "after", "model", "metadata[a]", f"metadata[{KEY}]", "metadata[", "created_after", "key", "é"]
)
QUERIES = st.lists(st.builds("{}={}".format, FIELDS, VALUES), max_size=4).map("&".join)
HARMLESS = st.lists(
    st.sampled_from(
        [
            b"content-type: application/json",
            b"content-type: text/plain",
            b"accept-encoding: br, \xff",
            b"x-api-key: " + KEY.encode(),
            b"cookie: session=" + KEY.encode(),
            b"x-a: \xe9",
        ]
    ),
    max_size=3,
)
HARMFUL = st.lists(
    st.sampled_from(
        [
            b"connection: keep-alive, x-a",
            b"x-a: \x00",
            b"no colon",
            b": no name",
            b"x-long: " + b"a" * 3000,
            b"transfer-encoding: chunked",
            b"content-length: -1",
            b"content-length: 5, 6",
            b"expect: 100-continue",
            b"origin: https://evil.example",
            b"host: evil.example",
            b"upgrade: websocket",
        ]
    ),
    min_size=1,
    max_size=3,
)
METHODS = st.sampled_from(["POST", "GET", "DELETE", "PUT", "HEAD", "OPTIONS", "BREW", "é", ""])


class Request(NamedTuple):
    """A request, as bytes."""

    head: bytes
    body: bytes


class Parts(NamedTuple):
    """What a request may be made of."""

    method: str
    path: str
    stored: str
    query: str
    good: object
    other: object
    noise: bytes
    harmless: list[bytes]
    harmful: list[bytes]


PARTS = st.builds(Parts, METHODS, PATHS, STORED, QUERIES, GOOD, OTHERS, st.binary(max_size=60), HARMLESS, HARMFUL)


def request_of(parts: Parts, chance: random.Random) -> Request:
    """Return a request; which of the parts it is made of is drawn evenly, which hypothesis does not do.

    Left to itself, it prefers the extremes, and nearly all requests would be refused at the door.
    """
    kind = chance.choices(("chat", "stored", "any"), (6, 3, 1))[0]
    method, path = {
        "chat": ("POST", "/v1/chat/completions"),
        "stored": (chance.choice(("GET", "POST", "DELETE")), parts.stored),
        "any": (parts.method, parts.path),
    }[kind]
    has_query = kind == "stored" or chance.random() < FEW
    target = (f"{path}?{parts.query}" if has_query else path).replace("\r", "").replace("\n", "")
    if chance.random() > FEW:  # else as it is, which HTTP does not allow
        target = quote(target, safe="/?&=[]%", errors="replace")
    body = json.dumps(parts.good if chance.random() < MOST else parts.other).encode()
    if chance.random() < FEW:
        body = chance.choice((body[: len(body) // 2], parts.noise))
    lines = [
        f"{method} {target} HTTP/1.1".encode("utf-8", "replace"),
        b"host: localhost",
        f"authorization: Bearer {KEY}".encode(),
        b"content-length: %d" % len(body),
        *(parts.harmful if chance.random() < FEW else parts.harmless),
    ]
    return Request(b"\r\n".join(lines) + b"\r\nconnection: close\r\n\r\n", body)


def ask(address: tuple[str, int], request: Request) -> bytes:
    """Send a request; return the answer's first line, empty if there is none.

    A request whose head promises more than there is gets no answer until it ends: we end it after WAIT_S.
    """
    with socket.create_connection(address, TIMEOUT_S) as connection:
        try:
            connection.sendall(request.head + request.body)
            answer = received(connection)
        except ConnectionError:  # it is cut off while it still sends
            return b""
    return answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").partition(b"\r\n")[0]


def received(connection: socket.socket) -> bytes:
    """Return the beginning of what is answered until the connection is closed."""
    answer = b""
    connection.settimeout(WAIT_S)
    while True:
        try:
            piece = connection.recv(65_536)
        except TimeoutError:
            connection.settimeout(TIMEOUT_S)
            connection.shutdown(socket.SHUT_WR)
            continue
        if not piece:
            return answer
        answer = (answer + piece)[:200]


def started(folder: Path, name: str, *command: str) -> tuple[subprocess.Popen[bytes], str]:
    """Start a server whose output goes into a file; return it and its address."""
    path = folder / f"{name}.log"
    with path.open("wb") as log:
        process = subprocess.Popen([sys.executable, *command], stdout=log, stderr=subprocess.STDOUT, cwd=ROOT)
    deadline = time.monotonic() + 60
    while b"/v1" not in path.read_bytes():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{name} does not start: {path.read_text()}")
        time.sleep(0.05)
    return process, path.read_text().split()[0]


def bombard(address: tuple[str, int], count: int, start: int) -> collections.Counter[str]:
    """Send requests, no two the same; return how many were answered with which status."""
    statuses: collections.Counter[str] = collections.Counter()
    sent: set[Request] = set()
    chance = random.Random(start)

    def send(parts: Parts) -> None:
        request = request_of(parts, chance)
        assume(request not in sent and len(sent) < count)  # hypothesis tries variations of what it had, and the same
        sent.add(request)
        line = ask(address, request)
        status = line.split()[1].decode() if line.startswith(b"HTTP/1.1 ") else "cut off"
        statuses[status] += 1
        if status == "500":
            raise RuntimeError(f"status 500: {request}")

    chosen = settings(
        max_examples=ROUND,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    for round_ in itertools.count(start):
        if len(sent) >= count:
            return statuses
        seed(round_)(chosen(given(PARTS)(send)))()
    raise AssertionError


def leaks(folder: Path) -> list[str]:
    """Return the files in which a key stands."""
    return [str(path.name) for path in folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def main() -> None:
    """Send, look, write the results; exit code 1 when there is a status 500 or a leak."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/capture_malformed.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as parent:
        folder = Path(parent)
        teacher, upstream = started(folder, "teacher", str(HERE / "echo_teacher.py"))
        serve = ("-m", "edgedistill", "capture", "serve", upstream, "--port", "0", "--store", str(folder / "store"))
        server, address = started(folder, "server", *serve, "--redact", "none", "--store-when", "always")
        parts = urlsplit(address)
        begun = time.monotonic()
        try:
            statuses = bombard((str(parts.hostname), parts.port or 0), args.requests, args.seed)
        finally:
            for process in (server, teacher):
                process.terminate()
                process.wait(60)
        duration_s = time.monotonic() - begun
        printed = (folder / "server.log").read_text()
        found = leaks(folder)
    results = {
        "machine": machine(),
        "requests": sum(statuses.values()),
        "statuses": dict(sorted(statuses.items())),
        "tracebacks": printed.count("Traceback"),
        "leaks": found,
        "server_said": printed.splitlines()[-1],
        "seconds": round(duration_s, 1),
    }
    args.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    print(json.dumps(results, indent=1))
    sys.exit(1 if found or results["tracebacks"] else 0)


if __name__ == "__main__":
    main()
