"""adb's client as it is called, and what its words mean. A stand-in answers; the real one is in emulation/."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from edgedistill.devices.adb import Adb, refusal_from_adb
from edgedistill.errors import DependencyError, DeviceError, UnreachableError


def client(folder: Path, script: str) -> Path:
    """Return an adb that keeps its arguments, a line a call, and then does what the script says."""
    place = folder / "adb"
    place.write_text(f'#!/bin/sh\necho "$@" >> {folder}/calls\n{script}\n')
    place.chmod(0o755)
    return place


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (
            "adb: device unauthorized.\nThis adb server's $ADB_VENDOR_KEYS is not set\n",
            DeviceError,
            "device's screen",
        ),
        ("adb: device 'R58M' not found\n", UnreachableError, "wanted 'R58M' with the state 'device'"),
        ("error: device offline\n", UnreachableError, "offline"),
        ("error: closed\n", UnreachableError, "closed"),
        ("error: no devices/emulators found\n", UnreachableError, "no devices"),
        ("adb: no permissions (user in plugdev group; are your udev rules wrong?)\n", DeviceError, "udev rule"),
    ],
)
def test_what_adb_says_becomes_an_error(said: str, kind: type[DeviceError], words: str) -> None:
    error = refusal_from_adb(said, device="phone", serial="R58M")
    assert type(error) is kind
    with pytest.raises(DeviceError, match=words):
        raise error


def test_a_command_s_own_words_are_no_refusal() -> None:
    assert refusal_from_adb("sh: nothing: not found\n", device="phone", serial="R58M") is None


def test_every_call_names_its_device(tmp_path: Path) -> None:
    device = Adb("R58M", program=client(tmp_path, "exit 0"))
    device.shell("id", timeout_s=10)
    device.send(tmp_path / "a", PurePosixPath("/data/b"), timeout_s=10)
    device.fetch(PurePosixPath("/data/b"), tmp_path / "c", timeout_s=10)
    assert (tmp_path / "calls").read_text().splitlines() == [
        "-s R58M shell -T id",
        f"-s R58M push {tmp_path}/a /data/b",
        f"-s R58M pull /data/b {tmp_path}/c",
    ]
    assert str(device.home()) == "/data/local/tmp/edgedistill"


def test_a_device_of_the_network_is_connected_to_again(tmp_path: Path) -> None:
    script = (
        f'case "$*" in connect*) touch {tmp_path}/connected; exit 0 ;; disconnect*) exit 0 ;; esac\n'
        f'[ -e {tmp_path}/connected ] && exit 0\necho "error: device offline" >&2; exit 1'
    )
    assert Adb("10.0.0.7:5555", program=client(tmp_path, script)).shell("id", timeout_s=10).returncode == 0
    assert [line.split()[0] for line in (tmp_path / "calls").read_text().splitlines()] == [
        "-s",
        "disconnect",
        "connect",
        "-s",
    ]


def test_a_device_on_a_cable_that_is_gone_is_unreachable(tmp_path: Path) -> None:
    device = Adb("R58M", program=client(tmp_path, "echo \"adb: device 'R58M' not found\" >&2; exit 1"))
    with pytest.raises(UnreachableError, match="not found"):
        device.shell("id", timeout_s=10)
    assert len((tmp_path / "calls").read_text().splitlines()) == 1


def test_a_client_that_is_named_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(DependencyError, match=r"no .*/absent here"):
        Adb("R58M", program=tmp_path / "absent")
