"""Latency as distributions, drawn from the raw samples: a histogram of the body and an ECDF of everything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edgedistill.report.axis import LinearAxis, LogAxis
from edgedistill.report.drawing import Drawing
from edgedistill.report.wording import DASH, count, milliseconds, shorten, significant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgedistill.report.axis import Axis
    from edgedistill.report.drawing import Point

FENCE: Final = 3.0
"""The histogram's axis ends this many interquartile ranges above the upper quartile (Tukey's outer fence)."""
WIDE_FROM: Final = 420
"""Pixels of width from which the median stands beside the title."""
_LABEL_PX: Final = 8.5
"""Width of a bold letter in the widest of the page's typefaces."""
_BIN_PX: Final = 4
_LEFT: Final = 44
_LINE: Final = 17
_HISTOGRAM: Final = 88
_GAP: Final = 22
_SHARES: Final = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)


@dataclass(frozen=True)
class Latency:
    """The raw samples of one model.

    Args:
        title: for people.
        colour: CSS class.
        processes: milliseconds above 0, one array (samples,) float64 for each process, from its steady state on.
        p50_ms: median.
        p50_ci95_ms: its 95 % interval.
    """

    title: str
    colour: str
    processes: tuple[NDArray[np.float64], ...]
    p50_ms: float
    p50_ci95_ms: tuple[float, float]

    @property
    def pooled(self) -> NDArray[np.float64]:
        """Samples of all processes, (samples,) float64, ascending."""
        return np.sort(np.concatenate(self.processes))


def draw_histograms(latencies: Sequence[Latency], *, width: float) -> Drawing:
    """Return one histogram below the other on one linear axis; samples beyond it are counted, not dropped."""
    axis = _body_axis(latencies, width)
    heads = [_head(latency, axis, width=width) for latency in latencies]
    tops = np.cumsum([0] + [len(head) * _LINE + _HISTOGRAM + _GAP for head in heads]).tolist()
    bottom = tops[-1] - _GAP
    drawing = Drawing(width, bottom + 38, title="Histograms of latency; the table below has their numbers")
    for latency, head, top in zip(latencies, heads, tops[:-1], strict=True):
        for row, (left, right) in enumerate(head):
            drawing.text((0, top + row * _LINE + 14), left, "label" if row == 0 else "small muted")
            drawing.text((width, top + row * _LINE + 14), right, "label end")
        _draw_histogram(drawing, latency, axis, base=top + len(head) * _LINE + _HISTOGRAM)
    for value, label in axis.ticks(6):
        drawing.text((axis.place(value), bottom + 16), label, "small muted middle")
    drawing.text((width / 2, bottom + 34), "milliseconds", "small muted middle")
    return drawing


def _head(latency: Latency, axis: LinearAxis, *, width: float) -> list[tuple[str, str]]:
    """Return the lines above a histogram, each with its left and its right text."""
    low, high = latency.p50_ci95_ms
    median = f"p50 {milliseconds(latency.p50_ms)} ({significant(low)}{DASH}{significant(high)})"
    notes = [f"{count(latency.pooled.size)} samples in {count(len(latency.processes))} processes"]
    beyond = latency.pooled[latency.pooled > axis.high]
    if beyond.size:
        notes.append(f"{count(beyond.size)} beyond the axis, up to {milliseconds(float(beyond[-1]))}")
    if width < WIDE_FROM:
        return [(line, "") for line in (_fitting(latency.title, width), median, *notes)]
    return [(_fitting(latency.title, width / 2), median), ("; ".join(notes), "")]


def _fitting(title: str, room: float) -> str:
    return shorten(title, length=int(room / _LABEL_PX))


def _body_axis(latencies: Sequence[Latency], width: float) -> LinearAxis:
    low = min(float(latency.pooled[0]) for latency in latencies)
    high = max(_fence(latency.pooled) for latency in latencies)
    margin = max(0.04 * (high - low), 0.01 * high)
    return LinearAxis(max(0.0, low - margin), high + margin, 8, width - 8)


