"""Measurements as rows of text, and how two of them differ."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from edgedistill.bench.latency import UnsteadyRecord
from edgedistill.bench.records import label_of, main_energy, record_of, ship_text
from edgedistill.bench.student import student_quantile

if TYPE_CHECKING:
    from edgedistill.bench.measurement import Measurement, Quantile

HEADERS = ("artifact", "device", "p50 ms (95 %)", "p90 ms", "p99 ms", "first ms", "load ms", "memory", "n", "verdict")
CONFIDENCE = 0.99


def row_of(measurement: Measurement) -> tuple[str, ...]:
    """Return a row under `HEADERS`. Only a measurement of a real machine has one: the type of a rehearsal has not."""
    analysis, recording = measurement.analysis, measurement.recording
    if analysis.p50_ms is None or analysis.p50_ci95_ms is None:
        p50 = "no number"
    else:
        p50 = f"{analysis.p50_ms:.4g} ({analysis.p50_ci95_ms[0]:.4g}\N{EN DASH}{analysis.p50_ci95_ms[1]:.4g})"
    return (
        _named(measurement),
        f"{recording.device.name} ({recording.device.execution})",
        p50,
        *(
            ("n too small" if q is None or q.value_ms is None else f"{q.value_ms:.4g}")
            for q in (analysis.p90, analysis.p99)
        ),
        f"{analysis.first_inference_ms:.3g}",
        f"{analysis.cold_load_ms:.3g}",
        "" if analysis.peak_memory_bytes is None else f"{analysis.peak_memory_bytes / 1e6:.0f} MB",
        f"{analysis.n:,}",
        analysis.verdict,
    )


def remarks_on(measurement: Measurement) -> list[str]:
    """Return the lines below the table: where it ran, what it took, what to doubt."""
    energy = main_energy(measurement)
    own = measurement.recording.accuracy
    record = record_of(measurement, model=measurement.title, file="")
    shipped = "" if isinstance(record, UnsteadyRecord) else ship_text(record)
    return [
        f"{_named(measurement)} on {measurement.recording.device.name}: {label_of(measurement)}",
        *([f"  {own.metric} {own.value:.4f} of {own.n:,}, computed there"] if own else []),
        *([f"  {energy[1]:.3g} mJ an inference above idle, by {energy[0]}"] if energy else []),
        *([f"  {shipped}"] if shipped else []),
        *(f"  doubt: {rule}" for rule in measurement.analysis.failed_rules),
    ]


def _named(measurement: Measurement) -> str:
    return measurement.title + (f" ({measurement.beside})" if measurement.beside else "")


def _tail(quantile: Quantile | None) -> str:
    return "n too small" if quantile is None or quantile.value_ms is None else f"{quantile.value_ms:.4g}"


class Difference(NamedTuple):
    """How one measurement's median differs from another's.

    Args:
        ratio: second over first.
        interval99: of the ratio; none with fewer than two processes in one of them.
        verdict: `faster`, `slower`, `no difference`, or `cannot tell` without an interval.
    """

    ratio: float
    interval99: tuple[float, float] | None
    verdict: str


def difference(first: Measurement, second: Measurement) -> Difference | None:
    """Return how the second differs, from the medians of the processes; none where one has no number.

    The two were not measured in turns: what the machine did meanwhile is in the ratio. The interval is Welch's, on the
    logarithms of the processes' medians (Welch 1947, Biometrika 34).
    """
    if first.analysis.p50_ms is None or second.analysis.p50_ms is None:
        return None
    ratio = second.analysis.p50_ms / first.analysis.p50_ms
    parts = [
        [math.log(finding.p50_ms) for finding in item.analysis.processes if finding.p50_ms is not None]
        for item in (first, second)
    ]
    if min(map(len, parts)) < 2:  # noqa: PLR2004 - one process has no deviation
        return Difference(ratio, None, "cannot tell")
    errors = [_variance(part) / len(part) for part in parts]
    total = sum(errors)
    if total == 0:
        reach = 0.0
    else:
        degrees = total**2 / sum(error**2 / (len(part) - 1) for error, part in zip(errors, parts, strict=True))
        reach = student_quantile((1 + CONFIDENCE) / 2, degrees=max(1, math.floor(degrees))) * math.sqrt(total)
    low, high = ratio * math.exp(-reach), ratio * math.exp(reach)
    verdict = "faster" if high < 1 else "slower" if low > 1 else "no difference"
    return Difference(ratio, (low, high), verdict)


def _variance(values: list[float]) -> float:
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / (len(values) - 1)
