"""Several processes of one training, played by threads of one: each sees a group as it would over torch.distributed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from edgedistill.distill.parallel.group import Group

if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")
Result = TypeVar("Result")
PATIENCE_S = 20.0


class ThreadGroup(Group):
    """A group whose members leave their values on a table and wait for each other.

    Args:
        rank: of this thread.
        table: what each has left.
        barrier: where they wait.
    """

    def __init__(self, rank: int, table: dict[int, object], barrier: threading.Barrier) -> None:
        super().__init__(rank=rank, count=barrier.parties)
        self._table, self._barrier = table, barrier

    def from_all(self, value: Value) -> list[Value]:
        """Return every thread's value, by rank."""
        self._table[self.rank] = value
        self._barrier.wait(PATIENCE_S)
        values = [self._table[rank] for rank in range(self.count)]
        self._barrier.wait(PATIENCE_S)
        return values  # type: ignore[return-value]

    def from_first(self, value: Value) -> Value:
        """Return the first thread's value."""
        return self.from_all(value)[0]

    def add(self, tensor: Tensor) -> None:
        """Replace a tensor by the sum of all."""
        tensor.copy_(torch.stack(self.from_all(tensor.clone())).sum(0))

    def copy_from_first(self, tensor: Tensor) -> None:
        """Replace a tensor by the first's."""
        tensor.copy_(self.from_first(tensor.clone()))

    def rows_of_all(self, own: Tensor, rows: int) -> Tensor:
        """Return the rows of all, checked to be as many as each was to compute."""
        if rows < self.count:
            return own
        parts = self.from_all(own.detach().clone())
        for rank, part in enumerate(parts):
            share = self.share(rows, rank=rank)
            assert len(part) == share.stop - share.start
        return torch.cat(parts)


def in_threads(count: int, work: Callable[[Group], Result]) -> list[Result]:
    """Return what each of several threads comes to; the first error of one is raised."""
    table: dict[int, object] = {}
    barrier = threading.Barrier(count)

    def member(rank: int) -> Result:
        try:
            return work(ThreadGroup(rank, table, barrier))
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(member, rank) for rank in range(count)]
        errors = [error for future in futures if (error := future.exception()) is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
        raise error
    return [future.result() for future in futures]