def _fence(samples: NDArray[np.float64]) -> float:
    lower, upper = np.quantile(samples, (0.25, 0.75))
    return float(min(samples[-1], upper + FENCE * (upper - lower)))


def _draw_histogram(drawing: Drawing, latency: Latency, axis: LinearAxis, *, base: float) -> None:
    top = base - _HISTOGRAM + 12
    for value, _ in axis.ticks(6):
        drawing.line((axis.place(value), top), (axis.place(value), base), "grid")
    drawing.polyline(_steps(latency.pooled, axis, base=base, height=base - top - 4), f"area {latency.colour}")
    left, right = (axis.place(bound) for bound in latency.p50_ci95_ms)
    drawing.rectangle((left, top), max(right - left, 1), base - top, f"band {latency.colour}")
    middle = axis.place(latency.p50_ms)
    drawing.line((middle, top - 4), (middle, base), "median")
    drawing.line((axis.start, base), (axis.end, base), "axis")


def _steps(samples: NDArray[np.float64], axis: LinearAxis, *, base: float, height: float) -> list[Point]:
    """Return the outline of the histogram in pixels; the highest bin has the whole height."""
    bins = int((axis.end - axis.start) // _BIN_PX)
    counts, edges = np.histogram(samples, bins=bins, range=(axis.low, axis.high))
    tops = base - height * counts / max(1, int(counts.max()))
    points = [(axis.start, base)]
    for index, top in enumerate(tops.tolist()):
        points += [(axis.place(float(edges[index])), top), (axis.place(float(edges[index + 1])), top)]
    return [*points, (axis.end, base)]


def draw_ecdf(latencies: Sequence[Latency], *, width: float) -> Drawing:
    """Return the cumulative distributions on a logarithmic axis from the shortest to the longest sample.

    Thick: all samples of a model. Thin: each process alone.
    """
    legend = 20 * len(latencies)
    bottom = legend + 210.0
    drawing = Drawing(width, bottom + 38, title="Cumulative distributions of latency")
    across = _whole_axis(latencies, width)
    up = LinearAxis(0, 1, bottom, legend + 14)
    _draw_frame(drawing, across, up)
    for row, latency in enumerate(latencies):
        drawing.line((_LEFT, 20 * row + 12), (_LEFT + 22, 20 * row + 12), f"curve {latency.colour}")
        drawing.text((_LEFT + 30, 20 * row + 16), _fitting(latency.title, width - _LEFT - 30), "label")
        for samples in latency.processes:
            drawing.polyline(_cumulative(samples, across, up), f"thin {latency.colour}")
        drawing.polyline(_cumulative(latency.pooled, across, up), f"curve {latency.colour}")
    drawing.text(((_LEFT + width) / 2, bottom + 34), "milliseconds, logarithmic", "small muted middle")
    return drawing


def _whole_axis(latencies: Sequence[Latency], width: float) -> LogAxis:
    low = min(float(latency.pooled[0]) for latency in latencies)
    high = max(float(latency.pooled[-1]) for latency in latencies)
    return LogAxis(low / 1.03, high * 1.03, _LEFT, width - 8)


def _draw_frame(drawing: Drawing, across: Axis, up: LinearAxis) -> None:
    for value, label in across.ticks(6):
        x = across.place(value)
        drawing.line((x, up.start), (x, up.end), "grid")
        drawing.text((x, up.start + 16), label, "small muted middle")
    for share in _SHARES:
        y = up.place(share)
        drawing.line((_LEFT, y), (drawing.width - 8, y), "grid")
        drawing.text((_LEFT - 6, y + 4), f"{100 * share:.0f} %", "small muted end")


def _cumulative(samples: NDArray[np.float64], across: Axis, up: LinearAxis) -> list[Point]:
    """Return the ECDF in pixels at 200 shares, denser in the upper tail; both ends are exact."""
    shares = np.unique(np.concatenate([np.linspace(0, 1, 121), np.linspace(0.9, 1, 81)]))
    values = np.quantile(samples, shares, method="inverted_cdf")
    return [(across.place(float(value)), up.place(float(share))) for value, share in zip(values, shares, strict=True)]
