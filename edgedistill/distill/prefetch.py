"""Making the next batches while the model computes on this one."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

Job = TypeVar("Job")
Made = TypeVar("Made")


def prefetched(jobs: Iterable[Job], make: Callable[[Job], Made], *, ahead: int = 2) -> Generator[Made]:
    """Yield `make(job)` of each job in order, made by one thread, up to `ahead` jobs before it is asked for.

    One thread in order: what is made does not depend on timing. An error in `make` is raised at its job's
    turn. Close the generator (`contextlib.closing`) to end the thread early.
    """
    pool = ThreadPoolExecutor(1)
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
