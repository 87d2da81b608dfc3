from __future__ import annotations

import threading
from contextlib import closing

import pytest

from edgedistill.distill.prefetch import prefetched, workers_of


def test_order_is_kept_and_everything_is_made_once_by_one_thread() -> None:
    threads = set()

    def make(job: int) -> int:
        threads.add(threading.get_ident())
        return job * job

    assert list(prefetched(range(20), make)) == [job * job for job in range(20)]
    assert len(threads) == 1
    assert threading.get_ident() not in threads
    assert list(prefetched([], make)) == []


def test_it_runs_ahead_but_not_further_than_told() -> None:
    made: list[int] = []
    jobs = iter(range(100))
    with closing(prefetched(jobs, made.append, ahead=3)) as items:
        next(items)
    assert next(jobs) == 4
    assert made[0] == 0
    assert len(made) <= 4


def test_an_error_comes_at_its_turn_and_closing_ends_the_thread() -> None:
    before = threading.active_count()
    items = prefetched([2, 1, 0, 4], lambda job: 2 // job)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(ZeroDivisionError):
        next(items)
    with closing(prefetched(range(9), abs)) as others:
        next(others)
    assert threading.active_count() == before


@pytest.mark.parametrize("workers", [0, 1, 2, 5])
def test_any_number_of_threads_gives_the_same_in_order(workers: int) -> None:
    threads = set()

    def make(job: int) -> int:
        threads.add(threading.get_ident())
        threading.Event().wait(0.001 * (job % 3))
        return job * job

    assert list(prefetched(range(30), make, workers=workers)) == [job * job for job in range(30)]
    assert len(threads) <= max(workers, 1)
    assert (threading.get_ident() in threads) == (workers == 0)


def test_a_set_may_say_how_many_threads_make_its_batches() -> None:
    class Says:
        workers = 3

    assert workers_of(Says()) == 3
    assert workers_of(object()) == 1
