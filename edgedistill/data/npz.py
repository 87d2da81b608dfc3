"""Samples in a numpy archive: arrays `x`, `y` (one class a sample, or a mask) and optionally `split`."""

from __future__ import annotations

import hashlib
import math
import zipfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import numpy as np

from edgedistill.data.checks import RawSplit, checked_labels, numbered_classes, refuse_large
from edgedistill.data.masks import AXES, strata
from edgedistill.data.split import test_members
from edgedistill.errors import DataError, UnsafeFileError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from edgedistill.data.checks import Split


def read(path: Path, split: Split, *, classes: tuple[str, ...]) -> RawSplit:
    """Return one split of an archive.

    `split` holds "train" and "test", or 0 and 1. Without it, a fifth of each class is for testing. Without
    class names the classes are "0" to the highest label of both splits.

    Raises:
        DataError: the file cannot be read, lacks an array, or an array has another form.
        UnsafeFileError: an array is a pickle, which could run code.
        ResourceError: the arrays are too large.
    """
    thing = f"'npz:{path}'"
    with _opened(path, thing=thing) as archive:
        _refuse_large_archive(archive, thing=thing)
        raw, labels = _array(archive, "x", thing=thing), _array(archive, "y", thing=thing)
        marks = _array(archive, "split", thing=thing) if "split.npy" in archive.namelist() else None
    if labels.ndim not in (1, AXES) or not raw.ndim or len(raw) != len(labels):
        wanted = "x (n, ...) and y (n,), or masks y (n, height, width)"
        raise DataError(thing, found=f"x {raw.shape} and y {labels.shape}", wanted=wanted)
    names = classes or numbered_classes(labels, thing=thing)
    whole = checked_labels(labels, len(names), thing=thing)
    in_test = _drawn_split(whole) if marks is None else _marked_split(marks, len(whole), thing=thing)
    members = np.flatnonzero(in_test == (split == "test"))
    return RawSplit(raw[members], whole[members], names, fingerprint(path), members)


def fingerprint(path: Path) -> str:
    """Return the sha256 of the file.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"'npz:{path}'", found=error.strerror or str(error)) from error


@contextmanager
def _opened(path: Path, *, thing: str) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except OSError as error:
        raise DataError(thing, found=error.strerror or str(error)) from error
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        fix = "write it with numpy.savez"
        raise DataError(thing, found=f"no readable .npz archive: {error}", fix=fix) from error


def _refuse_large_archive(archive: zipfile.ZipFile, *, thing: str) -> None:
    refuse_large(sum(member.file_size for member in archive.infolist()), thing=thing)


def _array(archive: zipfile.ZipFile, name: str, *, thing: str) -> NDArray[np.generic]:
    """Return one array; its header is compared with the member's size before memory is taken for it."""
    names = [member.removesuffix(".npy") for member in archive.namelist()]
    if name not in names:
        raise DataError(thing, found=f"no array '{name}'", fix=nearest(name, names))
    member = archive.getinfo(f"{name}.npy")
    with archive.open(member) as stream:
        shape, dtype = _header(stream, thing=f"{thing}, array '{name}'")
        if math.prod(shape) * dtype.itemsize > member.file_size:
            found = f"array '{name}' is cut off: {dtype} {shape} in {member.file_size} bytes"
            raise DataError(thing, found=found)
    with archive.open(member) as stream:
        values: NDArray[np.generic] = np.lib.format.read_array(stream, allow_pickle=False)
    return values


def _header(stream: IO[bytes], *, thing: str) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    """Return shape and dtype of an array in .npy format, versions 1 and 2."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise DataError(thing, found=f".npy format {version}", wanted="version 1 or 2")
    if dtype.hasobject:
        raise UnsafeFileError(
            thing,
            found="pickled Python objects, which could run code when they are read",
            wanted="an array of numbers",
            fix="convert it before saving: numpy.asarray(values, dtype='float32')",
        )
    return shape, dtype


def _drawn_split(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    return test_members(strata(labels), [str(index) for index in range(len(labels))])


def _marked_split(marks: NDArray[np.generic], count: int, *, thing: str) -> NDArray[np.bool_]:
    """Return which samples are marked for testing."""
    if marks.shape != (count,):
        raise DataError(thing, found=f"split {marks.shape}", wanted=f"split ({count},)")
    train, test = ("train", "test") if marks.dtype.kind == "U" else (0, 1)
    in_test: NDArray[np.bool_] = np.asarray(marks == test)
    unknown = ~(in_test | np.asarray(marks == train))
    if unknown.any():
        first = int(np.argmax(unknown))
        found = f"split {marks[first]!s} of sample {first}"
        raise DataError(thing, found=found, wanted='"train" or "test", or 0 or 1')
    return in_test
