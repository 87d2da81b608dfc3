"""Runs a command on the device so that it goes on when the connection is cut. Needs Python 3.8 or newer, nothing else.

    python3 job.py start --folder F --lock L --owner WHO --timeout S -- COMMAND...
    python3 job.py wait --folder F --seconds S --offset N      its state, and what it said since
    python3 job.py stop --folder F                             end it
    python3 job.py remove --folder F                           forget it

Each prints one JSON document. A job is a folder; a second start under the same folder finds the job, running or done.
One job at a time holds the board's lock file: a second user is told who has it. Durations are of the monotonic clock:
a wall clock that jumps changes nothing but is reported. Exit codes: 0 done, 1 a bug of ours, 2 a command that cannot
be used.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    Document = dict[str, Any]

SCHEMA = "edgedistill.job/1"
RESERVED_BYTES = 65536  # kept free for the end's record, so that a full disk cannot swallow it
NEEDED_BYTES = 4 * 2**20
FULL_BYTES = 2**20
LOG_BYTES = 65536  # of one answer
GRACE_S = 5.0  # between asking a command to end and ending it
POLL_S = 0.2
WRITE_PATIENCE_S = 600.0
NOT_FOUND = 127  # what a shell returns for a program that does not exist
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
OWN_FILES = ("job.json", "end.json", "end.json.partial", "alive", "reserved", "stop")


class JobError(Exception):
    """A command that cannot be used."""


def start(folder: Path, lock: Path, *, owner: str, timeout_s: float, command: list[str]) -> Document:
    """Start a job, or find the one that is there; returns its state as `wait` does, or `busy` with who is."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "alive").open("a") as alive:
        if not _taken(alive.fileno()):
            return _state(folder)
        if (folder / "job.json").exists():  # done, or lost: both stay until they are removed
            return _state(folder, alive_fd=alive.fileno())
        if (folder / "stop").exists():
            (folder / "stop").unlink()
        free = shutil.disk_usage(str(folder)).free
        if free < NEEDED_BYTES:
            return {"state": "full", "free_bytes": free, "needed_bytes": NEEDED_BYTES}
        board = _opened(lock)
        try:
            if not _taken(board):
                return {"state": "busy", "owner": _owner(board)}
            _say_owner(board, owner)
            _reserve(folder)
            about = {"command": command, "owner": owner, "timeout_s": timeout_s, "boot_id": _boot_id()}
            _write_whole(folder / "job.json", about)
            _detach(folder, timeout_s, command, board)
        finally:
            os.close(board)
    return _state(folder)


def wait(folder: Path, *, seconds: float, offset: int) -> Document:
    """Return the state when the job ends, or when so many seconds are over, and what it wrote since `offset`."""
    end = time.monotonic() + seconds
    document = _state(folder)
    while document["state"] == "running" and time.monotonic() < end:
        time.sleep(POLL_S)
        document = _state(folder)
    return {**document, **_log(folder, offset)}


def stop(folder: Path) -> Document:
    """Ask the job to end, and return its state as soon as it did."""
    if not (folder / "job.json").exists():
        return {"state": "none"}
    (folder / "stop").touch()
    return wait(folder, seconds=3 * GRACE_S, offset=0)


def remove(folder: Path) -> Document:
    """Forget a job that is not running."""
    state = _state(folder)
    if state["state"] != "running":
        shutil.rmtree(str(folder), ignore_errors=True)
        state = {"state": "none"}
    return state


def _state(folder: Path, *, alive_fd: int | None = None) -> Document:
    """Tell whether a job is running, done or lost.

    The supervisor holds `alive` locked as long as it lives; a process number could be another's by now.
    """
    if not (folder / "job.json").exists():
        return {"state": "none"}
    running = alive_fd is None and _is_alive(folder)
    if (folder / "end.json").exists():
        return {"state": "done", **_read(folder / "end.json")}
    if running:
        return {"state": "running"}
    rebooted = _read(folder / "job.json").get("boot_id") != _boot_id()
    return {"state": "lost", "reason": "the device was started anew" if rebooted else "its process was killed"}


def _is_alive(folder: Path) -> bool:
    try:
        with (folder / "alive").open("a") as alive:
            return not _taken(alive.fileno())
    except OSError:
        return False


def _detach(folder: Path, timeout_s: float, command: list[str], board: int) -> None:
    """Leave the job to a process of its own session, which inherits both locks."""
    first = os.fork()
    if first:
        os.waitpid(first, 0)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    code = 1
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        _supervise(folder, timeout_s, command, board)
        _say_owner(board, "")
        code = 0
    finally:
        os._exit(code)


def _supervise(folder: Path, timeout_s: float, command: list[str], board: int) -> None:
    clocks = _clocks()
    returncode, ended = _carried_out(folder, timeout_s, command, board)
    later = _clocks()
    seconds = later["monotonic"] - clocks["monotonic"]
    free = shutil.disk_usage(str(folder)).free
    with contextlib.suppress(OSError):
        (folder / "reserved").unlink()
    end = {
        "returncode": returncode,
        "ended": ended,
        "seconds": round(seconds, 3),
        "clock_jump_s": round(later["wall"] - clocks["wall"] - seconds, 3),
        "asleep_s": round(later["boottime"] - clocks["boottime"] - seconds, 3),
        "disk_full": free < FULL_BYTES,
        "free_bytes": free,
        "files": {path.name: _described(path) for path in _results(folder)},
    }
    give_up = time.monotonic() + WRITE_PATIENCE_S
    while True:
        try:
            _write_whole(folder / "end.json", end)
        except OSError:  # the disk is full even so: the result waits for room
            if time.monotonic() > give_up:
                return
            time.sleep(POLL_S)
        else:
            return


