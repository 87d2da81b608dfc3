"""The report's latencies, device by device: distributions, time, and accuracy against latency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edgedistill.report.interval import wilson_interval
from edgedistill.report.latency_picture import Latency, draw_ecdf, draw_histograms
from edgedistill.report.samples import measurement_in_run, steady_ms
from edgedistill.report.table import ACCURACY
from edgedistill.report.timeline_picture import draw_timeline
from edgedistill.report.tradeoff_picture import Choice, draw_tradeoff
from edgedistill.report.wording import model_title, size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edgedistill.bench.latency import LatencyRecord, UnsteadyRecord
    from edgedistill.bench.measurement import Measurement
    from edgedistill.evaluate.executor import Execution
    from edgedistill.report.drawing import Drawing
    from edgedistill.run.summary import Rung, Summary

    Picture = Mapping[str, Drawing]

HALF_PX: Final = {"wide": 545, "medium narrow": 330}
INT8_COLOURS: Final = ("c-int8", "c-other", "c-alone", "c-teacher")


@dataclass(frozen=True)
class DeviceSection:
    """Everything that was measured on one machine.

    Args:
        name: how it is addressed.
        execution: what it is.
        facts: names and values of what it said of itself.
        rows: its latencies.
        unsteady: measurements that ended without a number.
        distributions: histograms and cumulative distributions, for each kind of screen.
        timelines: one for each measurement.
        tradeoff: accuracy against latency; none below two models.
    """

    name: str
    execution: Execution
    facts: tuple[tuple[str, str], ...]
    rows: tuple[LatencyRecord, ...]
    unsteady: tuple[UnsteadyRecord, ...]
    distributions: tuple[Picture, ...]
    timelines: tuple[Picture, ...]
    tradeoff: Picture | None


def device_sections(summary: Summary, run_folder: Path) -> tuple[DeviceSection, ...]:
    """Return one section for each machine, in the order of the summary.

    Raises:
        DataError: a measurement is missing or cannot be read.
        UnsafeFileError: its path leaves the run directory.
    """
    records: list[LatencyRecord | UnsteadyRecord] = [*summary.latency, *summary.unsteady]
    colours = _colours(summary.latency)
    names = dict.fromkeys(record.device for record in records)
    return tuple(
        _section([record for record in records if record.device == name], summary, run_folder, colours)
        for name in names
    )


def _colours(records: Sequence[LatencyRecord]) -> dict[str, str]:
    """Return a colour for each model, the same on every machine."""
    others = [model for model in dict.fromkeys(record.model for record in records) if model != "student-fp32"]
    chosen = {model: INT8_COLOURS[index % len(INT8_COLOURS)] for index, model in enumerate(others)}
    return {"student-fp32": "c-student", **chosen}


def _section(
    records: Sequence[LatencyRecord | UnsteadyRecord], summary: Summary, run_folder: Path, colours: Mapping[str, str]
) -> DeviceSection:
    from edgedistill.bench.latency import LatencyRecord, UnsteadyRecord  # noqa: PLC0415 - needed to tell them apart

    measured = [measurement_in_run(run_folder, record.measurement_file) for record in records]
    rows = [(item, found) for item, found in zip(records, measured, strict=True) if isinstance(item, LatencyRecord)]
    latencies = [_latency(record, found, colours) for record, found in rows]
    return DeviceSection(
        name=records[0].device,
        execution=records[0].execution,
        facts=_facts(measured[0]),
        rows=tuple(record for record, _ in rows),
        unsteady=tuple(record for record in records if isinstance(record, UnsteadyRecord)),
        distributions=_distributions(latencies),
        timelines=tuple(
            _timeline(found, title=model_title(record.model), colour=colours.get(record.model, "c-other"))
            for record, found in zip(records, measured, strict=True)
        ),
        tradeoff=_tradeoff(rows, summary, colours),
    )


def _latency(record: LatencyRecord, measurement: Measurement, colours: Mapping[str, str]) -> Latency:
    return Latency(
        title=model_title(record.model),
        colour=colours[record.model],
        processes=steady_ms(measurement),
        p50_ms=record.p50_ms,
        p50_ci95_ms=record.p50_ci95_ms,
    )


def _distributions(latencies: Sequence[Latency]) -> tuple[Picture, ...]:
    if not latencies:
        return ()
    return tuple(
        {screens: draw(latencies, width=width) for screens, width in HALF_PX.items()}
        for draw in (draw_histograms, draw_ecdf)
    )


def _timeline(measurement: Measurement, *, title: str, colour: str) -> Picture:
    return {
        screens: draw_timeline(measurement, title=title, colour=colour, width=width)
        for screens, width in HALF_PX.items()
    }


def _tradeoff(
    rows: Sequence[tuple[LatencyRecord, Measurement]], summary: Summary, colours: Mapping[str, str]
) -> Picture | None:
    possible = [_choice(record, found, summary, colours[record.model]) for record, found in rows]
    choices = [choice for choice in possible if choice is not None]
    if len({choice.title for choice in choices}) < 2:  # noqa: PLR2004 - one model is no choice
        return None
    return {screens: draw_tradeoff(choices, width=width) for screens, width in HALF_PX.items()}


def _choice(record: LatencyRecord, measurement: Measurement, summary: Summary, colour: str) -> Choice | None:
    accuracy = _accuracy(record, measurement, summary)
    if accuracy is None:
        return None
    return Choice(
        title=model_title(record.model),
        colour=colour,
        latency_ms=record.p50_ms,
        latency_ci95_ms=record.p50_ci95_ms,
        accuracy=accuracy[0],
        accuracy_ci95=wilson_interval(*accuracy),
    )


def _accuracy(record: LatencyRecord, measurement: Measurement, summary: Summary) -> tuple[float, int] | None:
    """Return a share and its n: measured on that device, else what the ladder says of the same model."""
    own = measurement.recording.accuracy
    if own is not None and own.metric == ACCURACY:
        return own.value, own.n
    found = [rung for rung in summary.ladder if _is_of(rung, record.model) and rung.metric == ACCURACY]
    return next(((rung.value, rung.n) for rung in found if rung.value is not None), None)


def _is_of(rung: Rung, model: str) -> bool:
    return rung.stage == "student" if model == "student-fp32" else rung.stage == "artifact" and rung.target == model


def _facts(measurement: Measurement) -> tuple[tuple[str, str], ...]:
    device = measurement.recording.device
    listed = {
        "Model": device.model,
        "Processor": device.soc,
        "Cores": None if device.cores is None else f"{device.cores}, {device.machine or 'unknown'}",
        "Memory": None if device.memory_bytes is None else size(device.memory_bytes),
        "System": device.os,
        "Governor": device.governor,
        "Power mode": device.power_mode,
        "Ambient": None if device.ambient_c is None else f"{device.ambient_c:g} \N{DEGREE SIGN}C",
    }
    return tuple((name, value) for name, value in listed.items() if value)
