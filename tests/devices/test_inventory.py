"""devices.toml: what it may say, which of two files wins, and what a name becomes."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgedistill.devices.adb import Adb
from edgedistill.devices.emulated import EmulatedArm
from edgedistill.devices.inventory import inventory, listed, reached
from edgedistill.devices.local import Local
from edgedistill.devices.openssh import OpenSsh
from edgedistill.devices.remote import RemoteDevice
from edgedistill.errors import DependencyError, InputError, UnsupportedError

KITCHEN = """
[devices.kitchen]
address = "ssh://pi@192.168.1.20"
python = "/home/pi/venv/bin/python3"
folder = "/data/edgedistill"
ssh_config = "lab"
timeout_s = 1800.0
"""


@pytest.fixture(autouse=True)
def _homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("EDGEDISTILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def write(text: str, path: Path = Path("devices.toml")) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def test_a_name_becomes_a_device(tmp_path: Path) -> None:
    write(KITCHEN)
    item = listed("kitchen")
    assert item.entry.timeout_s == 1800
    device = reached(item)
    assert isinstance(device, RemoteDevice)
    assert isinstance(device.transport, OpenSsh)
    assert (device.name, device.python) == ("kitchen", "/home/pi/venv/bin/python3")
    assert str(device.home) == "/data/edgedistill"
    command = device.transport.command()
    assert command[:3] == ("ssh", "-F", str(tmp_path / "lab"))
    assert command[-2:] == ("-l", "pi")


def test_the_project_s_file_wins_over_the_user_s(tmp_path: Path) -> None:
    write(
        '[devices.a]\naddress = "ssh://one"\n[devices.b]\naddress = "ssh://two"',
        tmp_path / "config/edgedistill/devices.toml",
    )
    write('[devices.a]\naddress = "ssh://three"')
    assert {name: item.entry.address for name, item in inventory().items()} == {"a": "ssh://three", "b": "ssh://two"}


def test_addresses_need_no_file() -> None:
    assert isinstance(reached(listed("local")), Local)
    emulated = reached(listed("emulated:cortex-a53"))
    assert isinstance(emulated, EmulatedArm)
    assert emulated.cpu_model == "cortex-a53"
    assert reached(listed("ssh://pi@kitchen:2222")).name == "ssh://pi@kitchen:2222"


def test_adb_s_client_is_found_or_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DependencyError, match="no adb here"):
        reached(listed("adb:R58M"))
    write('[devices.phone]\naddress = "adb:R58M"\nadb = "tools/adb"')
    write("#!/bin/sh", Path("tools/adb"))
    device = reached(listed("phone"))
    assert isinstance(device, RemoteDevice)
    assert isinstance(device.transport, Adb)
    assert device.transport.by_hand == f"{tmp_path / 'tools/adb'} -s R58M shell"


def test_without_ssh_the_message_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DependencyError, match="no ssh here"):
        reached(listed("ssh://pi@kitchen"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x =", "no TOML"),
        ("[devices.a]\naddres = 'local'", "did you mean 'address'"),
        ("[device.a]\naddress = 'local'", "did you mean 'devices'"),
        ("[devices.a]\npython = 'python3'", r"'devices\.a\.address': Field required"),
        ("[devices.a]\naddress = 'http://x'", "no address"),
        ("[devices.a]\naddress = 'local'\npython = 'python3; rm -rf /'", "pattern"),
        ("[devices.a]\naddress = 'local'\nfolder = '../x'", "pattern"),
        ("[devices.a]\naddress = 'local'\ntimeout_s = -1.0", "greater than 0"),
        ("[devices.local]\naddress = 'ssh://x'", "the name 'local'"),
        ("[devices.'-a']\naddress = 'ssh://x'", "the name '-a'"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(text: str, found: str) -> None:
    write(text)
    with pytest.raises(InputError, match=found):
        inventory()


def test_an_unknown_name_says_what_there_is() -> None:
    write(KITCHEN)
    with pytest.raises(InputError, match=r"did you mean 'kitchen'.*ssh://USER@HOST"):
        listed("kitchn")


def test_a_name_that_names_a_name_is_refused() -> None:
    write('[devices.a]\naddress = "b"')
    with pytest.raises(InputError, match="the address 'b'"):
        reached(listed("a"))


def test_an_unknown_cpu_model_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="cortex-a76"):
        reached(listed("emulated:cortex-a67"))


def test_a_file_that_is_no_list_is_not_read() -> None:
    write("#" * (2**20 + 1))
    with pytest.raises(InputError, match="wanted a list of devices"):
        inventory()
