"""Writing a file so that a reader sees the whole of it or nothing, even after a power cut."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from edgedistill.errors import ResourceError

if TYPE_CHECKING:
    from pathlib import Path


def write_durably(path: Path, content: bytes) -> None:
    """Write a file beside its place, fsync it and rename it; make the folder where it is missing.

    Raises:
        ResourceError: the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The numbers keep two runs that share a cache, and two threads of one, from writing into the same file.
    beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        _write(beside, content)
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(path, len(content)) from error
        raise
    _sync_folder(path.parent)


def append_durably(path: Path, line: bytes) -> None:
    """Append one line to a file and fsync it. A line that a crash has torn before stays a line of its own.

    Raises:
        ResourceError: the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("ab") as file:
            fcntl.flock(
                file, fcntl.LOCK_EX
            )  # other processes append too, and a network file system appends nowhere else
            torn = not _ends_a_line(path)
            file.write((b"\n" if torn else b"") + line + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(path, len(line)) from error
        raise


def disk_full(path: Path, size_bytes: int) -> ResourceError:
    """Return the error of a write that found no space."""
    return ResourceError(
        f"file '{path}'", found=f"the disk is full at {size_bytes:,} more bytes", fix="free some disk space"
    )


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable (fsync(2): a file's fsync does not cover its folder's entry)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
