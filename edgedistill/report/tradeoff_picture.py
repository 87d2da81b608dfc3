"""Accuracy against latency on one machine, both with their intervals: what is better stands higher and further left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edgedistill.report.axis import LinearAxis, LogAxis
from edgedistill.report.drawing import Drawing
from edgedistill.report.wording import shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

_LEFT: Final = 52
_TOP: Final = 12
_HEIGHT: Final = 190
_LETTER_PX: Final = 7.5
LARGEST_RATIO: Final = 1e6


@dataclass(frozen=True)
class Choice:
    """A model as somebody who has to choose sees it.

    Args:
        title: for people.
        colour: CSS class.
        latency_ms: median.
        latency_ci95_ms: its 95 % interval.
        accuracy: share from 0 to 1.
        accuracy_ci95: its 95 % interval.
    """

    title: str
    colour: str
    latency_ms: float
    latency_ci95_ms: tuple[float, float]
    accuracy: float
    accuracy_ci95: tuple[float, float]


def best_of(choices: Sequence[Choice]) -> list[Choice]:
    """Return the Pareto front: those than which no other is both faster and at least as accurate, fastest first."""
    front: list[Choice] = []
    for choice in sorted(choices, key=lambda item: (item.latency_ms, -item.accuracy)):
        if not front or choice.accuracy > front[-1].accuracy:
            front.append(choice)
    return front


def draw_tradeoff(choices: Sequence[Choice], *, width: float) -> Drawing:
    """Return a point with two bars for each model, and the front as a staircase.

    Args:
        choices: at least one.
        width: in pixels.
    """
    drawing = Drawing(width, _TOP + _HEIGHT + 40, title="Accuracy against latency")
    across, up = _axes(choices, width)
    for value, label in across.ticks(5):
        drawing.line((across.place(value), up.start), (across.place(value), up.end), "grid")
        drawing.text((across.place(value), up.start + 16), label, "small muted middle")
    for value, label in up.ticks(5):
        drawing.line((_LEFT, up.place(value)), (width - 8, up.place(value)), "grid")
        drawing.text((_LEFT - 6, up.place(value) + 4), label, "small muted end")
    front = best_of(choices)
    steps = [(across.place(front[0].latency_ms), up.start)]
    for choice in front:
        steps += [(across.place(choice.latency_ms), steps[-1][1])]
        steps += [(across.place(choice.latency_ms), up.place(100 * choice.accuracy))]
    steps.append((width - 8, steps[-1][1]))
    drawing.polyline(steps, "front")
    for choice in choices:
        _draw_choice(drawing, choice, across, up)
    drawing.text(((_LEFT + width) / 2, drawing.height - 6), "median latency, ms; accuracy, %", "small muted middle")
    return drawing


def _axes(choices: Sequence[Choice], width: float) -> tuple[LogAxis, LinearAxis]:
    fastest = min(choice.latency_ci95_ms[0] for choice in choices)
    slowest = max(choice.latency_ci95_ms[1] for choice in choices)
    stretch = max(1.08, (slowest / fastest) ** 0.12)
    lowest = 100 * min(choice.accuracy_ci95[0] for choice in choices)
    highest = 100 * max(choice.accuracy_ci95[1] for choice in choices)
    margin = max(0.12 * (highest - lowest), 0.05)
    across = LogAxis(fastest / stretch, slowest * stretch, _LEFT, width - 8)
    return across, LinearAxis(lowest - margin, highest + margin, _TOP + _HEIGHT, _TOP)


def _draw_choice(drawing: Drawing, choice: Choice, across: LogAxis, up: LinearAxis) -> None:
    x, y = across.place(choice.latency_ms), up.place(100 * choice.accuracy)
    left, right = (across.place(bound) for bound in choice.latency_ci95_ms)
    low, high = (up.place(100 * bound) for bound in choice.accuracy_ci95)
    drawing.line((left, y), (right, y), f"whisker {choice.colour}")
    drawing.line((x, low), (x, high), f"whisker {choice.colour}")
    drawing.circle((x, y), 5, f"dot {choice.colour}")
    right, left = drawing.width - 8 - (x + 9), x - 9 - _LEFT
    beside = len(choice.title) * _LETTER_PX <= right or right >= left
    title = shorten(choice.title, length=int(max(right, left) / _LETTER_PX))
    drawing.text((x + 9 if beside else x - 9, y - 8), title, "small" if beside else "small end")
