"""What the pass-through adds to a teacher's latency, at 1, 16 and 64 streams at once.

Usage: python benchmarks/capture/pass_through.py [--streams 1 16 64] [--seconds 15] [--rounds 2] [--out FILE]

Three processes: a teacher that streams 20 tokens, 25 ms apart, the first after 50 ms; the server, which stores every
answer; and this one, which asks both in turns (teacher, server, server, teacher ...), so that a drift of the machine
meets both. Every stream's time to its first token and to its end is kept; what is shown is the difference of the
medians and of the 99th percentiles. All three share this machine's cores, with whatever else runs on it: the load
before is part of the result, and so is the server's CPU time per stream, which other work does not change.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import numpy as np
from machine import machine

from edgedistill.capture.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
BODY = json.dumps(
    {
        "model": "teacher",
        "stream": True,
        "store": True,
        "metadata": {"task": "benchmark"},
        "messages": [{"role": "user", "content": "lorem ipsum dolor sit amet " * 12}],
    }
).encode()


class Times(NamedTuple):
    """How long one stream took, ms."""

    first: float
    whole: float


class Server(NamedTuple):
    """A server that runs."""

    address: str
    pid: int

    def cpu_s(self) -> float:
        """Return the CPU time that it took so far, s."""
        fields = Path(f"/proc/{self.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def started(*command: str) -> Iterator[Server]:
    """Start a server; it prints its address first."""
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        yield Server((process.stdout.readline() if process.stdout else "").split()[0], process.pid)
    finally:
        process.terminate()
        process.communicate(timeout=60)


async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Times:
    """Ask once on an open connection; read to the end of the answer."""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer sk-benchmark-0123456789\r\n"
    begun = time.perf_counter()
    writer.write(head + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY)
    first, tail = 0.0, b""
    while not tail.endswith(b"\r\n0\r\n\r\n"):
        piece = await reader.read(65_536)
        if not piece:
            raise ConnectionError("the connection was cut")
        tail = (tail + piece)[-4096:]
        if not first and b'"content"' in tail:
            first = time.perf_counter() - begun
    return Times(1e3 * first, 1e3 * (time.perf_counter() - begun))


async def caller(address: str, until: float) -> list[Times]:
    """Ask again and again on one connection, until a moment."""
    parts = urlsplit(address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    times = []
    try:
        await stream(reader, writer)  # the first opens connections, here and behind
        while time.perf_counter() < until:
            times.append(await stream(reader, writer))
    finally:
        writer.close()
    return times


async def callers(address: str, count: int, seconds: float) -> list[Times]:
    """Have some callers ask at once."""
    until = time.perf_counter() + seconds
    found = await asyncio.gather(*(caller(address, until) for _ in range(count)))
    return [times for one in found for times in one]


def percentiles(times: list[Times]) -> dict[str, object]:
    """Return p50 and p99 of both times, ms, and how many streams there were."""
    values = np.array(times)
    return {
        "streams": len(times),
        **{
            name: {f"p{level}": float(np.percentile(values[:, column], level)) for level in (50, 99)}
            for column, name in enumerate(("first_token_ms", "whole_ms"))
        },
    }


def added(teacher: list[Times], server: list[Times], *, draws: int = 1000) -> dict[str, object]:
    """Return what the server adds to p50 and p99, with 95 % bootstrap intervals."""
    draw = np.random.default_rng(0)
    found: dict[str, object] = {}
    for column, name in enumerate(("first_token_ms", "whole_ms")):
        one, other = np.array(teacher)[:, column], np.array(server)[:, column]
        for level in (50, 99):
            differences = [
                np.percentile(draw.choice(other, len(other)), level) - np.percentile(draw.choice(one, len(one)), level)
                for _ in range(draws)
            ]
            low, high = np.percentile(differences, (2.5, 97.5))
            value = np.percentile(other, level) - np.percentile(one, level)
            found[f"{name}_p{level}"] = {"value": float(value), "low": float(low), "high": float(high)}
    return found


def main() -> None:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/capture_pass_through.json")
    args = parser.parse_args()
    at: dict[str, object] = {}
    results: dict[str, object] = {"machine": machine(), "load_before": os.getloadavg(), "at": at}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        store = Path(folder) / "store"
        serve = ("-m", "edgedistill", "capture", "serve")
        with (
            started(str(Path(__file__).parent / "streaming_teacher.py")) as teacher,
            started(*serve, teacher.address, "--port", "0", "--store", str(store)) as server,
        ):
            for count in args.streams:
                times: dict[Server, list[Times]] = {teacher: [], server: []}
                before_s = server.cpu_s()
                for round_ in range(args.rounds):
                    for asked in (teacher, server) if round_ % 2 == 0 else (server, teacher):
                        times[asked] += asyncio.run(callers(asked.address, count, args.seconds))
                streams = len(times[server]) + args.rounds * count  # those that opened the connections too
                at[str(count)] = {
                    "teacher": percentiles(times[teacher]),
                    "server": percentiles(times[server]),
                    "added": added(times[teacher], times[server]),
                    "server_cpu_ms_per_stream": 1e3 * (server.cpu_s() - before_s) / streams,
                }
                print(count, json.dumps(at[str(count)], indent=1), flush=True)
        with open_store(store) as opened:
            results["stored"] = opened.count()  # all that came through the server, warm-up too
    args.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
