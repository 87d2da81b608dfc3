"""Writes completions into files: whole or not at all."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from edgedistill.capture.completion import Kind
from edgedistill.capture.formats.forms import SUFFIXES, Form, form_of_suffix
from edgedistill.capture.formats.lines import to_eval, to_label, to_messages
from edgedistill.capture.formats.listing import listing, stored_completion
from edgedistill.capture.formats.records import whole_record
from edgedistill.capture.json_text import text_of
from edgedistill.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edgedistill.capture.completion import Completion
    from edgedistill.capture.json_text import Json
    from edgedistill.capture.store import Store


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        written: completions in the file.
        left_out: completions that the form cannot hold: other kinds, or no answer in text.
    """

    written: int
    left_out: int


def export_file(path: Path, completions: Iterable[Completion], *, store: Store, form: Form | None = None) -> Exported:
    """Write completions into a file, beside its place first.

    Args:
        path: written over.
        completions: what to write; they are read one by one.
        store: where their arrays are.
        form: as the file's suffix says without it.

    Raises:
        InputError: the suffix tells no form.
        DataError: the form is npz, and the completions are no predictions of one shape.
        DependencyError: the form is Parquet, and pyarrow is not installed.
    """
    chosen = form or form_of_suffix(path)
    if chosen is None:
        wanted = f"one of {', '.join(SUFFIXES)}"
        raise InputError(f"file '{path}'", found=f"suffix '{path.suffix}'", wanted=wanted, fix="or say which with --as")
    counted = _Counted(completions)
    with _beside(path) as partial:
        written = _write(partial, counted, store, chosen)
    return Exported(written, counted.count - written)


def write_lines(file: IO[bytes], completions: Iterable[Completion], *, store: Store, form: Form) -> int:
    """Write completions as JSON lines; return how many the form can hold."""
    count = 0
    for completion in completions:
        line = _line(completion, store, form)
        if line is not None:
            file.write(text_of(line).encode() + b"\n")
            count += 1
    return count


def arrays_of(completion: Completion, store: Store) -> Mapping[str, NDArray[np.generic]]:
    """Return the arrays of a completion by name."""
    return {name: store.array(hash_) for name, hash_ in completion.arrays.items()}


def _write(path: Path, completions: Iterable[Completion], store: Store, form: Form) -> int:
    if form is Form.PARQUET:
        from edgedistill.capture.formats.parquet import write_parquet  # noqa: PLC0415 - one form of many

        return write_parquet(path, completions, arrays_of=lambda completion: arrays_of(completion, store))
    if form is Form.NPZ:
        from edgedistill.capture.formats.npz import write_npz  # noqa: PLC0415 - one form of many

        return write_npz(path, completions, array_of=store.array)
    with path.open("wb") as file:
        if form is not Form.LIST:
            return write_lines(file, completions, store=store, form=form)
        chats = [completion for completion in completions if completion.kind is Kind.CHAT]
        # the API's own has no messages; without them it could not be imported again
        items = [{**stored_completion(chat), "messages": chat.messages} for chat in chats]
        file.write(text_of(listing(items)).encode() + b"\n")
        return len(chats)


def _line(completion: Completion, store: Store, form: Form) -> Json | None:
    if form is Form.RECORDS:
        return whole_record(completion, arrays_of(completion, store))
    return {Form.MESSAGES: to_messages, Form.LABELS: to_label, Form.EVALS: to_eval}[form](completion)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Give a file beside a place; it takes the place when all is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


class _Counted:
    """Completions, counted as they pass."""

    def __init__(self, completions: Iterable[Completion]) -> None:
        self.count = 0
        self._completions = completions

    def __iter__(self) -> Iterator[Completion]:
        for completion in self._completions:
            self.count += 1
            yield completion
