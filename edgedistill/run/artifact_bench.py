"""Measures a built artifact on devices, alone or against another one, and keeps what was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from edgedistill.bench.measurement import Measurement, Rehearsal
from edgedistill.bench.on_device import (
    Place,
    Settings,
    judged,
    measure_on_device,
    measure_pair_on_device,
    outputs_on_device,
    with_accuracy,
)
from edgedistill.bench.pair import Comparison, comparison_of
from edgedistill.bench.reading import recordings_from_text
from edgedistill.bench.recording import Accuracy
from edgedistill.bench.results import keep, keep_pair, results_folder, run_folder_of
from edgedistill.data.inputs import model_inputs
from edgedistill.devices import xcode
from edgedistill.devices.fleet import Ended, fleet, slug
from edgedistill.devices.inventory import listed, reached
from edgedistill.devices.jobs import Patience
from edgedistill.errors import EdgeDistillError, InputError
from edgedistill.evaluate.executor import Execution
from edgedistill.evaluate.metrics import accuracy
from edgedistill.progress import SILENT, Progress
from edgedistill.run.measured import add_to_run
from edgedistill.targets.folder import open_artifact

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgedistill.bench.recording import Recording
    from edgedistill.data.transfer_set import Samples
    from edgedistill.devices.fleet import Log
    from edgedistill.devices.inventory import Listed

CHUNK = 1000
ON: dict[Execution, Literal["device", "host", "emulated"]] = {
    Execution.DEVICE: "device",
    Execution.HOST: "host",
    Execution.EMULATED: "emulated",
}


@dataclass(frozen=True)
class Kept:
    """A measurement and where it is.

    Args:
        found: what it is; a rehearsal has no latency.
        file: in the results folder.
        run_folder: the run directory that the artifact lies in, where it was added; none where it lies in none.
    """

    found: Measurement | Rehearsal
    file: Path
    run_folder: Path | None


@dataclass(frozen=True)
class Compared:
    """Two artifacts compared on one device, and where the samples are."""

    found: Comparison
    file: Path


def measure_artifact(
    artifact: Path,
    devices: Sequence[str],
    settings: Settings,
    *,
    samples: Samples | None = None,
    progress: Progress = SILENT,
) -> list[Ended[Kept]]:
    """Measure an artifact on devices, all at once; one that fails does not stop the others.

    Args:
        artifact: its folder; every file is checked first.
        devices: addresses, or names of devices.toml.
        settings: how.
        samples: to compute the accuracy of on each device, before it is timed; none computes none.
        progress: told of each device that ended.

    Raises:
        UnsafeFileError: a file of the artifact is not the one that was built.
        InputError: a device's name or address is not known.
    """
    open_artifact(artifact)
    phones = [name for name in devices if name.startswith(xcode.PREFIX)]
    if phones and samples is not None:
        raise InputError(f"device '{phones[0]}'", found="an accuracy is asked for", wanted="a latency alone, on phones")
    items = [listed(name) for name in devices if name not in phones]

    def one(item: Listed, log: Log) -> Kept:
        place = _place(item, log, progress)
        found = None if samples is None else _accuracy(artifact, samples, place)
        recording = measure_on_device(artifact, place, settings)
        return _kept(recording if found is None else with_accuracy(recording, found), artifact)

    ends = fleet(items, one, logs=results_folder() / "logs", progress=progress, title="measure") if items else []
    for name in phones:
        ends += _on_phone(artifact, name, settings)
    for end in ends:  # one after the other: they write the same summary
        kept = end.value
        if kept is not None and kept.run_folder is not None and isinstance(kept.found, Measurement):
            add_to_run(kept.found, kept.run_folder)
    return ends


def _on_phone(artifact: Path, name: str, settings: Settings) -> list[Ended[Kept]]:
    """Return one measurement for each process and choice of compute units, or why there is none."""
    try:
        log = xcode.benchmark_log(
            artifact,
            name,
            processes=settings.processes,
            seconds=settings.seconds,
            samples=settings.samples,
            timeout_s=settings.max_seconds,
        )
        recordings = recordings_from_text(log, thing=f"the output of xcodebuild for '{name}'")
    except EdgeDistillError as error:
        return [Ended(name, error=error)]
    return [Ended(name, _kept(recording, artifact)) for recording in recordings]


def compare_artifacts(
    first: Path, second: Path, devices: Sequence[str], settings: Settings, *, progress: Progress = SILENT
) -> list[Ended[Compared]]:
    """Measure two artifacts in turns on devices, all at once; arguments and errors are those of `measure_artifact`."""
    for artifact in (first, second):
        open_artifact(artifact)

    def one(item: Listed, log: Log) -> Compared:
        recording = measure_pair_on_device(first, second, _place(item, log, progress), settings)
        return Compared(comparison_of(recording), keep_pair(recording))

    items = [listed(name) for name in devices]
    return fleet(items, one, logs=results_folder() / "logs", progress=progress, title="compare")


def _place(item: Listed, log: Log, progress: Progress) -> Place:
    into = results_folder() / "jobs" / slug(item.name)
    into.mkdir(parents=True, exist_ok=True)
    return Place(reached(item, progress=progress), into, Patience(busy_s=item.entry.busy_s), log)


def _accuracy(artifact: Path, samples: Samples, place: Place) -> Accuracy:
    _, manifest = open_artifact(artifact)
    parts = [
        model_inputs(samples.raw[start : start + CHUNK], manifest["preprocessing"], artifact)
        for start in range(0, len(samples), CHUNK)
    ]
    outputs = outputs_on_device(artifact, np.concatenate(parts), place)
    return Accuracy(
        metric="accuracy" if samples.gold else "agreement with the teacher",
        value=accuracy(outputs, samples.labels),
        n=len(samples),
        measured_on=ON[place.device.describe().execution],
    )


def _kept(recording: Recording, artifact: Path) -> Kept:
    found = judged(recording)
    run_folder = run_folder_of(artifact) if isinstance(found, Measurement) else None
    return Kept(found, keep(found), run_folder)
