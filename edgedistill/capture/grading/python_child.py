"""What runs a Python grader: a process of its own, with little memory, no key, and where the kernel allows no network.

Started with `python -I`. Reads JSON lines from standard input: first {"source", "seconds", "bytes_of_memory",
"bytes_of_file"}, then one {"sample", "item"} after another; answers each with one line on standard output. The source
is executed once; each sample is graded in a fork, so that none sees what another left behind.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import resource
import select
import signal
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_LANDLOCK_WRITES = (1 << 1) | sum(1 << bit for bit in range(4, 13))
"""linux/landlock.h, first version: write to, remove and make files of every kind. Reading stays allowed."""
_MAX_OPEN_FILES = 64


def main() -> None:
    """Serve grades until standard input ends."""
    requests, answers = _private_streams()
    order = json.loads(requests.readline())
    _answer(answers, _confine(order))
    namespace: dict[str, object] = {"__name__": "grader"}
    try:
        exec(compile(order["source"], "grader", "exec"), namespace)  # noqa: S102 - that is what this process is for
        grade = namespace.get("grade")
        _answer(answers, {"ready": True} if callable(grade) else {"error": "the source defines no function 'grade'"})
    except BaseException as error:  # noqa: BLE001 - SystemExit too: whatever the source does is its result
        _answer(answers, {"error": f"{type(error).__name__}: {error}"})
        return
    for line in requests:
        _answer(answers, _in_a_fork(grade, json.loads(line), seconds=order["seconds"]))  # type: ignore[arg-type]


def _private_streams() -> tuple[TextIO, TextIO]:
    """Take standard input and output for the protocol; whoever reads or prints meets /dev/null."""
    requests, answers = os.fdopen(os.dup(0), encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    return requests, answers


def _answer(answers: TextIO, value: object) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()


def _confine(order: dict[str, int]) -> dict[str, str]:
    """Give up what a grader does not need; return what the kernel granted."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    network = "cut off" if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0 else "refused in Python only"
    files = "write in its own folder only" if _landlock(libc) else "as the user's"
    for kind, limit in (
        (resource.RLIMIT_AS, order["bytes_of_memory"]),
        (resource.RLIMIT_FSIZE, order["bytes_of_file"]),
        (resource.RLIMIT_NOFILE, _MAX_OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))
    sys.addaudithook(_refuse_network)
    return {"network": network, "files": files}


def _refuse_network(event: str, _arguments: tuple[object, ...]) -> None:
    """Refuse sockets in Python itself: the second line where there is a namespace, the only one where there is none."""
    if event.startswith("socket."):
        raise PermissionError("a grader has no network")


def _landlock(libc: ctypes.CDLL) -> bool:
    """Let this process and its forks write below the current folder alone (Linux 5.13 and later)."""
    handled = struct.pack("Q", _LANDLOCK_WRITES)
    ruleset = libc.syscall(_LANDLOCK_CREATE, handled, len(handled), 0)
    if ruleset < 0:
        return False
    for path in (".", os.devnull):
        descriptor = os.open(path, os.O_PATH)
        allowed = _LANDLOCK_WRITES if Path(path).is_dir() else 1 << 1
        libc.syscall(_LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", allowed, descriptor), 0)
        os.close(descriptor)
    restricted = bool(libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0) == 0)
    os.close(ruleset)
    return restricted


def _in_a_fork(grade: Callable[..., object], request: dict[str, object], *, seconds: int) -> dict[str, object]:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        _grade_and_leave(grade, request, write, seconds=seconds)
    os.close(write)
    try:
        return _result_of(read, child, seconds=seconds)
    finally:
        os.close(read)


def _grade_and_leave(grade: Callable[..., object], request: dict[str, object], write: int, *, seconds: int) -> None:
    os.setpgid(0, 0)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # a fork does not inherit it
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    try:
        result = _checked(grade(request["sample"], request["item"]))
    except BaseException as error:  # noqa: BLE001 - whatever the grader does is its result
        result = {"error": f"{type(error).__name__}: {error}"[:500]}
    os.write(write, json.dumps(result).encode())
    os._exit(0)


def _checked(value: object) -> dict[str, object]:
    """Return a grade; numbers of other libraries (numpy's) count, truth values and text do not."""
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__"):
        return {"error": f"grade returned {value!r:.100}, which is no number"}
    number = float(value)
    return {"score": number} if math.isfinite(number) else {"error": f"grade returned {number}"}


def _result_of(read: int, child: int, *, seconds: int) -> dict[str, object]:
    deadline = time.monotonic() + seconds
    content = b""
    while (left := deadline - time.monotonic()) > 0 and select.select([read], [], [], left)[0]:
        part = os.read(read, 65536)
        if not part:
            break
        content += part
    else:
        _kill(child)
        os.waitpid(child, 0)
        return {"error": f"grade took longer than {seconds} s"}
    _kill(child)  # and what it may have started
    _, status = os.waitpid(child, 0)
    if content:
        result: dict[str, object] = json.loads(content)
        return result
    ended = f"signal {signal.Signals(os.WTERMSIG(status)).name}" if os.WIFSIGNALED(status) else "exit"
    return {"error": f"the grader's process ended by {ended}"}


def _kill(child: int) -> None:
    try:
        os.killpg(child, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # its own group is not there yet, or no more
        os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    main()
