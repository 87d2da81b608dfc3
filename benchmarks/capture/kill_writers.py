"""SIGKILL while 16 writers write: nothing that was acknowledged may be lost, and the store must open.

Usage: python benchmarks/capture/kill_writers.py [--writers 16] [--rounds 20] [--longest 2] [--seed 0] [--out FILE]

Each round starts 16 processes that write into one store, and kills all of them at a random moment. A writer says
which completion is stored after `Store.add` has returned. Every second round the writers are 16 callers of the server
instead, and the server is what is killed: a caller says so when it has the whole answer. Then the store is opened,
checked by SQLite, and every completion that was acknowledged, with its array, is compared with what was written.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from machine import machine

from edgedistill.capture.completion import Completion, chat_completion
from edgedistill.capture.store import Store, open_store

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
KEY = "sk-benchmark-0123456789"


def written(name: str) -> Completion:
    """Return the completion that a writer makes of a name."""
    request = {"model": "m", "messages": [{"role": "user", "content": f"{name} " * 200}]}
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": f"answer to {name}"}}
    response = {"id": f"chatcmpl-{name}", "created": 1, "choices": [choice]}
    return chat_completion(request, response, metadata={"name": name})


def array(name: str) -> np.ndarray:
    """Return the array that a writer makes of a name: every second one is a file of its own."""
    seed = sum(name.encode())
    return np.full(100_000 if seed % 2 else 100, seed, np.int16)


def write_forever(folder: Path, writer: str) -> None:
    """Store completions and tell their names, until killed."""
    with Store(folder) as store:
        number = 0
        while True:
            name = f"{writer}-{number}"
            store.add(written(name), {"input": array(name)})
            print(name, flush=True)
            number += 1


def ask_forever(address: str, writer: str) -> list[str]:
    """Ask the server until it is gone; return the names of what was answered whole."""
    import httpx2  # noqa: PLC0415 - the writers need none

    done: list[str] = []
    with httpx2.Client(timeout=20) as client:
        while True:
            name = f"{writer}-{len(done)}"
            body = {"model": "m", "user": name, "store": True, "messages": [{"role": "user", "content": name}]}
            try:
                answer = client.post(f"{address}/chat/completions", json={**body, "stream": len(done) % 2 == 0})
                answer.raise_for_status()
            except httpx2.TransportError:  # it is gone
                return done
            done.append(name)


def killed_writers(folder: Path, writers: int, after_s: float) -> list[str]:
    """Kill writers after some seconds; return the names that they acknowledged."""
    processes = [started(__file__, "--write", str(folder), f"w{number}") for number in range(writers)]
    firsts = [first_line(process) for process in processes]  # all of them write
    time.sleep(after_s)
    for process in processes:
        os.kill(process.pid, signal.SIGKILL)
    rests = [process.communicate(timeout=60)[0] for process in processes]
    # a line that the kill tore is no acknowledgement
    return [line for text in (*firsts, *rests) for line in text.split("\n")[:-1]]


def killed_server(folder: Path, callers: int, after_s: float) -> list[str]:
    """Kill the server after some seconds; return the names that its callers have whole answers to."""
    teacher = started(str(HERE / "echo_teacher.py"))
    serve = ("-m", "edgedistill", "capture", "serve", first_line(teacher).strip(), "--port", "0")
    server = started(*serve, "--store", str(folder))
    address = first_line(server).split()[0]
    try:
        with ThreadPoolExecutor(callers) as pool:
            asking = [pool.submit(ask_forever, address, f"c{number}") for number in range(callers)]
            time.sleep(after_s)
            os.kill(server.pid, signal.SIGKILL)
            return [name for one in asking for name in one.result(60)]
    finally:
        for process in (server, teacher):
            process.kill()
            process.communicate(timeout=60)


def started(*command: str) -> subprocess.Popen[str]:
    """Start a Python process whose output is read."""
    return subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True, cwd=ROOT)


def first_line(process: subprocess.Popen[str]) -> str:
    """Return the first line that a process prints; it may take as long as starting takes."""
    line = process.stdout.readline() if process.stdout else ""
    if not line:
        raise RuntimeError("a process ended before it began")
    return line


def lost(folder: Path, names: list[str], *, by_server: bool) -> list[str]:
    """Return which acknowledged completions are missing or other than they were written."""
    with open_store(folder) as store:
        wrong = [] if store.rows("PRAGMA integrity_check") == [("ok",)] else ["the database"]
        wrong += [name for name in names if not (is_asked if by_server else is_written)(store, name)]
        store.add(written("afterwards"))
    return wrong


def is_written(store: Store, name: str) -> bool:
    """Say whether a completion and its array are as their writer made them."""
    found = store.get(f"chatcmpl-{name}")
    return (
        found is not None
        and found.request == written(name).request
        and found.response == written(name).response
        and found.metadata == {"name": name}
        and np.array_equal(store.array(found.arrays["input"]), array(name))
    )


def is_asked(store: Store, name: str) -> bool:
    """Say whether a completion is what a caller asked the server and got."""
    found = store.get(f"chatcmpl-{name}")
    return found is not None and found.prompt == name and found.answer == f"you said: {name}"


def main() -> None:
    """Kill and look, again and again; exit code 1 when something is lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--writers", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--longest", type=float, default=2.0, help="seconds until a kill, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/capture_kill_writers.json")
    parser.add_argument("--write", nargs=2, metavar=("STORE", "NAME"), help="be a writer")
    args = parser.parse_args()
    if args.write:
        write_forever(Path(args.write[0]), args.write[1])
    generator = random.Random(args.seed)
    rounds = []
    for number in range(args.rounds):
        by_server = number % 2 == 1
        after_s = generator.uniform(0.2, args.longest)
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as parent:
            folder = Path(parent) / "store"
            kill = killed_server if by_server else killed_writers
            names = kill(folder, args.writers, after_s)
            wrong = lost(folder, names, by_server=by_server)
        killed = "server" if by_server else "writers"
        rounds.append({"killed": killed, "after_s": after_s, "acknowledged": len(names), "lost": len(wrong)})
        print(rounds[-1], flush=True)
    total = sum(int(str(one["acknowledged"])) for one in rounds)
    losses = sum(int(str(one["lost"])) for one in rounds)
    results = {"machine": machine(), "writers": args.writers, "acknowledged": total, "lost": losses, "rounds": rounds}
    args.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    print(f"{len(rounds)} kills, {total} acknowledged, {losses} lost")
    sys.exit(1 if losses else 0)


if __name__ == "__main__":
    main()
