"""Many devices at once: each has its own end and its own log."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from edgedistill.devices.fleet import Log, asked, fleet, slug
from edgedistill.devices.inventory import Entry, Listed
from edgedistill.errors import DeviceError, InputError, UnreachableError

if TYPE_CHECKING:
    from pathlib import Path


def devices(*names: str) -> list[Listed]:
    return [Listed(name, Entry(address="local"), None) for name in names]


def test_one_that_fails_stops_no_other(tmp_path: Path) -> None:
    def work(item: Listed, log: Log) -> str:
        log(f"at work on {item.name}")
        if item.name == "b":
            raise UnreachableError("device b", found="gone")
        return item.name.upper()

    ends = fleet(devices("a", "b", "ssh://c"), work, logs=tmp_path)
    assert [(end.name, end.value) for end in ends] == [("a", "A"), ("b", None), ("ssh://c", "SSH://C")]
    assert isinstance(ends[1].error, DeviceError)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", "b.log", "ssh---c.log"]
    assert "at work on b" in (tmp_path / "b.log").read_text()
    assert "error: device b: gone." in (tmp_path / "b.log").read_text()
    assert "error" not in (tmp_path / "a.log").read_text()


def test_all_are_at_work_at_once() -> None:
    together = threading.Barrier(3, timeout=30)
    assert len(fleet(devices("a", "b", "c"), lambda _item, _log: together.wait())) == 3


def test_a_bug_is_no_device_s_end() -> None:
    def work(_item: Listed, _log: Log) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fleet(devices("a"), work)


def test_no_devices_are_no_work() -> None:
    assert fleet([], lambda _item, _log: 1) == []


def test_a_name_that_is_none_is_one_of_the_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("EDGEDISTILL_CACHE", str(tmp_path))
    ends = asked(["local", "nobody", "local"], lambda device: device.name)
    assert [(end.name, end.value) for end in ends] == [("local", "local"), ("nobody", None)]
    assert isinstance(ends[1].error, InputError)


def test_names_become_files() -> None:
    assert slug("ssh://pi@kitchen:22") == "ssh---pi-kitchen-22"
