"""Several things at once, in the order given, until one of them says stop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

Item = TypeVar("Item")


async def work_through(items: Iterable[Item], work: Callable[[Item], Awaitable[None]], *, workers: int) -> None:
    """Do the work for every item, `workers` at once.

    After an error no other item is begun; those under way end, since their answers are paid for; then the first
    error is raised.
    """
    waiting = iter(items)
    errors: list[Exception] = []

    async def worker() -> None:
        for item in waiting:
            try:
                await work(item)
            except Exception as error:  # noqa: BLE001 - raised below, when the others are done
                errors.append(error)
            if errors:
                return

    await asyncio.gather(*(worker() for _ in range(workers)))
    if errors:
        raise errors[0]
