"""A completion as one JSON object with everything in it: a line of our own JSONL, and what `--json` prints."""

from __future__ import annotations

import base64
import binascii
import io
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.capture.completion import ID, LATEST, Completion, Grade, Kind, chat_completion, checked_metadata
from edgedistill.capture.json_text import Json, object_at, text_at, whole_at
from edgedistill.capture.store import Entry
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def record_of(completion: Completion) -> Json:
    """Return everything that is known of a completion; its arrays by their sha256."""
    grades = {name: {"score": grade.score, "passed": grade.passed} for name, grade in completion.grades.items()}
    return {
        "id": completion.id,
        "kind": str(completion.kind),
        "created": completion.created,
        "model": completion.model,
        "metadata": dict(completion.metadata),
        "finish_reason": completion.finish_reason,
        "latency_ms": completion.latency_ms,
        "source": completion.source,
        "redaction": completion.redaction,
        "grades": grades,
        "arrays": dict(completion.arrays),
        "request": completion.request,
        "response": completion.response,
    }


def whole_record(completion: Completion, arrays: Mapping[str, NDArray[np.generic]]) -> Json:
    """Return everything that is known of a completion, its arrays too: each the base64 of a `.npy` file."""
    return {**record_of(completion), "arrays": {name: _text_of(array) for name, array in arrays.items()}}


def entry_of(record: Json, *, thing: str) -> Entry:
    """Return what `whole_record` wrote.

    Args:
        record: a JSON object, from outside.
        thing: where it comes from, for messages.

    Raises:
        DataError: a part of it is missing or of another kind.
    """
    name, kind, created = text_at(record, "id"), text_at(record, "kind"), whole_at(record, "created")
    request, response = record.get("request"), record.get("response")
    if name is None or not ID.fullmatch(name) or kind not in list(Kind):
        raise DataError(thing, found=f"id {name!r:.200}, kind {kind!r:.200}", wanted="a record that edgedistill wrote")
    if created is None or not 0 <= created < LATEST or not isinstance(request, dict) or not isinstance(response, dict):
        raise DataError(thing, found="no time, request or response", wanted="a record that edgedistill wrote")
    latency_ms = record.get("latency_ms")
    completion = Completion(
        id=name,
        kind=Kind(kind),
        created=created,
        model=text_at(record, "model") or "unknown",
        request=request,
        response={**response, "id": name},
        metadata=checked_metadata(record.get("metadata")),
        finish_reason=text_at(record, "finish_reason"),
        grades={grader: _grade(grader, given, thing) for grader, given in object_at(record, "grades").items()},
        latency_ms=float(latency_ms) if isinstance(latency_ms, (int, float)) else None,
        source=text_at(record, "source") or "",
        redaction=text_at(record, "redaction") or "none",
    )
    if completion.kind is Kind.CHAT:
        checked = chat_completion(request, completion.response, metadata=completion.metadata)
        completion = replace(completion, request=checked.request, response=checked.response)
    arrays = {key: _array_of(given, thing) for key, given in object_at(record, "arrays").items()}
    return Entry(completion, arrays)


def _grade(grader: str, given: object, thing: str) -> Grade:
    score = given.get("score") if isinstance(given, dict) else None
    passed = given.get("passed") if isinstance(given, dict) else None
    if type(score) not in (int, float) or not (passed is None or isinstance(passed, bool)):
        raise DataError(thing, found=f"grade {given!r:.200}", wanted='{"score": number, "passed": true, false or null}')
    return Grade(grader, float(str(score)), passed)


def _text_of(array: NDArray[np.generic]) -> str:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return base64.b64encode(file.getvalue()).decode()


def _array_of(given: object, thing: str) -> NDArray[np.generic]:
    try:
        content = base64.b64decode(given if isinstance(given, str) else "", validate=True)
        array: NDArray[np.generic] = np.load(io.BytesIO(content), allow_pickle=False)
    except (binascii.Error, ValueError, EOFError, SyntaxError) as error:
        raise DataError(thing, found="an array that cannot be read", wanted="the base64 of a .npy file") from error
    return array
