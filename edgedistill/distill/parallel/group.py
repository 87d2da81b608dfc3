"""The processes of one launch, and what they tell each other."""

from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import torch
from torch import distributed
from torch.distributed.rendezvous import rendezvous

from edgedistill.distill.parallel.lost import Records, SilentPeerError, noting
from edgedistill.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor
    from torch._C._distributed_c10d import TCPStore

    from edgedistill.launcher import Launch

Value = TypeVar("Value")
Parameters = ParamSpec("Parameters")

TIMEOUT_VARIABLE = "EDGEDISTILL_STEP_TIMEOUT_S"
STEP_TIMEOUT_S = 600.0  # a process that answers no step for so long is taken for lost
JOIN_TIMEOUT_S = 300.0
NO_TIMEOUT = timedelta(days=3650)  # gloo has no "none"; a peer that dies is noticed at once, by its closed connection


class Group:
    """The processes that label and train together; one alone needs no torch.distributed.

    All of them call the same methods in the same order. What belongs to a step has a timeout; what waits for a
    process's own work (`from_first`, `from_all`) has none.

    Args:
        rank: of this process, 0 to count - 1.
        count: processes.
        patient: the group of processes whose calls have no timeout; none of one process alone.
    """

    def __init__(self, *, rank: int = 0, count: int = 1, patient: distributed.ProcessGroup | None = None) -> None:
        self.rank, self.count = rank, count
        self._patient = patient

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and decides."""
        return self.rank == 0

    def from_first(self, value: Value) -> Value:
        """Return the first process's value; the others' are not looked at."""
        if self.count == 1:
            return value
        values = [value]
        _heard(distributed.broadcast_object_list, values, src=0, group=self._patient)
        return values[0]

    def from_all(self, value: Value) -> list[Value]:
        """Return every process's value, by rank."""
        if self.count == 1:
            return [value]
        values: list[Value] = [value] * self.count
        _heard(distributed.all_gather_object, values, value, group=self._patient)
        return values

    def add(self, tensor: Tensor) -> None:
        """Replace a tensor by the sum of all processes' tensors: the same bits everywhere."""
        if self.count > 1:
            _heard(distributed.all_reduce, tensor)

    def copy_from_first(self, tensor: Tensor) -> None:
        """Replace a tensor by the first process's."""
        if self.count > 1:
            _heard(distributed.broadcast, tensor, src=0)

    def share(self, rows: int, *, rank: int | None = None) -> slice:
        """Return the rows of a batch that a process computes, this one unless another is named.

        Shares follow each other by rank and differ by one row at most. A batch of fewer rows than processes is
        computed whole by every one.
        """
        if rows < self.count:
            return slice(0, rows)
        size, more = divmod(rows, self.count)
        place = self.rank if rank is None else rank
        start = place * size + min(place, more)
        return slice(start, start + size + (place < more))

    def rows_of_all(self, own: Tensor, rows: int) -> Tensor:
        """Return the rows of a whole batch, (rows, ...), of which every process has its share."""
        if self.count == 1 or rows < self.count:
            return own
        shares = [self.share(rows, rank=rank) for rank in range(self.count)]
        largest = shares[0].stop
        padded = own.new_zeros((largest, *own.shape[1:]))
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in shares]
        _heard(distributed.all_gather, parts, padded)
        return torch.cat([part[: share.stop - share.start] for part, share in zip(parts, shares, strict=True)])


ALONE = Group()
"""One process."""


@contextmanager
def joined(launched: Launch) -> Iterator[Group]:
    """Give the group of a launch while the context lasts: gloo on the CPU, torch's own choice elsewhere.

    When a process ends with an error, it leaves a note where the others find it, so that they can say who is gone.

    Raises:
        InputError: the processes do not find each other.
        LostProcessError: another process died, or answers no more.
        FailedProcessError: another process ended with an error of its own.
    """
    if launched.count == 1:
        yield ALONE
        return
    store = _store(launched)
    timeout = timedelta(seconds=_step_timeout_s())
    try:
        distributed.init_process_group(store=store, rank=launched.rank, world_size=launched.count, timeout=timeout)
        patient = distributed.new_group(backend="gloo", timeout=NO_TIMEOUT)
    except RuntimeError as error:
        raise _not_joined(launched, error) from error
    records = Records(store, rank=launched.rank, count=launched.count)
    try:
        with noting(records):
            yield Group(rank=launched.rank, count=launched.count, patient=patient)
    finally:
        distributed.destroy_process_group()


def _store(launched: Launch) -> TCPStore:
    """Return the store at which processes meet: the launcher's own, or the first process's."""
    try:
        found: TCPStore = next(rendezvous("env://", timeout=timedelta(seconds=JOIN_TIMEOUT_S)))[0]
    except (RuntimeError, ValueError) as error:
        raise _not_joined(launched, error) from error
    return found


def _not_joined(launched: Launch, error: Exception) -> InputError:
    address = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    return InputError(
        f"process {launched.rank} of {launched.count}",
        found=f"it did not find the others at {address}: {str(error).splitlines()[0]}",
        fix="start all of them within five minutes, and let them reach that address",
    )


def _step_timeout_s() -> float:
    text = os.environ.get(TIMEOUT_VARIABLE, str(STEP_TIMEOUT_S))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 86_400:  # noqa: PLR2004 - a second to a day
        raise InputError(f"variable {TIMEOUT_VARIABLE}", found=f"'{text}'", wanted="seconds, 1 to 86400")
    return seconds


def _heard(call: Callable[Parameters, object], *args: Parameters.args, **kwargs: Parameters.kwargs) -> None:
    """Make a call of torch.distributed.

    Raises:
        SilentPeerError: a process is gone or does not answer.
    """
    try:
        call(*args, **kwargs)
    except RuntimeError as error:
        raise SilentPeerError(str(error)) from error
