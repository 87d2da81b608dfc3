"""What a request asks of us besides of the teacher: to store its answer, under some metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedistill.capture.completion import MAX_PAIRS, Kind, checked_metadata
from edgedistill.capture.json_text import Json, parsed_object, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedistill.capture.policy import Policy

CAPTURED: Mapping[bytes, Kind] = {b"chat/completions": Kind.CHAT, b"embeddings": Kind.EMBEDDING}
"""Paths below /v1 whose answers can be stored."""

OURS = ("store", "metadata")


@dataclass(frozen=True)
class Wish:
    """A request, read.

    Args:
        body: what is passed on.
        kind: of the answer that is to be stored; None: none is.
        request: the body as an object; empty where nothing is stored.
        metadata: that the answer is stored under.
    """

    body: bytes
    kind: Kind | None
    request: Json
    metadata: Mapping[str, str]


def wish_of(path: bytes, body: bytes, *, policy: Policy, forwards_store: bool, defaults: Mapping[str, str]) -> Wish:
    """Read a request.

    A body that we cannot read is passed on as it is: what is wrong with it is the teacher's to say. So is one whose
    `store` is neither true nor false.

    Args:
        path: below /v1.
        body: as it came.
        policy: which answers are stored.
        forwards_store: `store` and `metadata` are passed on too; else they are taken out, because they are meant
            for this store, and a teacher may refuse them or store the answer as well.
        defaults: metadata of every answer, below the request's own.

    Raises:
        DataError: the metadata is out of its limits.
    """
    kind = CAPTURED.get(path)
    request = parsed_object(body) if kind else None
    store = request.get("store") if request else None
    if request is None or not (store is None or isinstance(store, bool)):
        return Wish(body, None, {}, {})
    wants = policy.wants(store)
    metadata = _merged(defaults, checked_metadata(request.get("metadata"))) if wants else {}
    if not forwards_store and not request.keys().isdisjoint(OURS):
        body = text_of({key: value for key, value in request.items() if key not in OURS}).encode()
    return Wish(body, kind if wants else None, request if wants else {}, metadata)


def _merged(defaults: Mapping[str, str], own: Mapping[str, str]) -> Mapping[str, str]:
    """Return both; only the request's own where both together are too many."""
    merged = {**defaults, **own}
    return merged if len(merged) <= MAX_PAIRS else own
