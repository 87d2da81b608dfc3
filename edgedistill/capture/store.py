"""The store of captured completions: a folder that several processes may read and write at once.

What a method that writes has returned for is on the disk: neither a killed process nor a power cut loses it.
"""

from __future__ import annotations

import enum
import json
import math
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Self

from edgedistill.capture import arrays, schema
from edgedistill.capture.completion import Completion, Grade, Kind, checked_metadata, duplicate_hash, new_id
from edgedistill.capture.completion import prompt_hash as hash_of_prompt
from edgedistill.capture.filters import EVERYTHING, condition
from edgedistill.capture.json_text import text_of, writable
from edgedistill.capture.schema import DATABASE, connected, explained
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edgedistill.capture.filters import Filter, Value

PAGE = 256
"""Completions that `iterate` holds at once."""

WIPE_TIMEOUT_MS = 1000
"""How long emptying the log waits for those who read."""

COLUMNS = """c.seq, c.id, c.kind, c.created, c.model, c.request, c.response, c.finish_reason, c.latency_ms, c.source,
 c.redaction,
 (SELECT json_group_object(key, value) FROM metadata m WHERE m.seq = c.seq),
 (SELECT json_group_object(grader, json_array(score, passed)) FROM grade g WHERE g.seq = c.seq),
 (SELECT json_group_object(name, sha256) FROM array_use u WHERE u.seq = c.seq)"""

INSERT = """INSERT INTO completion(id, kind, created, stored, model, requested_model, finish_reason, latency_ms, source,
 redaction, prompt_hash, duplicate_hash, size_bytes, request, response) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"""


Row = tuple[str | int | float | None, ...]


class Order(enum.StrEnum):
    """By time of creation; completions of one second in the order in which they were stored."""

    OLDEST_FIRST = "asc"
    NEWEST_FIRST = "desc"


class Clash(enum.Enum):
    """What to do with a completion whose id is in the store already."""

    REFUSE = "refuse"
    SKIP = "skip"
    RENAME = "rename"
    """Give it a new id: some servers call every answer "chatcmpl-0"."""


class Entry(NamedTuple):
    """A completion to be added, with its arrays by name ("input", "output", "embedding")."""

    completion: Completion
    arrays: Mapping[str, NDArray[np.generic]] = {}


class Page(NamedTuple):
    """Some completions in order, and whether more follow."""

    completions: list[Completion]
    has_more: bool


class Deleted(NamedTuple):
    """What a deletion did.

    Args:
        completions: how many are gone.
        wiped: the log that still held their text was emptied. If not, somebody was reading; the next deletion, or
            the last program that closes the store, empties it.
    """

    completions: int
    wiped: bool


