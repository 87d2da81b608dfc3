"""A folder in which one job is done, however often it is killed: the same job goes on, another one is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from edgedistill.capture.json_text import Json, parsed_object, text_of
from edgedistill.durable import write_durably
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

JOB: Final = "job.json"
JOURNAL: Final = "answers.jsonl"
SUMMARY: Final = "summary.json"


def claim_folder(folder: Path, job: Mapping[str, object]) -> None:
    """Take a folder for a job, or go on with it.

    Args:
        folder: made where it is missing.
        job: what decides the result; limits of speed and cost do not.

    Raises:
        DataError: the folder holds another job, or other files.
    """
    path = folder / JOB
    if path.exists():
        found = parsed_object(path.read_bytes()) or {}
        wanted = json.loads(text_of(dict(job)))
        changed = sorted(key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key))
        if changed:
            key = changed[0]
            raise DataError(
                f"folder '{folder}'",
                found=f"another job: {key} is {found.get(key)!r:.100}, now {wanted.get(key)!r:.100}",
                fix="choose another folder, or remove this one",
            )
    elif folder.exists() and any(folder.iterdir()):
        raise DataError(f"folder '{folder}'", found="files that are not ours", wanted="a new folder")
    else:
        write_json(path, dict(job))


def write_json(path: Path, document: Json) -> None:
    """Write a JSON document for people and programs, whole or not at all."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    write_durably(path, f"{text}\n".encode("utf-8", "backslashreplace"))


def write_rows(path: Path, rows: Iterable[Mapping[str, object]]) -> int:
    """Write a JSONL file, whole or not at all; return its rows."""
    lines = [text_of(dict(row)) for row in rows]
    write_durably(path, "".join(f"{line}\n" for line in lines).encode())
    return len(lines)
