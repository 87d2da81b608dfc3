"""A folder of files, one subfolder per class: which files there are, what they are called, which are for testing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.cache import cache_folder
from edgedistill.data.split import test_members
from edgedistill.data.whole_file import written_whole
from edgedistill.errors import DataError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edgedistill.data.checks import Split


@dataclass(frozen=True)
class FileKind:
    """One kind of files.

    Args:
        name: of the data source, and of the cache's subfolder: "image-folder".
        suffixes: of its files, in lower case: ".png".
        decoder: returns what decodes them, with its version; part of the fingerprint.
    """

    name: str
    suffixes: tuple[str, ...]
    decoder: Callable[[], str]

    @property
    def files(self) -> str:
        """What they are called: "images"."""
        return "images" if self.name == "image-folder" else "sounds"


@dataclass(frozen=True)
class ClassFile:
    """One file.

    Args:
        path: where it is.
        name: its path in the folder, with forward slashes.
        label: name of its class.
        split: "train" or "test"; None where the folder has no such subfolders.
    """

    path: Path
    name: str
    label: str
    split: Split | None


def listed(folder: Path, kind: FileKind, *, thing: str) -> list[ClassFile]:
    """Return all files of a kind, sorted by name.

    Raises:
        DataError: the folder is empty, or a link leads out of it.
    """
    if not folder.is_dir():
        raise DataError(thing, found="no such folder")
    subfolders = {path.name for path in folder.iterdir() if path.is_dir()}
    files: list[ClassFile] = []
    if _has_splits(folder, subfolders, kind, thing=thing):
        files += _files_below(folder, folder / "train", "train", kind, thing=thing)
        files += _files_below(folder, folder / "test", "test", kind, thing=thing)
    else:
        files += _files_below(folder, folder, None, kind, thing=thing)
    if not files:
        raise DataError(
            thing,
            found=f"no {kind.files}; its subfolders: {', '.join(sorted(subfolders)) or 'none'}",
            wanted=f"train/CLASS/* and test/CLASS/*, or CLASS/*, with {', '.join(kind.suffixes)}",
        )
    return sorted(files, key=lambda file: file.name)


def class_names(found: set[str], chosen: tuple[str, ...], *, thing: str) -> tuple[str, ...]:
    """Return the classes in label order: those chosen, which must be those found, else those found, sorted.

    Raises:
        DataError: a class is chosen and not found, or found and not chosen.
    """
    if not chosen:
        return tuple(sorted(found))
    unknown = sorted(set(chosen) - found)
    if unknown:
        raise DataError(thing, found=f"no class '{unknown[0]}'", fix=nearest(unknown[0], found))
    unnamed = sorted(found - set(chosen))
    if unnamed:
        raise DataError(
            thing,
            found=f"class folders that 'data.classes' does not name: {', '.join(unnamed)}",
            fix="name them too, or move them out of the folder",
        )
    return chosen


def of_split(files: list[ClassFile], names: tuple[str, ...], split: Split) -> list[ClassFile]:
    """Return the files of one split; where the folder has none, a fifth of each class is for testing."""
    if files[0].split is not None:
        return [file for file in files if file.split == split]
    labels = np.array([names.index(file.label) for file in files], np.int64)
    in_test = test_members(labels, [file.name for file in files])
    return [file for file, test in zip(files, in_test, strict=True) if test == (split == "test")]


def fingerprint(files: list[ClassFile], kind: FileKind) -> str:
    """Return the sha256 of all files' names and contents, and of what decodes them.

    The contents are read again only where a name, size or time of change is another than before.
    """
    states = hashlib.sha256(kind.decoder().encode())
    for file in files:
        state = file.path.stat()
        states.update(f"{file.path.absolute()}|{state.st_size}|{state.st_mtime_ns}\n".encode())
    known = cache_folder() / kind.name / f"{states.hexdigest()}.sha256"
    if not known.exists():
        with written_whole(known) as path:
            path.write_text(_content_hash(files, kind))
    return known.read_text("ascii")


def _content_hash(files: list[ClassFile], kind: FileKind) -> str:
    digest = hashlib.sha256(kind.decoder().encode())
    for file in files:
        with file.path.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        digest.update(f"{file.name}|{content}\n".encode())
    return digest.hexdigest()


def _has_splits(folder: Path, subfolders: set[str], kind: FileKind, *, thing: str) -> bool:
    """Return whether the subfolders are train and test; a class may be called "train" as well.

    Raises:
        DataError: it is not clear which of the two is meant.
    """
    if "train" not in subfolders or any(path.suffix.lower() in kind.suffixes for path in (folder / "train").iterdir()):
        return False
    if subfolders != {"train", "test"}:
        raise DataError(
            thing,
            found=f"a subfolder 'train' with subfolders of its own, beside: {', '.join(sorted(subfolders))}",
            wanted="train/CLASS/* and test/CLASS/* and nothing else, or CLASS/*",
        )
    return True


def _files_below(root: Path, folder: Path, split: Split | None, kind: FileKind, *, thing: str) -> Iterator[ClassFile]:
    """Give the files of every class below a folder, which may be missing."""
    inside = root.resolve()
    for path in folder.glob("*/**/*"):
        if path.suffix.lower() not in kind.suffixes or not path.is_file():
            continue
        name = path.relative_to(root).as_posix()
        if not path.resolve().is_relative_to(inside):
            raise DataError(
                thing,
                found=f"'{name}' is a link out of the folder, to '{path.resolve()}'",
                fix="copy the file into the folder",
            )
        yield ClassFile(path, name, path.relative_to(folder).parts[0], split)
