"""Files of the cache appear whole or not at all."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from edgedistill.data.whole_file import written_whole
from edgedistill.errors import ResourceError

if TYPE_CHECKING:
    from pathlib import Path


def test_the_file_is_there_only_after_the_block(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    with written_whole(path) as beside:
        beside.write_bytes(b"content")
        assert not path.exists()
    assert path.read_bytes() == b"content"
    assert list(path.parent.iterdir()) == [path]


def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def interrupted() -> None:
        with written_whole(path) as beside:
            beside.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_said_so(tmp_path: Path) -> None:
    def filled() -> None:
        with written_whole(tmp_path / "file"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(ResourceError, match="the disk is full"):
        filled()
