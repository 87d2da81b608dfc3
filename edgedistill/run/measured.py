"""Measurements of a run's artifacts on devices: kept in the run directory, and part of its summary and page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedistill.bench.latency import LatencyRecord, UnsteadyRecord
from edgedistill.bench.records import record_of
from edgedistill.bench.results import RUN_PLACE, keep_in_run, measurements_in
from edgedistill.durable import write_durably
from edgedistill.run.summary import FILE, summary_from_file

if TYPE_CHECKING:
    from pathlib import Path

    from edgedistill.bench.measurement import Measurement


def measured_on_devices(run_folder: Path) -> list[LatencyRecord | UnsteadyRecord]:
    """Return the records of every measurement that was added to a run, oldest first.

    Raises:
        DataError: a file among them is no measurement.
    """
    return [
        record_of(measurement, model=measurement.title, file=path.relative_to(run_folder).as_posix())
        for path, measurement in measurements_in(run_folder / RUN_PLACE)
    ]


def add_to_run(measurement: Measurement, run_folder: Path) -> Path:
    """Keep a measurement in a run directory, put it into its summary, draw its page again, and return the file.

    Raises:
        DataError: the page's data cannot be read.
    """
    path = keep_in_run(measurement, run_folder)
    summary = summary_from_file(run_folder / FILE)
    measured = measured_on_devices(run_folder)
    place = RUN_PLACE.as_posix() + "/"
    own = [item for item in summary.latency if not item.measurement_file.startswith(place)]
    own_unsteady = [item for item in summary.unsteady if not item.measurement_file.startswith(place)]
    changed = summary.model_copy(
        update={
            "latency": (*own, *(item for item in measured if isinstance(item, LatencyRecord))),
            "unsteady": (*own_unsteady, *(item for item in measured if isinstance(item, UnsteadyRecord))),
        }
    )
    write_durably(run_folder / FILE, changed.model_dump_json(indent=1).encode())
    if (run_folder / "report.html").is_file():
        from edgedistill.report.page import write_report  # noqa: PLC0415 - loads jinja2

        write_report(run_folder)
    return path
