"""Where measurements are kept: in a results folder that only grows, and in the run directory of the artifact."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill.bench.measurement import Measurement, Rehearsal, id_of, measurement_from_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedistill.bench.pair import PairRecording

RUN_PLACE = Path("bench") / "devices"
"""Measurements of a run's artifacts on devices, in its run directory."""


def results_folder() -> Path:
    """Return `$EDGEDISTILL_RESULTS`, or `~/.local/share/edgedistill/results`."""
    named = os.environ.get("EDGEDISTILL_RESULTS")
    return Path(named) if named else Path.home() / ".local" / "share" / "edgedistill" / "results"


def keep(found: Measurement | Rehearsal, folder: Path | None = None) -> Path:
    """Write a measurement into the results folder, and return its path. What is there is never changed.

    Args:
        found: named by its content, so that keeping it twice keeps it once.
        folder: none means `results_folder()`.
    """
    recording = found.recording
    kind = "" if isinstance(found, Measurement) else "rehearsal-"
    name = f"{kind}{_slug(recording.artifact.name)}-{_slug(recording.device.name)}-{found.id}.json"
    return _written_once(found, (folder or results_folder()) / f"{recording.started:%Y-%m}" / name)


def keep_in_run(measurement: Measurement, run_folder: Path) -> Path:
    """Write a measurement into a run directory, and return its path."""
    device = _slug(measurement.recording.device.name)
    return _written_once(measurement, run_folder / RUN_PLACE / f"{device}-{measurement.id}.json")


def keep_pair(found: PairRecording, folder: Path | None = None) -> Path:
    """Write the recording of two artifacts that took turns into the results folder, and return its path."""
    names = [_slug(artifact.name) for artifact in found.artifacts]
    name = f"pair-{names[0]}-{names[1]}-{_slug(found.device.name)}-{id_of(found)}.json"
    return _written_once(found, (folder or results_folder()) / f"{found.started:%Y-%m}" / name)


def measurements_in(folder: Path) -> Iterator[tuple[Path, Measurement]]:
    """Yield every measurement below a folder, oldest first; rehearsals and pairs are none.

    Raises:
        DataError: a file cannot be read.
    """
    paths = [path for path in folder.rglob("*.json") if not path.name.startswith(("rehearsal-", "pair-"))]
    found = [(path, measurement_from_file(path)) for path in sorted(paths)]
    yield from sorted(found, key=lambda item: item[1].recording.started)


def run_folder_of(artifact: Path) -> Path | None:
    """Return the run directory that an artifact lies in (`RUN/artifacts/NAME`); none where it was copied out."""
    run = artifact.resolve().parent.parent
    return run if artifact.resolve().parent.name == "artifacts" and (run / "summary.json").is_file() else None


def _written_once(found: Measurement | Rehearsal | PairRecording, path: Path) -> Path:
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(f".{os.getpid()}.partial")
    with beside.open("w", encoding="utf-8") as file:
        file.write(found.model_dump_json(by_alias=True))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(beside, path)  # fails where another process was faster, and never replaces
    except FileExistsError:
        pass
    finally:
        beside.unlink()
    return path


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:60] or "unnamed"
