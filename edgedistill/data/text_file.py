"""Texts in a file: JSON lines, or a table with a header line, separated by commas or tabs."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from typing import TYPE_CHECKING

from edgedistill.data.text_rows import TextRow
from edgedistill.errors import DataError, ResourceError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from edgedistill.data.checks import Split

MAX_BYTES = 2 << 30
COLUMNS = ("text", "label", "split", "teacher")


def read(path: Path) -> list[TextRow]:
    """Return the rows of a `.jsonl`, `.csv` or `.tsv` file, in its order.

    Every row has a `text`; it may have a `label` (a class name, or a whole number), a `split` ("train" or "test") and,
    in JSON lines, a `teacher`: a class name, or an object of log probabilities by class name. Other keys are not
    looked at, so that exports of other tools can be read as they are.

    Raises:
        DataError: the file cannot be read, or a row has another form; names the line.
        ResourceError: it is too large.
    """
    text = _content(path)
    documents = _json_lines(text, path) if path.suffix == ".jsonl" else _table(text, path)
    return [_row(document, thing=f"'{path}', line {line}") for line, document in documents]


def fingerprint(path: Path) -> str:
    """Return the sha256 of the file.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"'text:{path}'", found=error.strerror or str(error)) from error


def _content(path: Path) -> str:
    thing = f"'text:{path}'"
    if path.suffix not in (".jsonl", ".csv", ".tsv"):
        raise DataError(thing, found="another kind of file", wanted="a path ending in .jsonl, .csv or .tsv")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ResourceError(thing, found=f"{path.stat().st_size / 1e9:.1f} GB", wanted=f"{MAX_BYTES / 1e9:.1f} GB")
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise DataError(thing, found=error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise DataError(thing, found=f"no UTF-8: {error}", fix="save it as UTF-8") from error


def _json_lines(text: str, path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    for line, content in enumerate(text.split("\n"), 1):
        if not content.strip():
            continue
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise DataError(f"'{path}', line {line}", found=f"no JSON: {error}") from error
        if not isinstance(document, dict):
            raise DataError(f"'{path}', line {line}", found=f"a {type(document).__name__}", wanted="an object")
        yield line, document


def _table(text: str, path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    separator = "," if path.suffix == ".csv" else "\t"
    reader = csv.DictReader(io.StringIO(text), delimiter=separator, strict=True)
    columns = [] if reader.fieldnames is None else list(reader.fieldnames)
    if "text" not in columns:
        raise DataError(f"'{path}'", found="no column 'text' in its first line", fix=nearest("text", map(str, columns)))
    try:
        for row in reader:
            # a table cannot say "none", so an empty label or split is one
            yield reader.line_num, {key: value for key, value in row.items() if value or key == "text"}
    except csv.Error as error:
        raise DataError(f"'{path}', line {reader.line_num}", found=f"no table: {error}") from error


def _row(document: Mapping[str, object], *, thing: str) -> TextRow:
    text, label, split, teacher = (document.get(column) for column in COLUMNS)
    if not isinstance(text, str):
        raise DataError(thing, found=f"text {text!r}", wanted="a text")
    name = None if label is None else _name(label, thing=f"{thing}, label")
    answer = None if teacher is None else _answer(teacher, thing=f"{thing}, teacher")
    return TextRow(text, name, answer, _split(split, thing=thing))


def _split(value: object, *, thing: str) -> Split | None:
    if value is None or value == "train" or value == "test":  # noqa: PLR1714 - narrows the type
        return value
    raise DataError(thing, found=f"split {value!r}", wanted='"train" or "test"')


def _name(value: object, *, thing: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise DataError(thing, found=f"{value!r}", wanted="a class name or a whole number")
    return str(value)


def _answer(value: object, *, thing: str) -> dict[str, float]:
    if not isinstance(value, dict):
        return {_name(value, thing=thing): 0.0}
    found = {}
    for name, number in value.items():
        if isinstance(number, bool) or not isinstance(number, int | float) or not -math.inf < number <= 0:
            raise DataError(thing, found=f"{number!r} for {name!r}", wanted="a log probability, at most 0")
        found[str(name)] = float(number)
    if not found:
        raise DataError(thing, found="no class", wanted="log probabilities by class name")
    return found
