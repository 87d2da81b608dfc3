"""Bars for long jobs, on standard error: only on a terminal, only for more than two seconds."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from edgedistill.progress import SILENT, Progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

DELAY_S = 2.0
"""A job that is done by then shows nothing."""


@contextmanager
def progress_on_terminal() -> Iterator[Progress]:
    """Give where jobs report to: bars on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield SILENT
        return
    from rich.console import Console

    with Bars(Console(stderr=True)) as bars:
        yield bars


class Bars:
    """One line per running job: title, bar, percentage, time left, note. A finished job leaves a text.

    Args:
        console: where the bars are drawn.
        delay_s: seconds after which a job is shown, at least 0.
    """

    def __init__(self, console: "Console", *, delay_s: float = DELAY_S) -> None:
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._delay_s = delay_s
        self._console = console
        self._drawn = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            transient=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._drawn.stop()

    @contextmanager
    def track(self, title: str, *, total: int) -> Iterator["Bar"]:
        """Begin a job of `total` steps."""
        bar = Bar(self, self._drawn.add_task(title, total=total, visible=False, note=""))
        timer = threading.Timer(self._delay_s, self._show, args=(bar,))
        timer.daemon = True
        timer.start()
        try:
            yield bar
        finally:
            timer.cancel()
            timer.join()  # a bar that is just being shown is shown; from here on none is
            self._end(bar, title)

    def update(self, bar: "Bar", *, steps: int, note: str) -> None:
        """Draw some more steps of a job."""
        self._drawn.update(bar.task, advance=steps, note=note)

    def _show(self, bar: "Bar") -> None:
        bar.shown = True
        self._drawn.update(bar.task, visible=True)
        self._drawn.start()

    def _end(self, bar: "Bar", title: str) -> None:
        self._drawn.remove_task(bar.task)
        if not any(task.visible for task in self._drawn.tasks):
            self._drawn.stop()
        if bar.shown:
            seconds = time.monotonic() - bar.started
            self._console.print(f"{title}: {seconds:.0f} s  {bar.note}".rstrip(), markup=False, highlight=False)


class Bar:
    """One running job of `Bars`."""

    def __init__(self, bars: Bars, task: "TaskID") -> None:
        self.task = task
        self.started = time.monotonic()
        self.note = ""
        self.shown = False
        self._bars = bars

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        """Say that some more steps are done; an empty note keeps the last one."""
        self.note = note or self.note
        self._bars.update(self, steps=steps, note=self.note)
