"""Making the next batches while the model computes on this one."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from edgedistill.data.transfer_set import TransferSet

Job = TypeVar("Job")
Made = TypeVar("Made")


@runtime_checkable
class MadeByThreads(Protocol):
    """A transfer set that says how many threads may make its batches."""

    workers: int


def workers_of(transfer_set: TransferSet) -> int:
    """Return how many threads make a set's batches: what it says, or one."""
    return transfer_set.workers if isinstance(transfer_set, MadeByThreads) else 1


def prefetched(
    jobs: Iterable[Job], make: Callable[[Job], Made], *, workers: int = 1, ahead: int | None = None
) -> Generator[Made]:
    """Yield `make(job)` of each job in order, made by some threads before it is asked for.

    What is made does not depend on timing, if `make` depends on its job alone. An error in `make` is raised at its
    job's turn. Close the generator (`contextlib.closing`) to end the threads early.

    Args:
        jobs: what to make, in order.
        make: called once for each job; by several threads at once, if there are several.
        workers: threads; 0 makes each when it is asked for.
        ahead: how many jobs before the one asked for are begun; none means one more than there are threads.
    """
    if not workers:
        yield from map(make, jobs)
        return
    ahead = workers + 1 if ahead is None else ahead
    pool = ThreadPoolExecutor(workers)
    waiting: deque[Future[Made]] = deque()
    try:
        for job in jobs:
            waiting.append(pool.submit(make, job))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
