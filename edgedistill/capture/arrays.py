"""Arrays beside the completions: kept once however often they occur, under the sha256 of their content.

An array is the bytes of a `.npy` file: the database holds it up to SMALL_BYTES, a file of its own above that (SQLite
reads and writes small values faster than the file system: sqlite.org/fasterthanfs.html).
"""

from __future__ import annotations

import io
import time
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.durable import write_durably
from edgedistill.errors import DataError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

FOLDER = "arrays"
SMALL_BYTES = 64 * 1024
ABANDONED_S = 3600.0  # nothing takes that long to write one array
LAYOUT = (1, 0)  # of the .npy format, written out: the same array gives the same bytes with every numpy


def encoded(array: NDArray[np.generic]) -> tuple[str, bytes]:
    """Return an array's sha256 and its content.

    Raises:
        DataError: the array holds Python objects.
    """
    if array.dtype.hasobject:
        raise DataError("array", found=f"dtype {array.dtype}", wanted="numbers")
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array, order="C"), version=LAYOUT, allow_pickle=False)
    content = file.getvalue()
    return sha256(content).hexdigest(), content


def write_file(folder: Path, name: str, content: bytes) -> None:
    """Write an array that is too large for the database, if it is not there already.

    Raises:
        ResourceError: the disk is full.
    """
    if len(content) > SMALL_BYTES and not path_of(folder, name).exists():
        write_durably(path_of(folder, name), content)


def refer(database: sqlite3.Connection, folder: Path, name: str, content: bytes) -> None:
    """Enter an array into the database, within the transaction that enters its completion.

    Raises:
        ResourceError: the disk is full.
    """
    # again: since `write_file` somebody may have deleted the last completion that had this array
    write_file(folder, name, content)
    kept = content if len(content) <= SMALL_BYTES else None
    database.execute("INSERT OR IGNORE INTO array VALUES(?, ?, ?)", (name, len(content), kept))


def read(database: sqlite3.Connection, folder: Path, name: str) -> NDArray[np.generic]:
    """Return an array.

    Raises:
        DataError: there is none of this name, or its file is gone or damaged.
    """
    thing = f"array '{name}'"
    row = database.execute("SELECT content FROM array WHERE sha256 = ?", (name,)).fetchone()
    if row is None:
        raise DataError(thing, found="not in the store")
    content = row[0] if row[0] is not None else _file_content(path_of(folder, name), thing=thing)
    if sha256(content).hexdigest() != name:
        raise DataError(thing, found="its content is damaged", wanted="content with this sha256")
    array: NDArray[np.generic] = np.load(io.BytesIO(content), allow_pickle=False)
    return array


def unused(database: sqlite3.Connection) -> list[str]:
    """Return the arrays that no completion has."""
    text = "SELECT sha256 FROM array WHERE sha256 NOT IN (SELECT sha256 FROM array_use)"
    return [name for (name,) in database.execute(text)]


def forget(database: sqlite3.Connection, folder: Path, names: Iterable[str]) -> None:
    """Delete those of some arrays that no completion has, within a transaction of its own.

    It comes after the transaction that deleted the completions: were it the same one and died after a file and
    before the commit, a completion would be left without its array.
    """
    text = "DELETE FROM array WHERE sha256 = ? AND NOT EXISTS (SELECT 1 FROM array_use u WHERE u.sha256 = array.sha256)"
    for name in names:
        if database.execute(text, (name,)).rowcount:
            path_of(folder, name).unlink(missing_ok=True)


def sweep_files(database: sqlite3.Connection, folder: Path) -> int:
    """Delete files that the database does not know: a writer died before it entered them; return how many."""
    known = {name for (name,) in database.execute("SELECT sha256 FROM array WHERE content IS NULL")}
    found = [path for path in (folder / FOLDER).rglob("*") if path.is_file()]
    strays = [path for path in found if path.stem not in known and not _is_being_written(path)]
    for path in strays:
        path.unlink(missing_ok=True)
    return len(strays)


def path_of(folder: Path, name: str) -> Path:
    """Return where the file of an array is, if it has one."""
    return folder / FOLDER / name[:2] / f"{name}.npy"


def _is_being_written(path: Path) -> bool:
    return path.suffix == ".tmp" and time.time() - path.stat().st_mtime < ABANDONED_S


def _file_content(path: Path, *, thing: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(thing, found=f"'{path}': {error.strerror}") from error
