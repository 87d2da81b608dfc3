"""Loss and accuracy of one training by epoch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from edgedistill.report.axis import LinearAxis
from edgedistill.report.drawing import Drawing
from edgedistill.report.wording import significant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedistill.run.summary import Curve

Series = list[tuple[float, float]]
WIDTH: Final = 330
_HEIGHT: Final = 168
_LEFT: Final = 44
COLOURS: Final = {"student": "c-student", "student-alone": "c-alone", "finetune": "c-int8"}


def draw_loss(curve: Curve) -> Drawing:
    """Return the training loss by epoch, on an axis of its own."""
    series = [(point.epoch, point.loss) for point in curve.points]
    return _draw(curve, series, title="loss", last=significant(series[-1][1]))


def draw_accuracy(curve: Curve) -> Drawing | None:
    """Return the accuracy by epoch in per cent; none where none was measured."""
    series = [(point.epoch, 100 * point.accuracy) for point in curve.points if point.accuracy is not None]
    return _draw(curve, series, title="accuracy, %", last=f"{series[-1][1]:.2f}") if series else None


def _draw(curve: Curve, series: Series, *, title: str, last: str) -> Drawing:
    drawing = Drawing(WIDTH, _HEIGHT, title=f"{title} of {curve.name} by epoch; the last is {last}")
    across = _spanning([epoch for epoch, _ in series], start=_LEFT, end=WIDTH - 10, margin=0.0)
    up = _spanning([value for _, value in series], start=_HEIGHT - 40, end=32, margin=0.06)
    for value, label in up.ticks(4):
        drawing.line((_LEFT, up.place(value)), (WIDTH - 10, up.place(value)), "grid")
        drawing.text((_LEFT - 6, up.place(value) + 4), label, "small muted end")
    for value, label in across.ticks(_epoch_ticks(across)):
        drawing.text((across.place(value), _HEIGHT - 20), label, "small muted middle")
    drawing.text((0, 16), title, "label")
    drawing.text((WIDTH - 10, 16), last, "label end")
    drawing.text(((_LEFT + WIDTH) / 2, _HEIGHT - 4), "epoch", "small muted middle")
    points = [(across.place(epoch), up.place(value)) for epoch, value in series]
    drawing.polyline(points, f"curve {_colour(curve)}")
    drawing.circle(points[-1], 4, f"dot {_colour(curve)}")
    return drawing


def _epoch_ticks(across: LinearAxis) -> int:
    """Return how many ticks fit, without fractions of an epoch where whole ones suffice."""
    return min(7, max(2, math.floor(across.high) - math.ceil(across.low) + 1))


def _colour(curve: Curve) -> str:
    return COLOURS.get(curve.name, "c-other")


def _spanning(values: Sequence[float], *, start: float, end: float, margin: float) -> LinearAxis:
    low, high = min(values), max(values)
    spread = (high - low) or max(abs(high), 1.0)
    extra = margin * spread if high > low else spread / 2
    return LinearAxis(low - extra, high + extra, start, end)
