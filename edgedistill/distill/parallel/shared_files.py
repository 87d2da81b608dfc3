"""Processes of one run share a file system: checked before anything is computed."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from edgedistill.durable import write_durably
from edgedistill.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from edgedistill.distill.parallel.group import Group

PATIENCE_S = (
    30.0  # a network file system may take this long to show a new file (nfs(5): acdirmax is 60 s, acregmin 3 s)
)
POLL_S = 0.1


def require_shared(folder: Path, group: Group, *, thing: str, fix: str) -> None:
    """Check that every process sees in a folder what every other writes there.

    Args:
        folder: by the path that this process knows it under.
        group: the processes.
        thing: what the folder is, for the message.
        fix: what to set.

    Raises:
        InputError: some process does not.
    """
    if group.count == 1:
        return
    token = group.from_first(secrets.token_hex(8))
    marks = [folder / f".seen-{token}-{rank}" for rank in range(group.count)]
    write_durably(marks[group.rank], b"")
    group.from_all(None)
    unseen = unseen_within(marks, PATIENCE_S)
    lacking = group.from_all([mark.name.rpartition("-")[2] for mark in unseen])
    marks[group.rank].unlink(missing_ok=True)
    for rank, missing in enumerate(lacking):
        if missing:
            raise InputError(
                f"{thing} '{folder}'",
                found=f"process {rank} does not see there what process {missing[0]} wrote",
                wanted="a file system that all processes share, under the same path",
                fix=fix,
            )


def wait_for_files(paths: Sequence[Path], group: Group) -> None:
    """Wait until every process has written its files, and this one sees all of them.

    Raises:
        InputError: it does not.
    """
    if group.count == 1:
        return
    group.from_all(None)
    unseen = unseen_within(paths, PATIENCE_S)
    if unseen:
        raise InputError(
            f"file '{unseen[0]}'",
            found=f"process {group.rank} does not see it, and another process has written it",
            wanted="a file system that all processes share",
        )


def unseen_within(paths: Iterable[Path], patience_s: float) -> list[Path]:
    """Return those files that are not there, once all are or the time is over."""
    deadline = time.monotonic() + patience_s
    missing = list(paths)
    while missing := [path for path in missing if not path.exists()]:
        if time.monotonic() > deadline:
            break
        time.sleep(POLL_S)
    return missing
