"""Latency over time, process after process, with temperature and frequency below where the machine shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from edgedistill.report.axis import LinearAxis
from edgedistill.report.drawing import Drawing
from edgedistill.report.wording import count, milliseconds, shorten, significant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgedistill.bench.measurement import Measurement
    from edgedistill.report.drawing import Point

    Floats = NDArray[np.float64]

_LEFT: Final = 66
_GAP_PX: Final = 6
_BIN_PX: Final = 3
_LATENCY: Final = 130
_LANE: Final = 52
_HEAD: Final = 36
_BODY: Final = (0.002, 0.99)
"""Quantiles between which the vertical axis lies; what is beyond is counted."""
LANES: Final = (("temperature_c", "\N{DEGREE SIGN}C"), ("frequency_mhz", "MHz"), ("power_w", "W"))
_LETTER_PX: Final = 7.2


@dataclass(frozen=True)
class _Stretch:
    """One process on the horizontal axis."""

    ends_s: Floats
    samples_ms: Floats
    left: float
    right: float
    begins: int | None
    label: str

    def place(self, seconds: Floats | float) -> Floats:
        """Return pixels of instants of this process."""
        share = np.asarray(seconds, np.float64) / max(float(self.ends_s[-1]), 1e-12)
        return np.asarray(self.left + np.clip(share, 0, 1) * (self.right - self.left), np.float64)


def draw_timeline(measurement: Measurement, *, title: str, colour: str, width: float) -> Drawing:
    """Return every sample of a measurement over time: the median and the middle 80 % of each few pixels.

    Args:
        measurement: processes stand beside each other, each as wide as the time it took.
        title: for people.
        colour: CSS class.
        width: in pixels.
    """
    stretches = _stretches(measurement, width)
    lanes = [(unit, lane) for quantity, unit in LANES if (lane := _lane(measurement, stretches, quantity))]
    bottom = _HEAD + _LATENCY
    drawing = Drawing(width, bottom + len(lanes) * _LANE + 40, title=f"Latency over time of {title}")
    up = _latency_axis(stretches)
    drawing.text((0, 13), shorten(title, length=int(width / 8.5)), "label")
    drawing.text((0, 29), _beyond(stretches, up), "small muted")
    for value, label in up.ticks(4):
        drawing.line((_LEFT, up.place(value)), (width, up.place(value)), "grid")
        drawing.text((_LEFT - 6, up.place(value) + 4), label, "small muted end")
    for index, stretch in enumerate(stretches):
        _draw_stretch(drawing, stretch, up, colour, number=index + 1)
    for row, (unit, lane) in enumerate(lanes):
        _draw_lane(drawing, lane, unit, top=bottom + row * _LANE + 10)
    seconds = sum(float(stretch.ends_s[-1]) for stretch in stretches)
    what = (
        f"{len(stretches)} {'process' if len(stretches) == 1 else 'processes'}, {significant(seconds)} s of inference"
    )
    drawing.text(((_LEFT + width) / 2, drawing.height - 6), what, "small muted middle")
    return drawing


def _stretches(measurement: Measurement, width: float) -> list[_Stretch]:
    samples = [np.asarray(process.samples_ns, np.float64) / 1e6 for process in measurement.recording.processes]
    ends = [np.cumsum(part) / 1e3 for part in samples]
    total = sum(float(part[-1]) for part in ends)
    room = width - _LEFT - _GAP_PX * (len(samples) - 1)
    found, left = [], float(_LEFT)
    for part, end, finding in zip(samples, ends, measurement.analysis.processes, strict=True):
        right = left + max(4.0, room * float(end[-1]) / total)
        found.append(_Stretch(end, part, left, min(right, width), finding.begins, str(finding.label)))
        left = right + _GAP_PX
    return found


def _latency_axis(stretches: Sequence[_Stretch]) -> LinearAxis:
    pooled = np.concatenate([stretch.samples_ms for stretch in stretches])
    low, high = np.quantile(pooled, _BODY)
    margin = max(0.08 * (high - low), 0.02 * high)
    return LinearAxis(max(0.0, float(low - margin)), float(high + margin), _HEAD + _LATENCY, _HEAD + 6)


def _beyond(stretches: Sequence[_Stretch], up: LinearAxis) -> str:
    above = [float(value) for stretch in stretches for value in stretch.samples_ms[stretch.samples_ms > up.high]]
    return f"milliseconds; {count(len(above))} above, up to {milliseconds(max(above))}" if above else "milliseconds"


def _draw_stretch(drawing: Drawing, stretch: _Stretch, up: LinearAxis, colour: str, *, number: int) -> None:
    bins = max(1, int((stretch.right - stretch.left) // _BIN_PX))
    owners = np.minimum((stretch.ends_s / stretch.ends_s[-1] * bins).astype(int), bins - 1)
    cuts = np.searchsorted(owners, np.arange(1, bins))
    parts = [part for part in np.split(stretch.samples_ms, cuts) if len(part)]
    places = [float(np.mean(part)) for part in np.split(stretch.place(stretch.ends_s), cuts) if len(part)]
    quantiles = [np.quantile(part, (0.1, 0.5, 0.9)) for part in parts]
    lower = [(x, _inside(up, float(q[0]))) for x, q in zip(places, quantiles, strict=True)]
    upper = [(x, _inside(up, float(q[2]))) for x, q in zip(places, quantiles, strict=True)]
    drawing.polyline([*lower, *reversed(upper)], f"spread {colour}")
    drawing.polyline([(x, _inside(up, float(q[1]))) for x, q in zip(places, quantiles, strict=True)], f"trace {colour}")
    drawing.line((stretch.left, up.start), (stretch.right, up.start), "axis")
    if stretch.begins:
        x = float(stretch.place(stretch.ends_s[min(stretch.begins, len(stretch.ends_s) - 1)]))
        drawing.line((x, up.end - 4), (x, up.start), "begins")
    caption = f"{number} {stretch.label}"
    if len(caption) * _LETTER_PX < stretch.right - stretch.left + _GAP_PX:
        drawing.text((stretch.left, up.start + 14), caption, "tiny muted")


def _inside(up: LinearAxis, value: float) -> float:
    return up.place(min(max(value, up.low), up.high))


def _lane(measurement: Measurement, stretches: Sequence[_Stretch], quantity: str) -> list[list[Point]]:
    """Return one line for each sensor and process: pixels across, values up; the first eight sensors at most."""
    lines = []
    for process, stretch in zip(measurement.recording.processes, stretches, strict=True):
        for trace in [trace for trace in process.traces if trace.quantity == quantity][:8]:
            at = np.asarray(trace.at_ns, np.float64) / 1e9
            inside = (at >= 0) & (at <= stretch.ends_s[-1])
            points = zip(stretch.place(at[inside]).tolist(), np.asarray(trace.values)[inside].tolist(), strict=True)
            line = list(points)
            if line:
                lines.append(line)
    return lines


def _draw_lane(drawing: Drawing, lines: Sequence[Sequence[Point]], unit: str, *, top: float) -> None:
    values = [value for line in lines for _, value in line]
    low, high = min(values), max(values)
    margin = max(0.15 * (high - low), 0.01 * abs(high), 1e-3)
    axis = LinearAxis(low - margin, high + margin, top + _LANE - 14, top + 8)
    for value in dict.fromkeys((low, high) if high - low > 4 * margin / 3 else (high,)):
        drawing.text((_LEFT - 6, axis.place(value) + 4), f"{significant(value)} {unit}", "tiny muted end")
    drawing.line((_LEFT, axis.start), (drawing.width, axis.start), "grid")
    for line in lines:
        drawing.polyline([(x, axis.place(value)) for x, value in line], "sensor")
