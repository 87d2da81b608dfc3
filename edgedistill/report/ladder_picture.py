"""The accuracy ladder as a picture: one dot and its interval for each rung."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edgedistill.evaluate.executor import Execution
from edgedistill.report.axis import LinearAxis
from edgedistill.report.drawing import Drawing
from edgedistill.report.table import ACCURACY, rung_interval, rung_value
from edgedistill.report.wording import BADGES, NOTHING, percent_range, shorten, stage_title

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedistill.run.summary import Rung, Summary

EXECUTED: Final = frozenset({Execution.DEVICE, Execution.HOST})
"""Filled dots: a real processor ran it. All others are hollow."""
COLOURS: Final = {"teacher": "c-teacher", "student-alone": "c-alone", "student": "c-student"}
WIDE_FROM: Final = 600


@dataclass(frozen=True)
class _Layout:
    """Where things stand, in pixels; `label`, `sub` and `dot` are offsets from the top of a row."""

    width: float
    row: float
    left: float
    right: float
    label: float
    sub: float
    dot: float


def draw_ladder(summary: Summary, *, width: float) -> Drawing | None:
    """Return the ladder's accuracies on one axis that does not begin at 0; none where there is no accuracy.

    Args:
        summary: the run.
        width: in pixels; below `WIDE_FROM` the labels stand above the dots.
    """
    rungs = [rung for rung in summary.ladder if rung.metric == ACCURACY]
    intervals = [interval for rung in rungs if (interval := rung_interval(rung))]
    if not intervals:
        return None
    layout = _layout(width)
    axis = _axis(intervals, layout)
    drawing = Drawing(width, len(rungs) * layout.row + 40, title="Accuracy ladder; the table below has its numbers")
    _draw_grid(drawing, axis, layout, rows=len(rungs))
    for index, rung in enumerate(rungs):
        _draw_rung(drawing, rung, axis, layout, top=index * layout.row)
    return drawing


def _layout(width: float) -> _Layout:
    if width < WIDE_FROM:
        return _Layout(width=width, row=64, left=5, right=width - 5, label=17, sub=33, dot=49)
    return _Layout(width=width, row=46, left=230, right=width - 150, label=20, sub=37, dot=23)


def _axis(intervals: Sequence[tuple[float, float]], layout: _Layout) -> LinearAxis:
    low, high = min(low for low, _ in intervals), max(high for _, high in intervals)
    margin = max(0.04 * (high - low), 1e-4)
    return LinearAxis(100 * (low - margin), 100 * (high + margin), layout.left, layout.right)


def _draw_grid(drawing: Drawing, axis: LinearAxis, layout: _Layout, *, rows: int) -> None:
    bottom = rows * layout.row
    for value, label in axis.ticks(8 if layout.width >= WIDE_FROM else 5):
        x = axis.place(value)
        for row in range(rows):
            centre = row * layout.row + layout.dot
            half = layout.row / 2 if layout.width >= WIDE_FROM else 9
            drawing.line((x, centre - half), (x, centre + half), "grid")
        # a tick close to the picture's edge would have its label cut off
        place = min(max(x, layout.left + 10), layout.right - 10)
        drawing.text((place, bottom + 16), label, "small muted middle")
    drawing.text(((layout.left + layout.right) / 2, bottom + 34), "accuracy, %", "small muted middle")


def _draw_rung(drawing: Drawing, rung: Rung, axis: LinearAxis, layout: _Layout, *, top: float) -> None:
    profile = (rung.target or "").rpartition("/")[2]
    sub = " · ".join(part for part in (profile, BADGES[rung.execution]) if part)
    interval = rung_interval(rung)
    drawing.text((0, top + layout.label), stage_title(rung.stage), "label")
    drawing.text((0, top + layout.sub), shorten(sub, length=36), "small muted")
    drawing.text((layout.width, top + layout.label), rung_value(rung), "label end")
    drawing.text((layout.width, top + layout.sub), percent_range(*interval) if interval else NOTHING, "small muted end")
    _draw_mark(drawing, rung, axis, layout, y=top + layout.dot)


def _draw_mark(drawing: Drawing, rung: Rung, axis: LinearAxis, layout: _Layout, *, y: float) -> None:
    interval = rung_interval(rung)
    if rung.value is None or interval is None:
        drawing.line((layout.left, y), (layout.right, y), "missing")
        return
    colour = COLOURS.get(rung.stage, "c-int8")
    low, high = (axis.place(100 * bound) for bound in interval)
    drawing.line((low, y), (high, y), f"whisker {colour}")
    for bound in (low, high):
        drawing.line((bound, y - 4), (bound, y + 4), f"whisker {colour}")
    mark = "dot" if rung.execution in EXECUTED else "hollow"
    drawing.circle((axis.place(100 * rung.value), y), 5.5, f"{mark} {colour}")
