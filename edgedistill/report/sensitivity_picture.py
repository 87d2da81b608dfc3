"""Each layer's effect on the outputs: one row a layer, the noisiest seen at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edgedistill.report.axis import LinearAxis
from edgedistill.report.drawing import Drawing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedistill.run.summary import FloatLayerRecord, SensitivityRecord

_ROW: Final = 22
_TOP: Final = 34
_CHARACTER_PX: Final = 6.6
_NAMES: Final = 0.32  # share of the width for the layers' names
MAX_ROWS: Final = 40


def draw_sensitivity(
    records: Sequence[SensitivityRecord], float_layers: Sequence[FloatLayerRecord] = (), *, width: float
) -> Drawing:
    """Return a dot a layer: signal to noise of the outputs, in dB, with that layer alone quantized.

    Beyond `MAX_ROWS` layers the noisiest are shown, in the order of the model.

    Args:
        records: of one spec, at least one.
        float_layers: of the same spec; drawn hollow.
        width: in CSS pixels.
    """
    noisiest = sorted(records, key=lambda item: item.alone_sqnr_db)[:MAX_ROWS]
    shown = [item for item in records if item in noisiest]
    kept = {item.node for item in float_layers}
    left = round(width * _NAMES)
    drawing = Drawing(
        width, _TOP + _ROW * len(shown) + 44, title="signal to quantization noise of the outputs by layer, in dB"
    )
    bottom = _TOP + _ROW * len(shown)
    across = _axis([item.alone_sqnr_db for item in shown], start=left, end=width - 16)
    for value, label in across.ticks(int(width // 90)):
        drawing.line((across.place(value), _TOP - 8), (across.place(value), bottom), "grid")
        drawing.text((across.place(value), bottom + 18), label, "small muted middle")
    drawing.text((0, 16), "layer", "label")
    drawing.text((width - 10, 16), "noise falls →", "small muted end")
    drawing.text(((left + width) / 2, bottom + 38), "signal to noise of the outputs, dB", "small muted middle")
    for row, item in enumerate(shown):
        height = _TOP + _ROW * row + _ROW / 2
        drawing.text(
            (left - 12, height + 4), _short(item.layer or item.node, int((left - 12) / _CHARACTER_PX)), "small end"
        )
        drawing.line((left, height), (across.place(item.alone_sqnr_db), height), "grid")
        style = "ring c-student" if item.node in kept else "dot c-int8"
        drawing.circle((across.place(item.alone_sqnr_db), height), 4.5, style)
    return drawing


def _axis(values: Sequence[float], *, start: float, end: float) -> LinearAxis:
    low, high = min(values), max(values)
    margin = max(1.0, 0.06 * (high - low))
    return LinearAxis(low - margin, high + margin, start, end)


def _short(name: str, longest: int) -> str:
    return name if len(name) <= longest else f"…{name[1 - longest :]}"
