"""Stores from a thread of its own, so that whoever has an answer to give is not kept waiting, and never fails.

All that waits is written in one transaction: sixty-four answers cost one synchronisation of the disk.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

from edgedistill.capture.store import Clash, Entry
from edgedistill.errors import EdgeDistillError, ResourceError

if TYPE_CHECKING:
    from edgedistill.capture.store import Store

QUEUE = 1024
"""Answers that may wait; what comes when as many do is not stored."""

BATCH = 128

logger = logging.getLogger(__name__)

Names = list[str | None]
Make = Callable[[], Sequence[Entry]]


@dataclass(frozen=True)
class Counts:
    """What became of the answers that were to be stored.

    Args:
        stored: they are on the disk.
        skipped: they are no completions: broken off, or something else than was asked for.
        failed: they could not be read or redacted, or the store could not be written.
        dropped: too many were waiting.
    """

    stored: int = 0
    skipped: int = 0
    failed: int = 0
    dropped: int = 0


class _Job(NamedTuple):
    make: Make
    done: Future[Names]


class Writer:
    """A queue before a store.

    Args:
        store: where to write; it is not closed.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._counts = Counts()
        self._counting = threading.Lock()
        self._waiting: queue.Queue[_Job | None] = queue.Queue(QUEUE)
        self._is_open = True
        self._thread = threading.Thread(target=self._run, name="edgedistill-capture-writer", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def counts(self) -> Counts:
        """What became of the answers so far."""
        return self._counts

    def submit(self, make: Make) -> Future[Names]:
        """Have answers stored soon. It never raises and never waits.

        Args:
            make: gives the completions, none if the answer is no completion; called in the writer's thread, so
                that redaction keeps nobody waiting.

        Returns:
            The ids under which they are stored, once they are on the disk; None for what is not.
        """
        job = _job(make)
        try:
            if not self._is_open:
                raise queue.Full  # noqa: TRY301 - one way of not being stored
            self._waiting.put_nowait(job)
        except queue.Full:
            self._count(dropped=1)
            logger.warning("an answer is not stored: %d are waiting, or the writer is closed", QUEUE)
            job.done.set_result([])
        return job.done

    def fail(self, error: Exception) -> None:
        """Count an answer that could not be read."""
        self._count(failed=1)
        # of other errors neither message nor traceback: both may quote what was to be redacted
        told = str(error) if isinstance(error, EdgeDistillError) else type(error).__name__
        logger.warning("an answer is not stored: %s", told)

    def flush(self, timeout_s: float = 60.0) -> None:
        """Wait until all that was submitted is stored or has failed.

        Raises:
            TimeoutError: it takes longer.
        """
        job = _job(_nothing)
        self._waiting.put(job, timeout=timeout_s)
        job.done.result(timeout_s)

    def close(self) -> None:
        """Store what is waiting, and end."""
        if self._is_open:
            self._is_open = False
            self._waiting.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            while len(batch) < BATCH and not self._waiting.empty():
                following = self._waiting.get()
                if following is None:
                    self._write(batch)
                    return
                batch.append(following)
            self._write(batch)

    def _write(self, batch: Sequence[_Job]) -> None:
        made = [self._made(job.make) for job in batch]
        names = iter(self._stored([entry for entries in made for entry in entries]))
        for job, entries in zip(batch, made, strict=True):
            job.done.set_result([next(names) for _ in entries])

    def _made(self, make: Make) -> Sequence[Entry]:
        try:
            entries = make()
        except Exception as error:  # noqa: BLE001 - a redaction of the user's may raise anything
            self.fail(error)
            return ()
        if not entries and make is not _nothing:
            self._count(skipped=1)
        return entries

    def _stored(self, entries: Sequence[Entry]) -> Names:
        if not entries:
            return []
        try:
            names = self._store.add_many(entries, clash=Clash.RENAME)
        except ResourceError as error:
            self._count(failed=len(entries))
            logger.warning("%d answers are not stored: %s", len(entries), error)
            return [None] * len(entries)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller has the answer
            if len(entries) > 1:  # one of them may be at fault
                return [name for entry in entries for name in self._stored([entry])]
            self.fail(error)
            return [None]
        self._count(stored=len(names))
        return names

    def _count(self, *, stored: int = 0, skipped: int = 0, failed: int = 0, dropped: int = 0) -> None:
        with self._counting:
            counts = self._counts
            self._counts = Counts(
                stored=counts.stored + stored,
                skipped=counts.skipped + skipped,
                failed=counts.failed + failed,
                dropped=counts.dropped + dropped,
            )


def _job(make: Make) -> _Job:
    done: Future[Names] = Future()
    done.set_running_or_notify_cancel()  # who waits for it may give up, but not cancel it
    return _Job(make, done)


def _nothing() -> Sequence[Entry]:
    """Stand in the queue for whoever waits until all before it is written."""
    return ()
