"""The store's file: a SQLite database in WAL mode, which several processes may write, and how it is opened.

STORE/completions.db            requests, answers, metadata, grades, small arrays
STORE/arrays/ab/abcd....npy     larger arrays, named by their content
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from edgedistill.errors import DataError, ResourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATABASE = "completions.db"
APPLICATION = 0x45444350  # "EDCP": tells our files from other people's databases
VERSION = 1
BUSY_TIMEOUT_S = 30.0
"""How long a writer waits for the others before it gives up."""

NEWEST_SQLITE_FEATURE = (3, 38, 0)  # JSON functions are built in

TABLES = """
CREATE TABLE completion(
  seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again, so that a cursor stays where it was
  id TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  created INTEGER NOT NULL,
  stored INTEGER NOT NULL,
  model TEXT NOT NULL,
  requested_model TEXT NOT NULL,
  finish_reason TEXT,
  latency_ms REAL,
  source TEXT NOT NULL,
  redaction TEXT NOT NULL,
  prompt_hash TEXT NOT NULL,
  duplicate_hash TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  request TEXT NOT NULL,
  response TEXT NOT NULL
);
CREATE INDEX completion_created ON completion(created, seq);
CREATE INDEX completion_stored ON completion(stored, seq, size_bytes);
CREATE INDEX completion_model ON completion(model, created, seq);
CREATE INDEX completion_requested_model ON completion(requested_model, created, seq);
CREATE INDEX completion_prompt ON completion(prompt_hash);
CREATE TABLE metadata(
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  seq INTEGER NOT NULL REFERENCES completion ON DELETE CASCADE,
  PRIMARY KEY(key, value, seq)
) WITHOUT ROWID;
CREATE INDEX metadata_seq ON metadata(seq);
CREATE TABLE grade(
  grader TEXT NOT NULL,
  seq INTEGER NOT NULL REFERENCES completion ON DELETE CASCADE,
  score REAL NOT NULL,
  passed INTEGER,
  PRIMARY KEY(grader, seq)
) WITHOUT ROWID;
CREATE INDEX grade_seq ON grade(seq);
CREATE TABLE array(
  sha256 TEXT PRIMARY KEY,
  size_bytes INTEGER NOT NULL,
  content BLOB  -- NULL: in a file
) WITHOUT ROWID;
CREATE TABLE array_use(
  seq INTEGER NOT NULL REFERENCES completion ON DELETE CASCADE,
  name TEXT NOT NULL,
  sha256 TEXT NOT NULL REFERENCES array,
  PRIMARY KEY(seq, name)
) WITHOUT ROWID;
CREATE INDEX array_use_sha256 ON array_use(sha256);
"""


def connected(folder: Path) -> sqlite3.Connection:
    """Open the database of a store; make it, readable by its owner alone, where it is missing.

    Raises:
        DataError: the file is not a store, or one of a later version.
        ResourceError: the folder cannot be written.
    """
    path = folder / DATABASE
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        database = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            _prepare(database, folder)
        except BaseException:
            database.close()
            raise
    return database


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn the database's errors into ours."""
    thing = f"store '{folder}'"
    try:
        yield
    except sqlite3.OperationalError as error:
        fix = "free some space" if "full" in str(error) else "is another program writing into it?"
        raise ResourceError(thing, found=str(error), fix=fix if _is_about_room_or_locks(error) else "") from error
    except sqlite3.DatabaseError as error:
        raise DataError(thing, found=str(error), wanted="a store of captured completions") from error


def _is_about_room_or_locks(error: sqlite3.OperationalError) -> bool:
    return any(word in str(error) for word in ("full", "locked", "busy"))


def _prepare(database: sqlite3.Connection, folder: Path) -> None:
    if sqlite3.sqlite_version_info < NEWEST_SQLITE_FEATURE:
        raise ResourceError("SQLite", found=sqlite3.sqlite_version, wanted="3.38 or later")
    database.execute("PRAGMA foreign_keys=ON")
    database.execute("PRAGMA secure_delete=ON")  # what is deleted is overwritten with zeros
    database.execute("PRAGMA temp_store=MEMORY")  # else sorting may leave prompts in the folder for temporary files
    # A commit is on the disk before it is reported. NORMAL would survive a killed process but not a power cut.
    database.execute("PRAGMA synchronous=FULL")
    if not _is_ours(database, folder):
        _make(database)
        _is_ours(database, folder)


def _is_ours(database: sqlite3.Connection, folder: Path) -> bool:
    """Say whether the tables are there; refuse files that are not ours."""
    application, version = (_pragma(database, name) for name in ("application_id", "user_version"))
    if (application, version) == (APPLICATION, VERSION):
        return True
    thing = f"store '{folder}'"
    if application == APPLICATION:
        fix = "open it with that version of edgedistill, and export it"
        raise DataError(thing, found=f"format {version}", wanted=f"format {VERSION}", fix=fix)
    with closing(database.execute("SELECT count(*) FROM sqlite_master")) as tables:
        if tables.fetchone() != (0,):
            raise DataError(thing, found="a database of another program", wanted="a store of captured completions")
    return False


def _make(database: sqlite3.Connection) -> None:
    with suppress(sqlite3.OperationalError):  # another process is making it at this moment, and has set both
        database.execute("PRAGMA auto_vacuum=INCREMENTAL")
        database.execute("PRAGMA journal_mode=WAL")
    database.execute("BEGIN IMMEDIATE")
    try:
        if _pragma(database, "application_id") != APPLICATION:
            for statement in TABLES.split(";\n"):
                database.execute(statement)
            database.execute(f"PRAGMA application_id={APPLICATION}")
            database.execute(f"PRAGMA user_version={VERSION}")
        database.execute("COMMIT")
    except BaseException:
        database.execute("ROLLBACK")
        raise


def _pragma(database: sqlite3.Connection, name: str) -> int:
    (value,) = database.execute(f"PRAGMA {name}").fetchone()
    return int(value)
