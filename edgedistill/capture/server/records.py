"""From what passed through to what is stored. It runs in the writer's thread."""

from __future__ import annotations

import base64
import binascii
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.capture.completion import MAX_KEY, MAX_VALUE, Completion, Kind, chat_completion, first_choice, new_id
from edgedistill.capture.json_text import Json, list_at, object_at, parsed_object, text_at
from edgedistill.capture.server.assembly import assembled
from edgedistill.capture.server.content import decoded
from edgedistill.capture.store import Entry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgedistill.capture.redaction import Redaction


@dataclass(frozen=True)
class Passed:
    """A request and its answer, as they went over the wire.

    Args:
        kind: of what is to be stored.
        request: the request's body.
        metadata: to be stored with it.
        answer: the answer's body.
        encoding: the answer's `content-encoding`.
        is_stream: the answer is a stream of events.
        latency_ms: from the request's arrival to the answer's end.
        source: the teacher's address.
        credentials: texts of the request that must not be written.
    """

    kind: Kind
    request: Json
    metadata: Mapping[str, str]
    answer: bytes
    encoding: str
    is_stream: bool
    latency_ms: float
    source: str
    credentials: Sequence[str]


def entries_of(passed: Passed, redaction: Redaction) -> list[Entry]:
    """Return what is stored of a request and its answer; nothing if the answer is no whole completion.

    Raises:
        InputError: the redaction's function returns no text.
    """
    body = decoded(passed.answer, passed.encoding)
    if body is None:
        return []
    if passed.kind is Kind.EMBEDDING:
        return _embedding(passed, parsed_object(body), redaction)
    return _chat(passed, assembled(body) if passed.is_stream else parsed_object(body), redaction)


def _chat(passed: Passed, answer: Json | None, redaction: Redaction) -> list[Entry]:
    if answer is None or not object_at(first_choice(answer), "message"):
        return []
    request = redaction.value(passed.request, passed.credentials)
    completion = chat_completion(
        request if isinstance(request, dict) else {},
        redaction.chat(answer, passed.credentials),
        metadata=_metadata(passed, redaction),
        latency_ms=passed.latency_ms,
        source=passed.source,
        redaction=redaction.version,
    )
    return [Entry(completion)]


def _embedding(passed: Passed, answer: Json | None, redaction: Redaction) -> list[Entry]:
    rows = [_vector(item) for item in list_at(answer, "data")]
    vectors = [row for row in rows if row is not None]
    if answer is None or not vectors or len(vectors) != len(rows) or len({row.shape for row in vectors}) != 1:
        return []
    request = redaction.value(
        {key: value for key, value in passed.request.items() if key not in ("store", "metadata")}, passed.credentials
    )
    told = redaction.value({key: value for key, value in answer.items() if key != "data"}, passed.credentials)
    request, told = (value if isinstance(value, dict) else {} for value in (request, told))
    name, model = new_id("embd"), text_at(told, "model") or text_at(request, "model") or "unknown"
    completion = Completion(
        id=name,
        kind=Kind.EMBEDDING,
        created=int(time.time()),
        model=model,
        request=request,
        response={**told, "id": name, "object": "list", "model": model},
        metadata=_metadata(passed, redaction),
        latency_ms=passed.latency_ms,
        source=passed.source,
        redaction=redaction.version,
    )
    return [Entry(completion, {"embedding": np.stack(vectors)})]


def _metadata(passed: Passed, redaction: Redaction) -> dict[str, str]:
    """Return the metadata redacted; where that made it longer than it may be, cut."""
    kept = redaction.value(dict(passed.metadata), passed.credentials)
    pairs = kept if isinstance(kept, dict) else {}
    return {str(key)[:MAX_KEY]: str(value)[:MAX_VALUE] for key, value in pairs.items()}


def _vector(item: object) -> NDArray[np.float32] | None:
    """Return one vector of an answer: a list of numbers, or the base64 of little-endian float32."""
    given = item.get("embedding") if isinstance(item, dict) else None
    if isinstance(given, str):
        try:
            return np.frombuffer(base64.b64decode(given, validate=True), "<f4").astype(np.float32)
        except (binascii.Error, ValueError):
            return None
    if not isinstance(given, list) or not given or not all(type(value) in (int, float) for value in given):
        return None
    return np.asarray(given, np.float32)
