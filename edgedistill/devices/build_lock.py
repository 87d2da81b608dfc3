"""A lock between processes of this machine, so that one thing is built once."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgedistill.errors import UnsupportedError

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Wait until no other process holds the lock, hold it, and give it back even when the process dies.

    Args:
        path: of the lock file, made when missing and left behind: removing it would let two hold it.

    Raises:
        UnsupportedError: this system has no such locks.
    """
    if sys.platform == "win32":
        raise UnsupportedError(f"lock '{path}'", found="Windows", wanted="Linux or macOS")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
