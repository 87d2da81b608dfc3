"""`edgedistill devices`: what it shows of devices that are there, and how it ends with those that are not."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from edgedistill.devices.emulation import boards
from edgedistill.devices.emulation.boards import BoardChoice, EmulatedBoard, Link

if TYPE_CHECKING:
    from pathlib import Path

Call = Callable[..., Any]
NOBODY = "ssh://nobody@127.0.0.1:9"  # discard: nothing listens there


@pytest.fixture(autouse=True)
def _homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("EDGEDISTILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def test_probe_shows_what_a_device_says(edgedistill: Call) -> None:
    ended = edgedistill("devices", "probe", "local")
    assert ended.exit_code == 0
    assert ended.stdout.splitlines()[0] == f"local ({platform.machine()}, host)"
    (document,) = edgedistill("devices", "probe", "local", "--json").document()
    assert document["facts"]["python"] == platform.python_version()


def test_a_device_that_cannot_be_reached_hides_no_other_and_ends_with_4(edgedistill: Call) -> None:
    ended = edgedistill("devices", "probe", "local", "no-name", NOBODY)
    assert ended.exit_code == 4
    assert ended.stdout.startswith("local (")
    assert "device 'no-name': not in devices.toml" in ended.stderr
    assert f"device {NOBODY}: " in ended.stderr


def test_a_name_that_is_none_ends_with_2(edgedistill: Call) -> None:
    assert edgedistill("devices", "doctor", "no-name").exit_code == 2


def test_doctor_shows_every_check(edgedistill: Call) -> None:
    ended = edgedistill("devices", "doctor", "local")
    assert ended.exit_code == 0
    assert {"machine", "python", "numpy", "onnxruntime"} <= set(ended.stdout.split())
    (document,) = edgedistill("devices", "doctor", "local", "--json").document()
    assert document["checks"][0]["name"] == "machine"


def test_clean_has_nothing_to_do_here(edgedistill: Call) -> None:
    assert edgedistill("devices", "clean", "local").stdout == "local: nothing is kept here\n"


def test_the_inventory_is_listed(edgedistill: Call, tmp_path: Path) -> None:
    (tmp_path / "devices.toml").write_text('[devices.kitchen]\naddress = "ssh://pi@kitchen"\n')
    assert "kitchen" in edgedistill("devices", "list").stdout
    (entry,) = edgedistill("devices", "list", "--json").document()["inventory"]
    assert (entry["name"], entry["address"]) == ("kitchen", "ssh://pi@kitchen")


def test_a_board_is_started_listed_and_stopped(
    edgedistill: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[BoardChoice, str | None]] = []
    stopped: list[tuple[str, bool]] = []
    board = EmulatedBoard("desk", tmp_path / "boards" / "desk", BoardChoice("cortex-a53"), 2222, 1, running=True)

    def start(choice: BoardChoice, *, name: str | None, progress: object) -> EmulatedBoard:
        assert progress is not None
        started.append((choice, name))
        return board

    monkeypatch.setattr(boards, "start", start)
    monkeypatch.setattr(boards, "stop", lambda name, *, remove: stopped.append((name, remove)))
    monkeypatch.setattr(boards, "boards", lambda: [board])
    options = ("--cpu-model", "cortex-a53", "--adb", "--disk-mb", "64", "--bare", "--name", "desk")
    shown = edgedistill("devices", "emulate", "start", *options)
    assert started == [(BoardChoice("cortex-a53", Link.ADB, disk_mb=64, bare=True), "desk")]
    assert "`--device desk`" in shown.stdout
    assert "running" in edgedistill("devices", "emulate", "list").stdout
    assert edgedistill("devices", "emulate", "stop", "all", "--remove").stdout == "stopped: desk\n"
    assert stopped == [("desk", True)]
