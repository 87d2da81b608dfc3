"""A run directory: one record per finished step, written atomically, and what each step left behind."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import shutil
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from edgedistill.durable import write_durably
from edgedistill.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


class StepRecord(BaseModel):
    """A step that is done: its key, what it wrote, what it found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    key: str
    outputs: dict[str, str] = Field(default_factory=dict)
    """Sha256 of every file it wrote, by path relative to the run directory."""
    result: dict[str, object] = Field(default_factory=dict)
    """What later steps and the summary need."""
    wall_s: float
    cpu_s: float
    resumed: bool = False
    """Whether it went on from where an earlier attempt was interrupted; the seconds are the last attempt's."""


class RunDirectory:
    """One run on disk.

    Args:
        folder: made when the first step writes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def work_folder(self, step: str) -> Path:
        """Return the folder in which a step keeps what it needs to go on after an interruption."""
        return self.folder / "work" / _slug(step)

    def done(self, step: str, key: str) -> StepRecord | None:
        """Return the record of a step that is done under this key and whose files are as it left them."""
        path = self._record_path(step)
        if not path.exists():
            return None
        try:
            record = StepRecord.model_validate_json(path.read_text("utf-8"))
        except ValueError:  # a file that somebody edited: do the step again
            return None
        if record.key != key or not self._intact(record):
            return None
        return record

    def interrupted(self, step: str, key: str) -> bool:
        """Tell whether an earlier attempt under this key began and did not end."""
        marker = self.work_folder(step) / "key"
        return marker.exists() and marker.read_text("utf-8") == key

    def begin(self, step: str, key: str) -> Path:
        """Mark a step as begun and return its work folder, emptied if the key is new."""
        folder = self.work_folder(step)
        if not self.interrupted(step, key):
            _remove_tree(folder)
            folder.mkdir(parents=True)
            write_durably(folder / "key", key.encode())
        return folder

    def finish(self, record: StepRecord, written: Sequence[Path]) -> StepRecord:
        """Record a step as done, with the hashes of what it wrote, and drop its work folder."""
        outputs = {path.relative_to(self.folder).as_posix(): _sha256(path) for path in written}
        complete = record.model_copy(update={"outputs": outputs})
        write_durably(self._record_path(record.name), complete.model_dump_json(indent=1).encode())
        _remove_tree(self.work_folder(record.name))
        return complete

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory for one process.

        Raises:
            InputError: another process holds it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InputError(
                    f"run directory '{self.folder}'",
                    found="another run is using it",
                    fix="wait for it, or choose another --folder",
                ) from error
            yield

    def write_text(self, name: str, text: str) -> Path:
        """Write a file of the run directory whole or not at all."""
        return self.write_bytes(name, text.encode())

    def write_bytes(self, name: str, content: bytes) -> Path:
        """Write a file of the run directory whole or not at all."""
        path = self.folder / name
        write_durably(path, content)
        return path

    def _record_path(self, step: str) -> Path:
        return self.folder / "steps" / f"{_slug(step)}.json"

    def _intact(self, record: StepRecord) -> bool:
        paths = ((self.folder / name, digest) for name, digest in record.outputs.items())
        return all(path.is_file() and _sha256(path) == digest for path, digest in paths)


def key_of(**parts: object) -> str:
    """Return the sha256 of named parts; each part must have a JSON form."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _slug(step: str) -> str:
    return "".join(character if character.isalnum() or character in "-._" else "-" for character in step)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove_tree(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
