"""report.html: one page from a run directory's summary and the measurements it names, and from nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import ValidationError

from edgedistill.bench.records import ship_text
from edgedistill.durable import write_durably
from edgedistill.errors import DataError
from edgedistill.report import wording
from edgedistill.report.abstention_picture import draw_abstention
from edgedistill.report.confusion import MAX_CLASSES, confused_pairs, confusion_rows
from edgedistill.report.curve_picture import draw_accuracy, draw_loss
from edgedistill.report.device_sections import device_sections
from edgedistill.report.ladder_picture import draw_ladder
from edgedistill.report.samples import picture_in_run
from edgedistill.report.sensitivity_picture import draw_sensitivity
from edgedistill.report.table import ladder_rows
from edgedistill.report.verdict import headlines_of, state_of, verdict_of
from edgedistill.run.summary import FILE, summary_from_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from edgedistill.evaluate.executor import Execution
    from edgedistill.report.device_sections import DeviceSection
    from edgedistill.report.drawing import Drawing
    from edgedistill.run.summary import Confusion, FloatLayerRecord, Summary

    Picture = Mapping[str, Drawing]

PAGE: Final = "report.html"
# CSS classes of the screens on which a drawing shows, and its width in pixels there
_LADDER_PX: Final = {"wide": 1120, "medium": 690, "narrow": 330}
_LAYERS_PX: Final = {"wide medium": 690, "narrow": 330}


def write_report(run_folder: Path) -> Path:
    """Write `report.html` from `summary.json` and the measurements it names; return its path.

    The same summary and measurements give the same bytes. The page needs no network, no other file and no script.

    Raises:
        DataError: the summary or a measurement is missing or cannot be read.
        UnsafeFileError: a path of a measurement leaves the run directory.
    """
    summary = _summary_of(run_folder)
    devices = device_sections(summary, run_folder)
    path = run_folder / PAGE
    write_durably(path, page_from_summary(summary, devices, pictures=_pictures(summary, run_folder)).encode())
    return path


def _summary_of(run_folder: Path) -> Summary:
    try:
        return summary_from_file(run_folder / FILE)
    except (OSError, ValidationError) as error:
        raise DataError(
            f"run directory '{run_folder}'",
            found=f"{FILE} cannot be read: {error}",
            fix="`edgedistill run` writes it",
        ) from error


def _pictures(summary: Summary, run_folder: Path) -> dict[str, str]:
    """Return the pictures that a summary names, as data URIs, by their path."""
    names = [record.picture_file for record in summary.synthesis if record.picture_file is not None]
    return {name: picture_in_run(run_folder, name) for name in names}


def page_from_summary(
    summary: Summary, devices: tuple[DeviceSection, ...], *, pictures: Mapping[str, str] | None = None
) -> str:
    """Return the page as HTML, with pictures as data URIs by their path. Every text of the summary is escaped."""
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            summary=summary,
            verdict=verdict_of(summary),
            headlines=headlines_of(summary),
            ladder=ladder_rows(summary),
            ladder_picture=_ladder_picture(summary),
            executions=_executions(summary),
            devices=devices,
            layers=_layers(summary),
            pictures=pictures or {},
            curves=[(curve, draw_loss(curve), draw_accuracy(curve)) for curve in summary.curves if curve.points],
            abstentions=[(curve, draw_abstention(curve)) for curve in summary.abstention if curve.points],
            confusions=[
                (names, confusion_rows(item, summary.classes), confused_pairs(item, summary.classes))
                for names, item in _distinct(summary.confusion)
            ],
            max_classes=MAX_CLASSES,
            recipe=yaml.safe_dump(
                summary.recipe, sort_keys=False, allow_unicode=True, width=96, default_flow_style=None
            ),
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("edgedistill.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(_filters())
    return environment


def _filters() -> dict[str, Callable[..., str]]:
    return {
        "aligned": wording.aligned,
        "badge": wording.BADGES.__getitem__,
        "count": wording.count,
        "meaning": wording.MEANINGS.__getitem__,
        "model": wording.model_title,
        "ship": ship_text,
        "outputs": wording.outputs_text,
        "percent": wording.percent,
        "size": wording.size,
        "stage": wording.stage_title,
        "state": state_of,
        "steps": wording.steps,
    }


def _ladder_picture(summary: Summary) -> Picture:
    drawings = {screens: draw_ladder(summary, width=width) for screens, width in _LADDER_PX.items()}
    return {screens: drawing for screens, drawing in drawings.items() if drawing}


def _layers(summary: Summary) -> list[tuple[str, Picture, list[FloatLayerRecord]]]:
    """Return, for each spec, the picture of its layers and those that stay in float."""
    found: list[tuple[str, Picture, list[FloatLayerRecord]]] = []
    for spec in dict.fromkeys(item.spec for item in summary.sensitivity):
        records = [item for item in summary.sensitivity if item.spec == spec]
        floats = [item for item in summary.float_layers if item.spec == spec]
        drawn = {screens: draw_sensitivity(records, floats, width=width) for screens, width in _LAYERS_PX.items()}
        found.append((spec, drawn, floats))
    return found


def _distinct(confusions: Sequence[Confusion]) -> list[tuple[str, Confusion]]:
    """Return each different matrix once, with the names of all the stages that have it."""
    groups: dict[tuple[tuple[int, ...], ...], list[Confusion]] = {}
    for item in confusions:
        groups.setdefault(item.counts, []).append(item)
    return [(", ".join(wording.stage_title(item.stage) for item in group), group[0]) for group in groups.values()]


def _executions(summary: Summary) -> tuple[Execution, ...]:
    """Return the kinds of execution that the page shows, from the device to not run."""
    used = {rung.execution for rung in summary.ladder} | set(_compared(summary))
    used |= {record.execution for record in summary.latency} | {item.execution for item in summary.unsteady}
    used |= {item.execution for item in summary.instructions}
    return tuple(execution for execution in wording.BADGES if execution in used)


def _compared(summary: Summary) -> Iterator[Execution]:
    for parity in summary.parity:
        yield from (parity.reference_execution, parity.other_execution)
