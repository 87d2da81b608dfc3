"""A file that only grows: one JSON object a line, whole or absent, whatever kills the process that writes it."""

from __future__ import annotations

import fcntl
import json
import os
from typing import TYPE_CHECKING, Self

from edgedistill.capture.json_text import parsed_object, text_of
from edgedistill.errors import DataError, ResourceError

if TYPE_CHECKING:
    from pathlib import Path

    from edgedistill.capture.json_text import Json


class Journal:
    """Entries of earlier processes, and a place for more. One process at a time writes it.

    What a killed process wrote stays: each entry reaches the operating system before `append` returns. A line that
    was torn by a crash of the whole machine is cut off.

    Args:
        path: the file; made with its folder where it is missing.

    Raises:
        ResourceError: another process has it open.
        DataError: a line in the middle is no JSON object: the file is not ours, or the disk is damaged.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("a+b", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise ResourceError(
                f"file '{path}'", found="another process writes to it", fix="wait for its end, or end it"
            ) from error
        try:
            self.entries = self._whole_entries()
        except DataError:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        os.fsync(self._file.fileno())
        self._file.close()

    def append(self, entry: Json) -> None:
        """Write one entry; it outlives this process from here on."""
        line = memoryview(text_of(entry).encode() + b"\n")
        while line:
            line = line[self._file.write(line) :]

    def _whole_entries(self) -> list[Json]:
        self._file.seek(0)
        content = self._file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            self._file.truncate(whole)
        return [self._entry(number, line) for number, line in enumerate(content[:whole].splitlines(), start=1)]

    def _entry(self, number: int, line: bytes) -> Json:
        entry = parsed_object(line)
        if entry is None:
            raise DataError(f"file '{self.path}', line {number}", found="no JSON object", fix="remove the file")
        return entry


def rows_of(path: Path, *, max_rows: int = 10_000_000) -> list[Json]:
    """Return the objects of a JSONL file from outside; empty lines are left out.

    Raises:
        DataError: the file is missing, is no UTF-8, or has a line that is no JSON object.
    """
    rows: list[Json] = []
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    rows.append(_row(path, number, line))
                if len(rows) > max_rows:
                    raise DataError(f"file '{path}'", found=f"more than {max_rows:,} rows")
    except OSError as error:
        raise DataError(f"file '{path}'", found=str(error.strerror), wanted="a JSONL file") from error
    except UnicodeDecodeError as error:
        raise DataError(f"file '{path}'", found=f"bytes that are no UTF-8: {error}", wanted="a JSONL file") from error
    return rows


def _row(path: Path, number: int, line: str) -> Json:
    row = parsed_object(line)
    if row is None:
        raise DataError(f"file '{path}', line {number}", found=_found(line), wanted="one JSON object a line")
    return row


def _found(line: str) -> str:
    try:
        return f"a JSON {type(json.loads(line)).__name__}"
    except ValueError as error:
        return f"no JSON: {error}"
    except RecursionError:
        return "JSON nested too deep"
