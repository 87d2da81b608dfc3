"""From captured completions to the texts that a student learns from."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.capture.class_answers import answered, classes_of, plain_name, refuse_strangers
from edgedistill.capture.completion import Kind, text_of_content
from edgedistill.capture.filters import Filter
from edgedistill.capture.schema import DATABASE
from edgedistill.capture.store import Store, open_store
from edgedistill.data.text_rows import TextRow
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgedistill.capture.completion import Completion
    from edgedistill.recipe import Captured

LEAST, FEW = 10, 200
"""Fewer completions than LEAST are refused, fewer than FEW are warned of."""


@dataclass(frozen=True)
class CapturedTexts:
    """What completions amount to as texts to learn from.

    Args:
        rows: one text each.
        classes: names in label order; none of embeddings.
        fingerprint: sha256 of all of it.
        notes: what a reader of the result should know.
    """

    rows: tuple[TextRow, ...]
    classes: tuple[str, ...]
    fingerprint: str
    notes: tuple[str, ...]


def captured_texts(folder: Path, chosen: Captured, *, classes: tuple[str, ...], labelled: bool) -> CapturedTexts:
    """Return the texts of a store's completions, with what the teacher answered.

    Of a chat, the text is the last user message, and the answer the class that the teacher named, with its log
    probabilities where the completion has them. For embeddings, the texts of embedding requests with their vectors; in
    a store without any, the last user messages alone.

    Args:
        folder: of the store.
        chosen: which completions are meant.
        classes: the recipe's class names; empty takes those that the answers name.
        labelled: whether the task needs classes.

    Raises:
        DataError: there is no store, fewer than LEAST completions, or answers that are no classes.
    """
    open_store(folder).close()
    return _read(folder, chosen, classes, _stamp(folder), labelled=labelled)


@functools.lru_cache(maxsize=2)
def _read(
    folder: Path, chosen: Captured, classes: tuple[str, ...], stamp: tuple[tuple[int, int], ...], *, labelled: bool
) -> CapturedTexts:
    """Read once for planning, training and evaluation: `stamp` says that the store is still the same."""
    del stamp
    thing = f"'capture:{folder}'"
    with Store(folder) as store:
        if labelled:
            return _labelled_texts(list(store.iterate(_filter(chosen, Kind.CHAT))), chosen, classes, thing=thing)
        vectors = list(_embedded_rows(store, chosen))
        rows = vectors or [TextRow(item.prompt) for item in store.iterate(_filter(chosen, Kind.CHAT)) if item.prompt]
    _refuse_few(len(rows), thing=thing)
    return CapturedTexts(tuple(rows), (), _fingerprint(rows, ()), tuple(_size_notes(len(rows))))


def _labelled_texts(
    completions: Sequence[Completion], chosen: Captured, classes: tuple[str, ...], *, thing: str
) -> CapturedTexts:
    asked = [item for item in completions if item.prompt and item.answer is not None]
    _refuse_few(len(asked), thing=thing)
    names = classes or classes_of([item.answer or "" for item in asked], thing=thing)
    rows = []
    for item in asked:
        answer = answered(item, names)
        if answer is not None:
            rows.append(TextRow(item.prompt, _gold(item, chosen, names, thing=thing), answer))
    refuse_strangers(len(asked) - len(rows), len(asked), names, thing=thing)
    _refuse_few(len(rows), thing=thing)
    notes = (*_size_notes(len(rows)), *_answer_notes(asked, rows))
    return CapturedTexts(tuple(rows), names, _fingerprint(rows, names), notes)


def _embedded_rows(store: Store, chosen: Captured) -> list[TextRow]:
    """Return the texts of embedding requests with their vectors; a request may hold several."""
    rows = []
    for item in store.iterate(_filter(chosen, Kind.EMBEDDING)):
        given = item.request.get("input")
        texts = [given] if isinstance(given, str) else given if isinstance(given, list) else []
        if "embedding" not in item.arrays or not all(isinstance(text, str) for text in texts):
            continue
        vectors = np.atleast_2d(store.array(item.arrays["embedding"]).astype(np.float32))
        if len(vectors) == len(texts):
            rows += [TextRow(str(text), embedding=vector) for text, vector in zip(texts, vectors, strict=True)]
    return rows


def _filter(chosen: Captured, kind: Kind) -> Filter:
    return Filter(
        kind=kind,
        model=chosen.model,
        metadata=chosen.metadata,
        created_after=chosen.created_after,
        created_before=chosen.created_before,
        finish_reason=chosen.finish_reason if kind is Kind.CHAT else None,
        grader=chosen.grader,
        min_score=chosen.min_score,
        passed=chosen.passed,
    )


def _gold(completion: Completion, chosen: Captured, classes: tuple[str, ...], *, thing: str) -> str | None:
    """Return the class that the completion's metadata give as true, or None where they give none."""
    given = completion.metadata.get(chosen.gold) if chosen.gold else None
    if given is None:
        return None
    name = {plain_name(name): name for name in classes}.get(plain_name(given))
    if name is None:
        raise DataError(
            f"{thing}, completion {completion.id}",
            found=f"metadata '{chosen.gold}': {given!r}",
            wanted=f"one of {', '.join(classes)}",
            fix="name the classes in 'data.classes'",
        )
    return name


def _refuse_few(count: int, *, thing: str) -> None:
    if count < LEAST:
        raise DataError(
            thing,
            found=f"{count} completions to learn from",
            wanted=f"at least {LEAST}; hundreds to thousands teach well",
            fix="capture more, or choose more with 'data.captured'",
        )


def _size_notes(count: int) -> list[str]:
    if count < FEW:
        return [f"the student learned from {count} captured completions; hundreds to thousands are advised"]
    return [f"the student learned from {count:,} captured completions, a fifth of them kept for evaluation"]


def _answer_notes(asked: Sequence[Completion], rows: Sequence[TextRow]) -> list[str]:
    notes = []
    if len(rows) < len(asked):
        notes.append(f"{len(asked) - len(rows):,} of {len(asked):,} answers named no class and were left out")
    soft = sum(row.answer is not None and len(row.answer) > 1 for row in rows)
    notes.append(f"{soft:,} of {len(rows):,} answers came with log probabilities of other classes")
    systems = {text_of_content(m.get("content")) for item in asked for m in item.messages if m.get("role") == "system"}
    if len(systems) > 1:
        notes.append(
            f"the completions answer {len(systems):,} different system messages, which the student does not see"
        )
    longer = sum(sum(message.get("role") == "user" for message in item.messages) > 1 for item in asked)
    if longer:
        notes.append(f"{longer:,} completions answer a conversation; the student sees its last user message alone")
    return notes


def _fingerprint(rows: Sequence[TextRow], classes: Sequence[str]) -> str:
    digest = hashlib.sha256(repr(tuple(classes)).encode("utf-8", "surrogatepass"))
    for row in rows:
        known = (row.text, row.label, None if row.answer is None else sorted(row.answer.items()))
        digest.update(repr(known).encode("utf-8", "surrogatepass"))
        digest.update(b"" if row.embedding is None else row.embedding.tobytes())
    return digest.hexdigest()


def _stamp(folder: Path) -> tuple[tuple[int, int], ...]:
    """Return time and size of the store's files: another stamp, another content."""
    found = (path.stat() for path in (folder / DATABASE, folder / f"{DATABASE}-wal") if path.is_file())
    return tuple((state.st_mtime_ns, state.st_size) for state in found)
