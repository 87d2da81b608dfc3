"""What reached the journal outlives the process, whole."""

from __future__ import annotations

import multiprocessing
import os
import signal
from typing import TYPE_CHECKING

import pytest

from edgedistill.capture.journal import Journal, rows_of
from edgedistill.errors import DataError, ResourceError

if TYPE_CHECKING:
    from pathlib import Path


def test_what_was_appended_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.jsonl"
    with Journal(path) as journal:
        assert journal.entries == []
        journal.append({"id": "ä"})
        journal.append({"id": "\ud800", "n": 2})
    with Journal(path) as journal:
        assert journal.entries == [{"id": "ä"}, {"id": "\ud800", "n": 2}]


def test_a_torn_line_is_cut_off_and_what_follows_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n": 1}\n{"n": ')
    with Journal(path) as journal:
        assert journal.entries == [{"n": 1}]
        journal.append({"n": 2})
    assert path.read_bytes() == b'{"n": 1}\n{"n":2}\n'


def test_a_damaged_line_in_the_middle_is_no_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"n": 1}\n[]\n{"n": 2}\n')
    with pytest.raises(DataError, match="line 2"):
        Journal(path)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with Journal(tmp_path / "a.jsonl"), pytest.raises(ResourceError, match="another process writes"):
        Journal(tmp_path / "a.jsonl")


def _append_until_killed(path: Path, ready: multiprocessing.synchronize.Event) -> None:
    with Journal(path) as journal:
        for number in range(10**9):
            journal.append({"n": number, "text": "x" * 1000})
            if number == 50:
                ready.set()


def test_sigkill_loses_nothing_that_was_appended(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=_append_until_killed, args=(path, ready))
    process.start()
    assert ready.wait(30)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with Journal(path) as journal:
        assert len(journal.entries) > 50
        assert [entry["n"] for entry in journal.entries] == list(range(len(journal.entries)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[1]\n", "line 1: a JSON list"),
        (b'{"a": 1}\n\n{"a"\n', "line 3: no JSON"),
        (b"\xff\n", "no UTF-8"),
        (b"[" * 100_000, "line 1"),
    ],
)
def test_rows_of_a_file_that_is_none(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=message):
        rows_of(tmp_path / "a.jsonl")


def test_rows_of_a_file_that_windows_wrote(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\r\n{"a": 2}')
    assert rows_of(tmp_path / "a.jsonl") == [{"a": 1}, {"a": 2}]


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        rows_of(tmp_path / "a.jsonl")
