"""Many devices at once: each with its own log and its own end; one that fails stops no other."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from edgedistill.devices.inventory import Listed, listed, reached
from edgedistill.errors import EdgeDistillError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edgedistill.devices.base import Device
    from edgedistill.progress import Progress

Value = TypeVar("Value")
MOST_AT_ONCE = 64


@dataclass(frozen=True)
class Ended(Generic[Value]):
    """How the work on one device ended: with a value or with an error.

    Args:
        name: of the device.
        value: what the work gave.
        error: why it gave nothing.
    """

    name: str
    value: Value | None = None
    error: EdgeDistillError | None = None


class Log:
    """The log of one device: a line at a time, each with the time since its start.

    Args:
        path: of the file, made with its folder; none keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._begun = time.monotonic()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)

    def __call__(self, line: str) -> None:
        """Append a line."""
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"{time.monotonic() - self._begun:9.2f} s  {line}\n")


def fleet(
    devices: Sequence[Listed],
    work: Callable[[Listed, Log], Value],
    *,
    logs: Path | None = None,
    progress: Progress | None = None,
    title: str = "devices",
) -> list[Ended[Value]]:
    """Do the same work on every device at once, and return how each ended, in their order.

    Args:
        devices: different ones.
        work: takes a device and its log; the limits of time are its own.
        logs: folder for the logs, `NAME.log`; they are appended to.
        progress: told of each device that ended.
        title: of the progress.

    Raises:
        Exception: an error that is none of ours, after all have ended.
    """
    if not devices:
        return []

    def one(item: Listed) -> Ended[Value]:
        log = Log(logs / f"{slug(item.name)}.log" if logs else None)
        try:
            ended = Ended(item.name, value=work(item, log))
        except EdgeDistillError as error:
            log(f"error: {error}")
            return Ended(item.name, error=error)
        except BaseException as error:
            log(f"bug: {error!r}")
            raise
        log("done")
        return ended

    from edgedistill.progress import SILENT  # noqa: PLC0415 - a default

    with (
        (progress or SILENT).track(title, total=len(devices)) as tracker,
        ThreadPoolExecutor(min(len(devices), MOST_AT_ONCE)) as pool,
    ):
        futures = [pool.submit(one, item) for item in devices]
        for future in futures:
            future.add_done_callback(lambda _: tracker.advance())
        return [future.result() for future in futures]


def asked(names: Sequence[str], question: Callable[[Device], Value]) -> list[Ended[Value]]:
    """Ask several devices, by address or name, the same; a name that is none is an error like any other.

    Args:
        names: addresses, or names of the inventory; each is asked once.
        question: takes the device.
    """
    found: dict[str, Listed | EdgeDistillError] = {}
    for name in dict.fromkeys(names):
        try:
            found[name] = listed(name)
        except EdgeDistillError as error:
            found[name] = error
    answers = fleet(
        [item for item in found.values() if isinstance(item, Listed)], lambda item, _: question(reached(item))
    )
    by_name = {answer.name: answer for answer in answers}
    return [by_name[item.name] if isinstance(item, Listed) else Ended(name, error=item) for name, item in found.items()]


def slug(name: str) -> str:
    """Return a device's name as a file's."""
    return "".join(character if character.isalnum() or character in "-._" else "-" for character in name)
