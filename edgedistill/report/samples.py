"""Raw latency samples of a run directory, read as what they are: a file from outside."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import numpy as np

from edgedistill.errors import DataError, UnsafeFileError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MAX_BYTES: Final = 256 * 2**20
"""Largest file that is read: some ten million samples."""


def samples_from_file(run_folder: Path, name: str) -> tuple[NDArray[np.float64], ...]:
    """Return latency samples in milliseconds, one array (samples,) float64 for each process.

    Args:
        run_folder: the run directory.
        name: path, relative to it, of a JSON list of whole nanoseconds for each process.

    Raises:
        UnsafeFileError: the path leaves the run directory, or the file is larger than `MAX_BYTES`.
        DataError: the file is missing, or holds anything but positive whole numbers.
    """
    path = _path_inside(run_folder, name)
    try:
        processes = _processes(json.loads(path.read_text("utf-8")))
    except ValueError as error:
        raise DataError(
            f"latency samples '{name}'",
            found=f"cannot be read: {error}",
            wanted="a JSON list of whole nanoseconds above 0 for each process",
            fix="run the bench stage again",
        ) from error
    return tuple(samples_ns / 1e6 for samples_ns in processes)


def _path_inside(run_folder: Path, name: str) -> Path:
    root = run_folder.resolve()
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        raise UnsafeFileError(f"latency samples '{name}'", found="a path out of the run directory")
    if not path.is_file():
        raise DataError(f"latency samples '{name}'", found="the file does not exist", fix="run the bench stage again")
    if path.stat().st_size > MAX_BYTES:
        raise UnsafeFileError(
            f"latency samples '{name}'",
            found=f"{path.stat().st_size:,} bytes",
            wanted=f"at most {MAX_BYTES:,}",
        )
    return path


def _processes(document: object) -> list[NDArray[np.int64]]:
    if not isinstance(document, list) or not document:
        raise ValueError("no list of processes")
    return [_process(samples) for samples in document]


def _process(samples: object) -> NDArray[np.int64]:
    found = np.asarray(samples)
    if found.ndim != 1 or not np.issubdtype(found.dtype, np.integer) or found.size == 0 or found.min() <= 0:
        raise ValueError(f"a process with {found.shape} values of {found.dtype}")
    return found.astype(np.int64)
