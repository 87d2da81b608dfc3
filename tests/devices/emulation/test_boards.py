"""Boards that boot: what they refuse, and, where they can be built, that they are what they say."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from real_boards import device_of

from edgedistill.devices.emulation import boards
from edgedistill.devices.emulation.boards import BoardChoice, EmulatedBoard
from edgedistill.errors import DependencyError, InputError, UnsupportedError
from edgedistill.evaluate.executor import Execution

Start = Callable[..., EmulatedBoard]


def test_an_unknown_cpu_model_and_a_name_that_is_a_path_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="did you mean 'cortex-a76'"):
        boards.start(BoardChoice("cortex-a67"), cache=tmp_path)
    with pytest.raises(InputError, match="small letters"):
        boards.start(BoardChoice("cortex-a76"), name="../x", cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value", "error", "words"),
    [
        ("geteuid", lambda: 1000, UnsupportedError, "not root.*sudo"),
        ("uname", lambda: os.uname_result(("Linux", "x", "6.6.9-x", "", "x86_64")), UnsupportedError, r"6\.7 or newer"),
    ],
)
def test_a_machine_that_cannot_run_one_says_why(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object, error: type[Exception], words: str
) -> None:
    monkeypatch.setattr(boards.os, name, value)
    if name != "geteuid":
        monkeypatch.setattr(boards.os, "geteuid", lambda: 0)
    with pytest.raises(error, match=words):
        boards.check_machine()


def test_missing_tools_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards.os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DependencyError, match=r"no unshare, no mount.*apt-get install"):
        boards.check_machine()


def test_a_board_that_is_not_there_cannot_be_stopped(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not known"):
        boards.stop("a72", cache=tmp_path)


def test_a_board_by_ssh_is_an_emulated_aarch64_machine_of_its_cpu(ssh_board: EmulatedBoard) -> None:
    facts = device_of(ssh_board).describe()
    assert (facts.machine, facts.execution) == ("aarch64", Execution.EMULATED)
    assert facts.facts["clusters"] == "4 x Cortex-A72"
    assert "onnxruntime" in facts.facts


def test_a_board_by_adb_is_another(adb_board: EmulatedBoard) -> None:
    facts = device_of(adb_board).describe()
    assert (facts.machine, facts.execution) == ("aarch64", Execution.EMULATED)
    assert facts.facts["clusters"] == "4 x Cortex-A53"


def test_adb_s_daemon_listens_to_this_machine_alone(adb_board: EmulatedBoard) -> None:
    lines = (
        Path("/proc/net/tcp").read_text("utf-8").splitlines() + Path("/proc/net/tcp6").read_text("utf-8").splitlines()
    )
    listening = [words[1] for words in map(str.split, lines) if words[3] == "0A"]
    ours = [place for place in listening if place.endswith(f":{adb_board.port:04X}")]
    assert ours == [f"0100007F:{adb_board.port:04X}"]


def test_its_root_is_written_by_no_board(ssh_board: EmulatedBoard) -> None:
    assert device_of(ssh_board).shell("touch /usr/x").returncode != 0


def test_a_second_start_of_a_running_board_is_refused(ssh_board: EmulatedBoard, start: Start) -> None:
    with pytest.raises(InputError, match=r"it runs already.*emulate stop a72"):
        start(ssh_board.name)


def test_a_board_that_is_stopped_keeps_its_disk_its_keys_and_its_address(start: Start, board_cache: Path) -> None:
    first = start("kept")
    before = device_of(first).describe().facts["boot"]
    device_of(first).shell("echo here > kept")
    boards.stop("kept", cache=board_cache)
    assert not boards.named("kept", cache=board_cache).running
    second = start("kept")
    assert second.port == first.port
    assert device_of(second).shell("cat kept").stdout == "here\n"
    assert device_of(second).describe().facts["boot"] != before  # as after a reboot
    boards.stop("kept", cache=board_cache, remove=True)
    assert not second.folder.exists()


def test_nothing_of_it_is_left_when_it_is_stopped(start: Start, board_cache: Path) -> None:
    board = start("gone")
    device_of(board).shell("setsid sleep 1234567 >/dev/null 2>&1 &")
    _wait_for(lambda: _processes("sleep 1234567"))
    boards.stop("gone", cache=board_cache, remove=True)
    assert not _processes("sleep 1234567")
    assert "binfmt_misc" not in Path("/proc/self/mounts").read_text("utf-8")


def _wait_for(seen: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not seen():
        assert time.monotonic() < end
        time.sleep(0.05)


def _processes(words: str) -> list[str]:
    listed = subprocess.run(("ps", "-ewwo", "args"), capture_output=True, text=True, check=True)  # noqa: S607
    return [line for line in listed.stdout.splitlines() if words in line]
