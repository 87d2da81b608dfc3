"""Measurements of a run directory, read as what they are: files from outside."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

import numpy as np

from edgedistill.bench.measurement import Measurement, measurement_from_file
from edgedistill.errors import DataError, UnsafeFileError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MAX_BYTES: Final = 512 * 2**20
"""Largest file that is read: some thirty million samples."""

MAX_PICTURE_BYTES: Final = 32 * 2**20
PNG: Final = b"\x89PNG\r\n\x1a\n"


def measurement_in_run(run_folder: Path, name: str) -> Measurement:
    """Return a measurement of a run directory.

    Args:
        run_folder: the run directory.
        name: path relative to it.

    Raises:
        UnsafeFileError: the path leaves the run directory, or the file is larger than `MAX_BYTES`.
        DataError: the file is missing, or is no measurement.
    """
    thing = f"measurement '{name}'"
    return measurement_from_file(_file_in_run(run_folder, name, thing=thing, stage="bench", max_bytes=MAX_BYTES))


def picture_in_run(run_folder: Path, name: str) -> str:
    """Return a PNG of a run directory as a data URI.

    Args:
        run_folder: the run directory.
        name: path relative to it.

    Raises:
        UnsafeFileError: the path leaves the run directory, or the file is larger than `MAX_PICTURE_BYTES`.
        DataError: the file is missing, or is no PNG.
    """
    thing = f"picture '{name}'"
    content = _file_in_run(run_folder, name, thing=thing, stage="teach", max_bytes=MAX_PICTURE_BYTES).read_bytes()
    if not content.startswith(PNG):
        raise DataError(thing, found="no PNG")
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def steady_ms(measurement: Measurement) -> tuple[NDArray[np.float64], ...]:
    """Return the samples of each process from its steady state on, in milliseconds; none of those without one."""
    pairs = zip(measurement.recording.processes, measurement.analysis.processes, strict=True)
    return tuple(
        np.asarray(process.samples_ns[finding.begins :], np.float64) / 1e6
        for process, finding in pairs
        if finding.begins is not None
    )


def _file_in_run(run_folder: Path, name: str, *, thing: str, stage: str, max_bytes: int) -> Path:
    """Return the path of a file that lies in the run directory and is not too large.

    Raises:
        UnsafeFileError: the path leaves the run directory, or the file is too large.
        DataError: the file is missing.
    """
    root = run_folder.resolve()
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        raise UnsafeFileError(thing, found="a path out of the run directory")
    if not path.is_file():
        raise DataError(thing, found="the file does not exist", fix=f"run the {stage} stage again")
    if path.stat().st_size > max_bytes:
        raise UnsafeFileError(thing, found=f"{path.stat().st_size:,} bytes", wanted=f"at most {max_bytes:,}")
    return path
