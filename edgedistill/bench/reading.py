"""Reads recordings that come from outside: a runner's output, a phone's log, a file somebody sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydantic import ValidationError

from edgedistill.bench.recording import SCHEMA, Recording
from edgedistill.errors import DataError, UnsafeFileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LARGEST_BYTES = 512 * 2**20
MOST_PROBLEMS = 3
NAME = SCHEMA.partition("/")[0]
"""What a line with a recording holds; Android writes the stroke behind it as `\\/`."""
MOST_OBJECTS = 64
"""Objects that one line is searched for; a log prefix may hold braces of its own."""


def recordings_from_file(path: Path) -> list[Recording]:
    """Return every recording in a file, in order.

    Raises:
        DataError: there is none, or one is not what the schema says.
        UnsafeFileError: the file is larger than `LARGEST_BYTES`.
    """
    thing = f"measurement '{path}'"
    try:
        size = path.stat().st_size
        if size > LARGEST_BYTES:
            raise UnsafeFileError(thing, found=f"{size:,} bytes", wanted=f"at most {LARGEST_BYTES:,}")
        text = path.read_text("utf-8", errors="replace")
    except OSError as error:
        raise DataError(thing, found=str(error.strerror)) from error
    return recordings_from_text(text, thing=thing)


def recordings_from_text(text: str, *, thing: str) -> list[Recording]:
    """Return every recording in a text: the whole text is one, or each is on a line of its own.

    Before it, on its line, may stand what a log puts there (`11-24 02:40 I/bench: {...}`); around it the envelope of
    a runner (`{"ok": true, "result": {...}}`). All other lines are passed over.

    Args:
        text: of a file, a log, or a command's output.
        thing: how an error calls it.

    Raises:
        DataError: there is no recording, or one is not what the schema says.
    """
    documents = list(_documents(text))
    if not documents:
        raise DataError(
            thing,
            found=f"no line with a JSON document of schema {SCHEMA}",
            wanted="what a runner's `bench` prints",
            fix="`edgedistill schema --measurement` prints the format",
        )
    return [recording_from_document(document, thing=thing) for document in documents]


def recording_from_document(document: object, *, thing: str) -> Recording:
    """Return the recording that a JSON document is.

    Raises:
        DataError: it is not what the schema says.
    """
    try:
        # from JSON, where strict means that text is no number and 1 is no `true`
        return Recording.model_validate_json(json.dumps(document), strict=True)
    except ValidationError as error:
        raise DataError(thing, found=_problems(error), wanted=f"schema {SCHEMA}") from error


def _problems(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_input=False)
    first = [f"{'.'.join(map(str, item['loc'])) or 'document'}: {item['msg']}" for item in problems[:MOST_PROBLEMS]]
    more = len(problems) - len(first)
    return "; ".join(first) + (f"; and {more} more" if more else "")


def _documents(text: str) -> Iterator[object]:
    try:
        yield from _recordings_in(json.loads(text))
    except ValueError:
        for line in text.splitlines():
            if NAME in line:
                yield from _in_line(line)


def _in_line(line: str) -> Iterator[object]:
    """Yield the recordings of the first JSON object on a line that holds one."""
    decoder, place = json.JSONDecoder(), line.find("{")
    for _ in range(MOST_OBJECTS):
        if place < 0:
            return
        try:
            document, _ = decoder.raw_decode(line, place)
        except (ValueError, RecursionError):
            place = line.find("{", place + 1)
            continue
        found = list(_recordings_in(document))
        if found:
            yield from found
            return
        place = line.find("{", place + 1)


def _recordings_in(document: object) -> Iterator[object]:
    """Yield a document that calls itself a recording, or those inside a runner's envelope."""
    if not isinstance(document, dict):
        return
    if document.get("schema") == SCHEMA:
        yield document
        return
    result = document.get("result")
    for item in result if isinstance(result, list) else [result]:
        if isinstance(item, dict) and item.get("schema") == SCHEMA:
            yield item
