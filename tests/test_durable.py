from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, NoReturn

import pytest

from edgedistill.durable import append_durably, write_durably
from edgedistill.errors import ResourceError

if TYPE_CHECKING:
    from pathlib import Path


def fail_with(number: int) -> object:
    def fail(*_: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return fail


def test_write_makes_folders_replaces_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.bin"
    write_durably(path, b"first")
    write_durably(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "b.bin"
    write_durably(path, b"first")
    monkeypatch.setattr(os, "fsync", fail_with(errno.ENOSPC))
    with pytest.raises(ResourceError, match="the disk is full"):
        write_durably(path, b"second")
    monkeypatch.setattr(os, "fsync", fail_with(errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        write_durably(path, b"second")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_append_starts_a_line_of_its_own_after_a_torn_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "index"
    append_durably(path, b"one")
    append_durably(path, b"two")
    path.write_bytes(path.read_bytes() + b"tor")
    append_durably(path, b"three")
    assert path.read_bytes() == b"one\ntwo\ntor\nthree\n"


def test_append_to_a_full_disk_is_a_resource_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "index").touch()
    monkeypatch.setattr(os, "fsync", fail_with(errno.ENOSPC))
    with pytest.raises(ResourceError, match="the disk is full"):
        append_durably(tmp_path / "index", b"one")