class Store:
    """An open store. It may be shared by threads; each process opens its own.

    Args:
        folder: made where it is missing.

    Raises:
        DataError: the folder holds something else.
        ResourceError: it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.RLock()
        self._database = connected(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; a store that is closed cannot be used again."""
        with self._lock:
            self._database.close()

    # --- reading

    def get(self, name: str) -> Completion | None:
        """Return the completion of this id, or None."""
        rows = self._rows(f"SELECT {COLUMNS} FROM completion c WHERE c.id = ?", [name])  # noqa: S608
        return _completion(rows[0]) if rows else None

    def iterate(
        self, chosen: Filter = EVERYTHING, *, order: Order = Order.OLDEST_FIRST, after: str | None = None
    ) -> Iterator[Completion]:
        """Yield the completions that meet a filter, reading a page at a time, so that memory stays small.

        What others store meanwhile may or may not be among them; nothing comes twice.

        Args:
            chosen: all of them without it.
            order: by time.
            after: id of the completion after which to begin.

        Raises:
            DataError: there is no completion `after`.
        """
        # a place, not an id: the completion there may be deleted before the next page is read
        place = None if after is None else self._place(after)
        while rows := self._page(chosen, order, place, PAGE):
            yield from (_completion(row) for row in rows)
            place = _place_of(rows[-1])

    def page(
        self,
        chosen: Filter = EVERYTHING,
        *,
        order: Order = Order.OLDEST_FIRST,
        after: str | None = None,
        limit: int = 20,
    ) -> Page:
        """Return up to `limit` completions that meet a filter, the ones after a given one in an order.

        Raises:
            DataError: there is no completion `after`.
        """
        rows = self._page(chosen, order, None if after is None else self._place(after), limit + 1)
        return Page([_completion(row) for row in rows[:limit]], has_more=len(rows) > limit)

    def count(self, chosen: Filter = EVERYTHING) -> int:
        """Return how many completions meet a filter."""
        terms, values = condition(chosen)
        ((found,),) = self._rows(f"SELECT count(*) FROM completion c WHERE {terms}", values)  # noqa: S608
        return int(found or 0)

    def has_prompt(self, prompt_hash: str, chosen: Filter = EVERYTHING) -> bool:
        """Say whether a completion that meets a filter has this prompt (`completion.prompt_hash`)."""
        terms, values = condition(chosen)
        text = f"SELECT 1 FROM completion c WHERE c.prompt_hash = ? AND {terms} LIMIT 1"  # noqa: S608
        return bool(self._rows(text, [prompt_hash, *values]))

    def array(self, name: str) -> NDArray[np.generic]:
        """Return the array of a sha256, which `Completion.arrays` names.

        Raises:
            DataError: there is none, or it is damaged.
        """
        with self._lock, explained(self.folder):
            return arrays.read(self._database, self.folder, name)

    def rows(self, text: str, values: Sequence[Value] = ()) -> list[Row]:
        """Return the rows of a query on the tables of `schema.TABLES`, for statistics."""
        return list(self._rows(text, values))

    # --- writing

    def add(self, completion: Completion, arrays_: Mapping[str, NDArray[np.generic]] | None = None) -> str:
        """Store one completion with its arrays; return its id.

        Raises:
            DataError: its id is in the store already.
            ResourceError: the disk is full, or others kept writing for 30 s.
        """
        (name,) = self.add_many([Entry(completion, arrays_ or {})])
        return str(name)

    def add_many(self, entries: Iterable[Entry], *, clash: Clash = Clash.REFUSE) -> list[str | None]:
        """Store completions in one transaction: all or none; return their ids, None for those that were skipped.

        Raises:
            DataError: an id is in the store already, and `clash` says to refuse it.
            ResourceError: the disk is full, or others kept writing for 30 s.
        """
        prepared = [(entry.completion, _encoded(entry)) for entry in entries]
        for _, encoded in prepared:
            for name, content in encoded.values():
                arrays.write_file(self.folder, name, content)  # outside of the transaction: others may write
        with self._writing():
            return [self._insert(completion, encoded, clash) for completion, encoded in prepared]

    def set_metadata(self, name: str, pairs: Mapping[str, str]) -> None:
        """Replace all metadata of a completion.

        Raises:
            DataError: there is no such completion, or the metadata is out of its limits.
        """
        checked = checked_metadata(pairs)
        with self._writing():
            seq = self._seq(name)
            self._database.execute("DELETE FROM metadata WHERE seq = ?", (seq,))
            self._insert_metadata(seq, checked)

    def set_grade(self, name: str, grader: str, *, score: float, passed: bool | None = None) -> None:
        """Set what a grader says of a completion, replacing what it said before.

        Raises:
            DataError: there is no such completion.
        """
        self.set_grades({name: Grade(grader, score, passed)})

    def set_grades(self, grades: Mapping[str, Grade]) -> None:
        """Set one grade of each of several completions, by id, in one transaction: all or none.

        Raises:
            DataError: there is no such completion, or a score is not finite.
        """
        for name, grade in grades.items():
            if not math.isfinite(grade.score):
                raise DataError(f"grade of completion '{name}'", found=str(grade.score), wanted="a finite number")
        with self._writing():
            for name, grade in grades.items():
                self._database.execute(
                    "INSERT OR REPLACE INTO grade(grader, seq, score, passed) VALUES(?, ?, ?, ?)",
                    (grade.grader, self._seq(name), grade.score, grade.passed),
                )

    def clear_grades(self, grader: str) -> int:
        """Forget all grades of a grader; return how many there were."""
        with self._writing():
            return self._database.execute("DELETE FROM grade WHERE grader = ?", (grader,)).rowcount

    # --- deleting

    def delete(self, names: Iterable[str]) -> Deleted:
        """Delete completions by id, so that their text is nowhere in the store's files; unknown ids are left out."""
        with self._writing():
            deleted = [self._deleted("id = ?", [name]) for name in names]
        unused = {array for _, named in deleted for array in named}
        return Deleted(sum(count for count, _ in deleted), self._wipe(unused))

    def delete_matching(self, chosen: Filter) -> Deleted:
        """Delete all completions that meet a filter, so that their text is nowhere in the store's files."""
        terms, values = condition(chosen)
        # the filter's terms speak of `c`, and a DELETE has no alias
        inner = f"seq IN (SELECT c.seq FROM completion c WHERE {terms})"  # noqa: S608
        with self._writing():
            gone, unused = self._deleted(inner, values)
        return Deleted(gone, self._wipe(unused))

    def delete_older(self, *, stored_before: int) -> Deleted:
        """Delete what was stored before a unix time, whatever time it bears itself."""
        with self._writing():
            gone, unused = self._deleted("stored < ?", [stored_before])
        return Deleted(gone, self._wipe(unused))

    def compact(self) -> bool:
        """Remove what deleted completions and interrupted writers leave: arrays, free pages, text in the log.

        Returns:
            Whether the log was emptied; not while somebody reads.
        """
        with self._writing():
            arrays.sweep_files(self._database, self.folder)
            unused = arrays.unused(self._database)
        return self._wipe(unused)

    def size_bytes(self) -> int:
        """Return the size of the store's files."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        sizes = []
        for path in files:
            with suppress(FileNotFoundError):  # deleted since
                sizes.append(path.stat().st_size)
        return sum(sizes)

    # --- within

    def _rows(self, text: str, values: Sequence[Value]) -> list[Row]:
        with self._lock, explained(self.folder):
            return self._database.execute(text, values).fetchall()

    def _page(self, chosen: Filter, order: Order, place: list[int] | None, limit: int) -> list[Row]:
        terms, values = condition(chosen)
        direction, beyond = ("ASC", ">") if order is Order.OLDEST_FIRST else ("DESC", "<")
        if place is not None:
            terms += f" AND (c.created, c.seq) {beyond} (?, ?)"
            values += place
        text = f"SELECT {COLUMNS} FROM completion c WHERE {terms} ORDER BY c.created {direction}, c.seq {direction}"  # noqa: S608
        return self._rows(f"{text} LIMIT ?", [*values, limit])

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock, explained(self.folder):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def _seq(self, name: str) -> int:
        row = self._database.execute("SELECT seq FROM completion WHERE id = ?", (name,)).fetchone()
        if row is None:
            raise DataError(f"completion '{name}'", found="not in the store")
        return int(row[0])

    def _place(self, name: str) -> list[int]:
        rows = self._rows("SELECT created, seq FROM completion WHERE id = ?", [name])
        if not rows:
            raise DataError(f"completion '{name}'", found="not in the store")
        return [int(value or 0) for value in rows[0]]

    def _deleted(self, condition_: str, values: Sequence[Value]) -> tuple[int, set[str]]:
        """Delete completions within a transaction; return how many, and the arrays that they had."""
        text = f"SELECT DISTINCT sha256 FROM array_use WHERE seq IN (SELECT seq FROM completion WHERE {condition_})"  # noqa: S608
        named = {str(name) for (name,) in self._database.execute(text, values)}
        text = f"DELETE FROM completion WHERE {condition_}"  # noqa: S608
        return self._database.execute(text, values).rowcount, named

    def _wipe(self, unused: Iterable[str]) -> bool:
        """Remove arrays that no completion has any more, free pages, and the log, which holds what was overwritten."""
        with self._writing():
            arrays.forget(self._database, self.folder, unused)
        with self._lock, explained(self.folder):
            # execute() makes one step, and each step frees one page
            self._database.executescript("PRAGMA incremental_vacuum")
            self._database.execute(f"PRAGMA busy_timeout={WIPE_TIMEOUT_MS}")
            try:
                busy, _, _ = self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                self._database.execute(f"PRAGMA busy_timeout={int(1e3 * schema.BUSY_TIMEOUT_S)}")
        return not busy

    def _insert(self, completion: Completion, encoded: Mapping[str, tuple[str, bytes]], clash: Clash) -> str | None:
        if self._database.execute("SELECT 1 FROM completion WHERE id = ?", (completion.id,)).fetchone():
            if clash is Clash.SKIP:
                return None
            if clash is Clash.REFUSE:
                raise DataError(f"completion '{completion.id}'", found="it is in the store already")
            name = new_id(completion.id.partition("-")[0])
            completion = replace(completion, id=name, response={**completion.response, "id": name})
        named = {name: hash_ for name, (hash_, _) in encoded.items()}
        inserted = self._database.execute(INSERT, _row(replace(completion, arrays=named), encoded))
        seq = int(inserted.lastrowid or 0)
        self._insert_metadata(seq, completion.metadata)
        self._database.executemany(
            "INSERT INTO grade(grader, seq, score, passed) VALUES(?, ?, ?, ?)",
            [(grade.grader, seq, grade.score, grade.passed) for grade in completion.grades.values()],
        )
        for name, (hash_, content) in encoded.items():
            arrays.refer(self._database, self.folder, hash_, content)
            self._database.execute("INSERT INTO array_use VALUES(?, ?, ?)", (seq, name, hash_))
        return completion.id

    def _insert_metadata(self, seq: int, pairs: Mapping[str, str]) -> None:
        self._database.executemany(
            "INSERT INTO metadata(key, value, seq) VALUES(?, ?, ?)", [(key, value, seq) for key, value in pairs.items()]
        )


def _place_of(row: Row) -> list[int]:
    """Return created and seq of a row of COLUMNS."""
    return [int(row[3] or 0), int(row[0] or 0)]


def open_store(folder: Path) -> Store:
    """Open a store that is there.

    Raises:
        DataError: there is none in this folder.
    """
    if not (folder / DATABASE).is_file():
        fix = "record into it with `edgedistill capture serve`, or `edgedistill capture import`"
        raise DataError(f"store '{folder}'", found="no store of captured completions there", fix=fix)
    return Store(folder)


def _encoded(entry: Entry) -> dict[str, tuple[str, bytes]]:
    return {name: arrays.encoded(array) for name, array in entry.arrays.items()}


def _row(completion: Completion, encoded: Mapping[str, tuple[str, bytes]]) -> tuple[Value | None, ...]:
    request, response = text_of(completion.request), text_of(completion.response)
    requested = completion.request.get("model")
    sizes = [len(request.encode()), len(response.encode()), *(len(content) for _, content in encoded.values())]
    return (
        completion.id,
        completion.kind,
        completion.created,
        int(time.time()),
        writable(completion.model),
        writable(requested if isinstance(requested, str) else completion.model),
        None if completion.finish_reason is None else writable(completion.finish_reason),
        completion.latency_ms,
        writable(completion.source),
        completion.redaction,
        hash_of_prompt(completion),
        duplicate_hash(completion),
        sum(sizes),
        request,
        response,
    )


def _completion(row: Sequence[object]) -> Completion:
    _, name, kind, created, model, request, response, finish, latency_ms, source, redaction, *inner = row
    metadata, grades, named = (json.loads(str(text)) for text in inner)
    return Completion(
        id=str(name),
        kind=Kind(str(kind)),
        created=int(str(created)),
        model=str(model),
        request=json.loads(str(request)),
        response=json.loads(str(response)),
        metadata=metadata,
        finish_reason=None if finish is None else str(finish),
        grades={
            grader: Grade(grader, float(score), None if passed is None else bool(passed))
            for grader, (score, passed) in grades.items()
        },
        latency_ms=latency_ms if isinstance(latency_ms, float) else None,
        source=str(source),
        redaction=str(redaction),
        arrays=named,
    )
