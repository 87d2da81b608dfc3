"""Forms in which other programs keep completions, and how they are told apart."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from edgedistill.capture.json_text import Json


class Form(enum.StrEnum):
    """What a file holds."""

    RECORDS = "records"
    """JSON lines with everything that we know: made to be imported again."""
    MESSAGES = "messages"
    """JSON lines {"messages": [...]}: the form of fine-tuning files. The last message is the answer."""
    LABELS = "labels"
    """JSON lines {"text": ..., "label": ...}."""
    EVALS = "evals"
    """JSON lines {"item": {...}, "sample": {...}}: the form of evaluations."""
    LIST = "list"
    """One JSON document {"object": "list", "data": [...]}: what the API answers to a list, or to `messages`."""
    PARQUET = "parquet"
    """Apache Parquet, for analysis. Not imported."""
    NPZ = "npz"
    """A numpy archive of recorded predictions: `x`, `y` and `output`; a recipe reads it as `npz:PATH`. Not imported."""


SUFFIXES = {
    ".jsonl": Form.RECORDS,
    ".ndjson": Form.RECORDS,
    ".json": Form.LIST,
    ".parquet": Form.PARQUET,
    ".npz": Form.NPZ,
}
"""The form that a file is exported in unless one says otherwise."""

IMPORTED = (Form.RECORDS, Form.MESSAGES, Form.LABELS, Form.EVALS, Form.LIST)


def form_of_suffix(path: Path) -> Form | None:
    """Return the form that a file's name asks for."""
    return SUFFIXES.get(path.suffix.lower())


def form_of(value: Json) -> Form | None:
    """Return the form of a document or of a line, by its keys."""
    keys = value.keys()
    if value.get("object") == "list" and "data" in keys:
        return Form.LIST
    if {"id", "kind", "request", "response"} <= keys:
        return Form.RECORDS
    if "messages" in keys:
        return Form.MESSAGES
    if {"text", "label"} <= keys:
        return Form.LABELS
    if keys & {"item", "datasource_item"}:
        return Form.EVALS
    return None
