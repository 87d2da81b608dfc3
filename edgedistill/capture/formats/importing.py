"""Reads completions from files that others wrote: all of them or none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from edgedistill.capture.completion import checked_metadata
from edgedistill.capture.formats.forms import IMPORTED, Form, form_of
from edgedistill.capture.formats.lines import from_eval, from_label, from_messages
from edgedistill.capture.formats.listing import Messages, completions_in, messages_in
from edgedistill.capture.formats.records import entry_of
from edgedistill.capture.json_text import Json, parsed, parsed_object
from edgedistill.capture.redaction import Redaction
from edgedistill.capture.store import Clash, Entry
from edgedistill.errors import DataError, ResourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from edgedistill.capture.completion import Completion
    from edgedistill.capture.store import Store

MAX_LINE = 64 * 1024 * 1024
MAX_DOCUMENT = 1024 * 1024 * 1024
"""Bytes of one line, and of a file that is one JSON document, which has to be in memory."""

BATCH = 500
MODEL = "imported"


@dataclass(frozen=True)
class Imported:
    """What became of some files.

    Args:
        added: completions that are new.
        already: completions whose id was in the store.
        without_prompt: of the new ones, those of which only the answer is known.
    """

    added: int
    already: int
    without_prompt: int


@dataclass(frozen=True)
class Import:
    """How files are imported.

    Args:
        form: what they hold; None: each is looked at.
        metadata: for every completion, below its own.
        model: of completions whose file names none.
        redaction: what is taken out first.
    """

    form: Form | None = None
    metadata: Mapping[str, str] | None = None
    model: str = MODEL
    redaction: Redaction | None = None


def import_files(store: Store, paths: Sequence[Path], how: Import | None = None) -> Imported:
    """Import files into a store. Each is read twice, so that nothing is imported where one line is wrong.

    A completion whose id is there already is left as it is; ids of lines without one are made of their content. So
    importing again adds only what is new.

    Args:
        store: where to.
        paths: JSON lines in any of the forms, or documents that list completions and their messages; messages in
            one file belong to completions in another.
        how: see `Import`.

    Raises:
        DataError: a file cannot be read, or a line has no form that we know.
        ResourceError: a line or a document is too long, or the store cannot be written.
    """
    how = how or Import()
    messages = Messages()
    for path in paths:  # first to find what is wrong, and the messages of completions that are in other files
        for document in _documents(path, how):
            for name, found in messages_in(document).items():
                messages.setdefault(name, {}).update(found)
        for _ in _entries(path, how, messages):
            pass
    added = already = without_prompt = 0
    entries = (entry for path in paths for entry in _entries(path, how, messages))
    while batch := list(islice(entries, BATCH)):
        names = store.add_many(batch, clash=Clash.SKIP)
        new = [entry for entry, name in zip(batch, names, strict=True) if name is not None]
        added += len(new)
        already += len(batch) - len(new)
        without_prompt += sum(not entry.completion.prompt and not entry.arrays for entry in new)
    return Imported(added, already, without_prompt)


def _entries(path: Path, how: Import, messages: Messages) -> Iterator[Entry]:
    for document in _documents(path, how):
        for completion in completions_in(document, messages, thing=f"file '{path}'"):
            yield _finished(Entry(completion), path, how)
    if not _is_document(path, how):
        for number, line in _lines(path):
            thing = f"file '{path}', line {number}"
            try:
                entry = _finished(_entry(line, how, thing=thing), path, how)
            except DataError as error:
                if error.thing == thing:
                    raise
                raise DataError(thing, found=str(error).rstrip(".")) from error
            yield entry


def _entry(line: bytes, how: Import, *, thing: str) -> Entry:
    value = parsed_object(line)
    if value is None:
        raise DataError(thing, found="no JSON object")
    form = how.form or form_of(value)
    if form is Form.RECORDS:
        return entry_of(value, thing=thing)
    reader = {Form.MESSAGES: from_messages, Form.LABELS: from_label, Form.EVALS: from_eval}.get(form or Form.LIST)
    if reader is None:
        keys = ", ".join(list(value)[:10])
        wanted = f"the keys of one of the forms {', '.join(IMPORTED)}"
        raise DataError(thing, found=f"an object with the keys {keys:.200}", wanted=wanted)
    return Entry(reader(value, thing=thing, model=how.model))


def _finished(entry: Entry, path: Path, how: Import) -> Entry:
    completion = entry.completion
    metadata = checked_metadata({**(how.metadata or {}), **completion.metadata})
    source = completion.source or f"import:{path.name}"
    completion = replace(completion, metadata=metadata, source=source)
    return Entry(_redacted(completion, how.redaction or Redaction()), entry.arrays)


def _redacted(completion: Completion, redaction: Redaction) -> Completion:
    if redaction.version == "none":
        return completion
    request, metadata = redaction.value(completion.request), redaction.value(dict(completion.metadata))
    return replace(
        completion,
        request=request if isinstance(request, dict) else {},
        response=redaction.chat(completion.response),
        metadata=checked_metadata(metadata),
        redaction=redaction.version,
    )


def _is_document(path: Path, how: Import) -> bool:
    """Say whether a file is one JSON document and not a line of JSON after the other."""
    if how.form is not None:
        return how.form is Form.LIST
    first = next((line for _, line in _lines(path)), b"")
    value = parsed(first)
    return value is None or isinstance(value, list) or (isinstance(value, dict) and form_of(value) is Form.LIST)


def _documents(path: Path, how: Import) -> Iterable[Json]:
    """Return the documents in a file that list something; none if it is a file of lines."""
    if not _is_document(path, how):
        return []
    thing = f"file '{path}'"
    if path.stat().st_size > MAX_DOCUMENT:
        raise ResourceError(thing, found=f"{path.stat().st_size:,} bytes", wanted=f"at most {MAX_DOCUMENT:,}")
    value = parsed(path.read_bytes())
    pages = [page for page in (value if isinstance(value, list) else [value]) if isinstance(page, dict)]
    if not pages or not all(form_of(page) is Form.LIST for page in pages):
        wanted = 'JSON lines, or a document {"object": "list", "data": [...]}'
        raise DataError(thing, found="something else, or broken JSON", wanted=wanted)
    return pages


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file that are not empty, with their numbers."""
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE + 1):
                number += 1
                if len(line) > MAX_LINE:
                    thing = f"file '{path}', line {number}"
                    raise ResourceError(thing, found=f"more than {MAX_LINE:,} bytes")
                if line.strip():
                    yield number, line.removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise DataError(f"file '{path}'", found=error.strerror or str(error)) from error
