"""When a process is gone: every process that ends leaves a note, and those that wait read who left none."""

from __future__ import annotations

import json
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from edgedistill.errors import EdgeDistillError, FailedProcessError, LostProcessError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NOTES_WITHIN_S = 5.0
POLL_S = 0.1


class SilentPeerError(Exception):
    """A call of torch.distributed failed: some process is gone or does not answer. `noting` finds out which."""


class Store(Protocol):
    """What is used of torch.distributed's store, which every process can write to and read from."""

    def set(self, key: str, value: str, /) -> None:
        """Write a value."""

    def get(self, key: str, /) -> bytes:
        """Read a value that is there."""

    def check(self, keys: list[str], /) -> bool:
        """Tell whether all of some keys are there."""


class Records:
    """What processes leave behind when they end with an error.

    Args:
        store: where all of them can write.
        rank: of this process.
        count: processes.
    """

    def __init__(self, store: Store, *, rank: int, count: int) -> None:
        self.rank, self.count = rank, count
        self._store = store

    def leave(self, message: str = "", *, exit_code: int = 0) -> None:
        """Leave a note: with a message, of one's own error; without, that one only waited for another process."""
        self._store.set(self._key(self.rank), json.dumps([message, exit_code]))

    def found(self) -> dict[int, tuple[str, int]]:
        """Return the notes by rank, once all are there or five seconds are over."""
        deadline = time.monotonic() + NOTES_WITHIN_S
        while True:
            there = [rank for rank in range(self.count) if self._store.check([self._key(rank)])]
            if len(there) == self.count or time.monotonic() > deadline:
                return {rank: self._note(rank) for rank in there}
            time.sleep(POLL_S)

    def _key(self, rank: int) -> str:
        return f"edgedistill/{rank}"

    def _note(self, rank: int) -> tuple[str, int]:
        message, exit_code = json.loads(self._store.get(self._key(rank)))
        return str(message), int(exit_code)


@contextmanager
def noting(records: Records) -> Iterator[None]:
    """Leave a note when this process ends with an error, and say which process is gone when it is another's.

    Raises:
        LostProcessError: a process left no note.
        FailedProcessError: a process left a note of its own error.
    """
    try:
        yield
    except EdgeDistillError as error:
        _quietly_leave(records, str(error), exit_code=error.exit_code)
        raise
    except (SilentPeerError, KeyboardInterrupt) as error:
        # A launcher that sees one process die ends the others by SIGTERM, which may come before or after the
        # connection is seen to be closed; a second one must not cut the explanation short.
        with _deaf_to_sigterm():
            notes = _notes(records)
        others = set(range(records.count)) - {records.rank}
        if isinstance(error, KeyboardInterrupt) and others <= notes.keys() and not any(map(_message, notes.values())):
            raise  # all were interrupted, as by Ctrl-C
        raise _explained(notes, records, interrupted=isinstance(error, KeyboardInterrupt)) from error
    except BaseException as error:
        _quietly_leave(records, f"{type(error).__name__}: {error}", exit_code=1)
        raise


def _notes(records: Records) -> dict[int, tuple[str, int]]:
    try:
        records.leave()
        return records.found()
    except RuntimeError:  # the store went with the first process, which held it
        return dict.fromkeys(range(1, records.count), ("", 0))


def _message(note: tuple[str, int]) -> str:
    return note[0]


def _explained(notes: Mapping[int, tuple[str, int]], records: Records, *, interrupted: bool) -> EdgeDistillError:
    for rank, (message, exit_code) in sorted(notes.items()):
        if message:
            return FailedProcessError(rank, message, exit_code=exit_code)
    gone = [rank for rank in range(records.count) if rank not in notes]
    named = f"process{'es' if len(gone) > 1 else ''} {', '.join(map(str, gone))} (counted from 0)"
    if not gone:
        found = "they no longer hear each other, and all of them still run"
    elif interrupted:
        found = f"interrupted; {named} left no word: killed, or still at work"
    else:
        found = f"{named} is gone: killed, out of memory, its machine or network down, or it took too long for a step"
    return LostProcessError(
        f"run with {records.count} processes",
        found=found,
        wanted="an answer of each in every step",
        fix="look into the log and at the memory of that process's machine; the same command goes on from the last "
        "checkpoint, with as many processes or another number of them",
    )


def _quietly_leave(records: Records, message: str, *, exit_code: int) -> None:
    try:
        records.leave(message, exit_code=exit_code)
    except RuntimeError:  # the store is gone: there is nobody to tell
        return


@contextmanager
def _deaf_to_sigterm() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
