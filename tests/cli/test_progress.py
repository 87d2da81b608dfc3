from __future__ import annotations

import io
import re
import threading
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from edgedistill.cli.progress import Bars, progress_on_terminal
from edgedistill.progress import SILENT, Progress, Tracker

if TYPE_CHECKING:
    from collections.abc import Callable

NEVER_S = 3600.0


def terminal() -> tuple[Console, Callable[[], str]]:
    """Return a console that believes in a terminal, and what stands on its screen."""
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=100, color_system=None)
    return console, lambda: screen(file.getvalue())


def screen(sent: str) -> str:
    """Return what a terminal shows after what it was sent; knows the control codes that rich's bars use."""
    lines, row, column = [""], 0, 0
    for code, text in re.findall(r"\x1b\[([0-9;?]*[A-Za-z])|([\r\n]|[^\x1b\r\n]+)", sent):
        if code == "2K":
            lines[row] = ""
        elif code.endswith("A"):
            row -= int(code[:-1] or 1)
        elif text == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif text == "\r":
            column = 0
        elif text:
            lines[row] = lines[row][:column].ljust(column) + text + lines[row][column + len(text) :]
            column += len(text)
        else:
            assert code in ("?25l", "?25h", "0m"), code  # cursor off, cursor on, colours off
    return "\n".join(line.rstrip() for line in lines).rstrip()


def shown_soon(on_screen: Callable[[], str], text: str) -> bool:
    return happens_soon(lambda: text in on_screen())


def happens_soon(condition: Callable[[], bool]) -> bool:
    wait = threading.Event()
    return any(condition() or wait.wait(0.02) for _ in range(500))


def test_bars_are_a_progress() -> None:
    console, _ = terminal()
    with Bars(console) as bars:
        progress: Progress = bars
        with progress.track("teach", total=2) as tracker:
            job: Tracker = tracker
            job.advance()


def test_a_short_job_shows_nothing() -> None:
    console, on_screen = terminal()
    with Bars(console, delay_s=NEVER_S) as bars, bars.track("teach", total=2) as job:
        job.advance(2, note="accuracy 91.2 %")
    assert on_screen() == ""


def test_a_long_job_shows_a_bar_while_it_runs_and_a_line_after() -> None:
    console, on_screen = terminal()
    with Bars(console, delay_s=0.0) as bars, bars.track("distill [x]", total=4) as job:
        job.advance(note="accuracy [91.2 %]")
        assert shown_soon(on_screen, "25%")
        job.advance()
        assert shown_soon(on_screen, "50%")
        assert re.fullmatch(r"distill \[x\] ━+ +50% [-:0-9]+ accuracy \[91.2 %\]", on_screen())
    assert on_screen() == "distill [x]: 0 s  accuracy [91.2 %]"


def test_jobs_may_stand_inside_jobs_and_follow_each_other() -> None:
    console, on_screen = terminal()
    with Bars(console, delay_s=0.0) as bars:
        with bars.track("outer", total=2) as outer:
            with bars.track("inner", total=10) as inner:
                inner.advance(5)
                assert shown_soon(on_screen, "50%")
                assert on_screen().splitlines()[0].startswith("outer")
            outer.advance()
            alone = re.compile(r"inner: 0 s\nouter ━+ +50% [-:0-9]+")
            assert happens_soon(lambda: alone.fullmatch(on_screen()) is not None)
        with bars.track("next", total=1):
            assert shown_soon(on_screen, "next")
    assert on_screen() == "inner: 0 s\nouter: 0 s\nnext: 0 s"


def test_an_error_leaves_no_bar_and_no_thread() -> None:
    console, on_screen = terminal()

    def fail() -> None:
        with Bars(console, delay_s=0.0) as bars, bars.track("teach", total=2):
            assert shown_soon(on_screen, "teach")
            raise ValueError("broken")

    before = threading.active_count()
    with pytest.raises(ValueError, match="broken"):
        fail()
    assert on_screen() == "teach: 0 s"
    assert happens_soon(lambda: threading.active_count() == before)


def test_a_job_without_steps() -> None:
    console, _ = terminal()
    with Bars(console, delay_s=0.0) as bars, bars.track("nothing", total=0):
        pass


def test_not_on_a_terminal_nothing_is_drawn() -> None:
    with progress_on_terminal() as progress:
        assert progress is SILENT
