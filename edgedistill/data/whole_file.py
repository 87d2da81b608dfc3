"""Writes a file of the cache whole, or not at all."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgedistill.cache import VARIABLE
from edgedistill.errors import ResourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to; when the block ends well, the file is fsynced and renamed.

    A reader of `path` sees the whole file or none; a block that fails leaves nothing behind.

    Raises:
        ResourceError: the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # the process number keeps two runs that share the cache from writing into the same file
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield beside
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceError(
                f"file '{path}'",
                found="the disk is full",
                fix=f"free some disk space, or set ${VARIABLE} to another folder",
            ) from error
        raise
    finally:
        beside.unlink(missing_ok=True)
