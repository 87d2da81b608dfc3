"""Accuracy against the share of samples that is answered, as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edgedistill.report.axis import LinearAxis
from edgedistill.report.drawing import Drawing

if TYPE_CHECKING:
    from edgedistill.run.summary import AbstentionCurve

WIDTH: Final = 330
_HEIGHT: Final = 190
_LEFT: Final = 44
_COLOURS: Final = {"student": "c-student", "artifact": "c-int8"}


def draw_abstention(curve: AbstentionCurve) -> Drawing:
    """Return the accuracy among answered samples, in per cent, by the share of samples answered."""
    series = [(100 * point.answered, 100 * point.accuracy) for point in curve.points]
    values = [value for _, value in series]
    spread = max(max(values) - min(values), 1.0)
    whole = f"{series[0][1]:.2f} % of all answered"
    drawing = Drawing(WIDTH, _HEIGHT, title=f"{curve.metric} by share answered: {whole}")
    across = LinearAxis(0, 100, _LEFT, WIDTH - 12)
    up = LinearAxis(min(values) - 0.1 * spread, min(max(values) + 0.1 * spread, 100.4), _HEIGHT - 40, 32)
    for value, label in up.ticks(4):
        drawing.line((_LEFT, up.place(value)), (WIDTH - 12, up.place(value)), "grid")
        drawing.text((_LEFT - 6, up.place(value) + 4), label, "small muted end")
    for value, label in across.ticks(6):
        drawing.text((across.place(value), _HEIGHT - 20), label, "small muted middle")
    drawing.text((0, 16), f"{curve.metric}, %", "label")
    drawing.text(((_LEFT + WIDTH) / 2, _HEIGHT - 4), "answered, % of samples", "small muted middle")
    points = [(across.place(share), up.place(value)) for share, value in series]
    colour = _COLOURS.get(curve.stage, "c-other")
    if len(points) > 1:
        drawing.polyline(points, f"curve {colour}")
    for point in points:
        drawing.circle(point, 2.5, f"dot {colour}")
    return drawing