def _carried_out(folder: Path, timeout_s: float, command: list[str], board: int) -> tuple[int, str]:
    program = sys.executable if command[0] == "python3" else command[0]
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        try:
            process = subprocess.Popen(  # noqa: S603 - running the caller's command is what a job is for
                [program, *command[1:]],
                cwd=str(folder),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,  # so that its children can be ended too
                pass_fds=(board,),  # the board is not free while the command lives, whatever became of us
            )
        except OSError as error:
            return NOT_FOUND, "not started: " + str(error)
    try:
        return _waited_for(process, folder, timeout_s)
    finally:
        with contextlib.suppress(ProcessLookupError):  # what it left behind, and itself if waiting failed
            os.killpg(process.pid, signal.SIGKILL)


def _waited_for(process: subprocess.Popen[bytes], folder: Path, timeout_s: float) -> tuple[int, str]:
    end = time.monotonic() + timeout_s
    ended = "exited"
    while True:
        try:
            return process.wait(timeout=POLL_S), ended
        except subprocess.TimeoutExpired:
            if time.monotonic() > end:
                ended = "timed out"
            elif (folder / "stop").exists():
                ended = "stopped"
            else:
                continue
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=GRACE_S)


def _clocks() -> dict[str, float]:
    return {
        "wall": time.time(),
        "monotonic": time.monotonic(),
        "boottime": time.clock_gettime(time.CLOCK_BOOTTIME),
    }


def _results(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if path.is_file() and path.name not in OWN_FILES)


def _described(path: Path) -> Document:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        block = file.read(2**20)
        while block:
            digest.update(block)
            block = file.read(2**20)
    return {"size_bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def _log(folder: Path, offset: int) -> Document:
    try:
        with (folder / "stderr").open("rb") as file:
            file.seek(offset)
            block = file.read(LOG_BYTES)
    except OSError:
        return {"log": "", "offset": offset}
    return {"log": block.decode("utf-8", "replace"), "offset": offset + len(block)}


def _opened(lock: Path) -> int:
    """Open the board's lock file; every user of the board may.

    Without O_CREAT first: in a folder like /tmp, the kernel refuses it for another user's file.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        return os.open(str(lock), os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        descriptor = os.open(str(lock), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        with contextlib.suppress(PermissionError):
            os.fchmod(descriptor, 0o666)
        return descriptor


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(descriptor: int) -> str:
    return os.pread(descriptor, 1000, 0).decode("utf-8", "replace").strip()


def _say_owner(descriptor: int, owner: str) -> None:
    with contextlib.suppress(OSError):  # a full disk: who has it is not said, that it is taken is
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, owner.encode(), 0)


def _reserve(folder: Path) -> None:
    with (folder / "reserved").open("wb") as file:
        file.write(b"\0" * RESERVED_BYTES)


def _boot_id() -> str:
    try:
        return BOOT_ID.read_text("utf-8").strip()
    except OSError:
        return ""


def _read(path: Path) -> Document:
    document: Document = json.loads(path.read_text("utf-8"))
    return document


def _write_whole(path: Path, document: Document) -> None:
    beside = path.with_name(path.name + ".partial")
    with beside.open("w", encoding="utf-8") as file:
        json.dump(document, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override] # it always raises
        raise JobError(message)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = _Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="start | wait | stop | remove")
    listed = {name: verbs.add_parser(name) for name in ("start", "wait", "stop", "remove")}
    for verb in listed.values():
        verb.add_argument("--folder", required=True, type=Path)
    listed["start"].add_argument("--lock", required=True, type=Path)
    listed["start"].add_argument("--owner", required=True)
    listed["start"].add_argument("--timeout", required=True, type=float)
    listed["start"].add_argument("job", nargs="+", metavar="COMMAND")
    listed["wait"].add_argument("--seconds", type=float, default=0.0)
    listed["wait"].add_argument("--offset", type=int, default=0)
    return parser.parse_args(arguments)


def answer(arguments: list[str]) -> Document:
    """Carry out one command line and return the document to print."""
    options = _options(arguments)
    if options.verb == "start":
        return start(options.folder, options.lock, owner=options.owner, timeout_s=options.timeout, command=options.job)
    if options.verb == "wait":
        return wait(options.folder, seconds=options.seconds, offset=options.offset)
    return {"stop": stop, "remove": remove}[options.verb](options.folder)


def main() -> int:
    """Carry out the command line and print one JSON document."""
    try:
        document, code = answer(sys.argv[1:]), 0
    except JobError as error:
        document, code = {"state": "error", "message": str(error)}, 2
    except OSError as error:
        document, code = {"state": "error", "message": str(error), "errno": error.errno}, 2
    print(json.dumps({"schema": SCHEMA, **document}))
    return code


if __name__ == "__main__":
    sys.exit(main())
