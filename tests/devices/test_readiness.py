"""The doctor of a device: what is missing, and a command that is the right one for this device."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

import pytest
from local_shell import near

from edgedistill.devices import readiness, wheels
from edgedistill.devices.base import Completed, DeviceFacts
from edgedistill.devices.readiness import Check, State, examined
from edgedistill.devices.wheels import fetch_wheels, platforms
from edgedistill.errors import DependencyError
from edgedistill.evaluate.executor import Execution

if TYPE_CHECKING:
    from pathlib import Path

WELL = {
    "python": "3.11.2",
    "python bits": "64",
    "libc": "glibc 2.36",
    "numpy": "2.4.6",
    "onnxruntime": metadata.version("onnxruntime"),
    "disk free": "20000 MB of 29297 MB",
    "governor": "performance",
    "temperature sensors": "cpu-thermal 51.5 °C",
}


def checks(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    machine: str = "aarch64",
    wheels: bool = False,
    **other: str | None,
) -> dict[str, Check]:
    """Return the checks of a device with these facts; `None` takes one away, `_` stands for a space."""
    device, _ = near(folder)
    changes = {name.replace("_", " "): value for name, value in other.items()}
    facts = {name: value for name, value in {**WELL, **changes}.items() if value is not None}
    monkeypatch.setattr(device, "describe", lambda: DeviceFacts("d", machine, Execution.DEVICE, facts))
    return {check.name: check for check in examined(device, wheels=wheels)}


def test_a_device_that_lacks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = checks(tmp_path, monkeypatch)
    assert {check.state for check in found.values()} == {State.OK}
    assert not [check.fix for check in found.values() if check.fix]


@pytest.mark.parametrize(
    ("machine", "other", "name", "state", "fix"),
    [
        ("armv7l", {}, "machine", State.MISSING, "64-bit system"),
        ("aarch64", {"python_bits": "32"}, "machine", State.MISSING, "64-bit system"),
        ("aarch64", {"python": "3.7.3"}, "python", State.MISSING, "ssh near 'sudo apt-get install -y python3'"),
        ("aarch64", {"python": None}, "python", State.MISSING, "apt-get install"),
        ("aarch64", {"python": None, "os": "Android 14"}, "python", State.MISSING, "`python` in devices.toml"),
        ("aarch64", {"onnxruntime": None}, "onnxruntime", State.MISSING, "python3 -m venv"),
        ("aarch64", {"onnxruntime": "1.16.0"}, "onnxruntime", State.DIFFERS, "onnxruntime=="),
        ("aarch64", {"disk_free": "3 MB of 100 MB"}, "disk free", State.MISSING, "free 50 MB"),
        ("aarch64", {"governor": "ondemand"}, "governor", State.DIFFERS, "sudo tee"),
        ("aarch64", {"throttled": "now: under-voltage"}, "throttled", State.DIFFERS, "power supply"),
        ("aarch64", {"clock": "7200 s behind this machine's"}, "clock", State.DIFFERS, "set-ntp"),
        ("aarch64", {"frequency_limit": "1.5 of 2.4 GHz"}, "frequency limit", State.DIFFERS, "scaling_max_freq"),
        ("aarch64", {"temperature_sensors": None}, "temperature sensors", State.OPTIONAL, ""),
    ],
)
def test_each_lack_has_its_fix(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    machine: str,
    other: dict[str, str | None],
    name: str,
    state: State,
    fix: str,
) -> None:
    found = checks(tmp_path, monkeypatch, machine=machine, **other)
    assert found[name].state is state
    assert fix in found[name].fix


def test_the_gpu_build_is_the_same_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = checks(tmp_path, monkeypatch, onnxruntime=None, **{"onnxruntime-gpu": WELL["onnxruntime"]})
    assert found["onnxruntime"].state is State.OK


def test_wheels_are_copied_and_the_command_unpacks_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetch(packages: list[str], facts: dict[str, str], *, machine: str, into: Path) -> list[Path]:
        asked.append((tuple(packages), facts["python"], machine))
        (into / "numpy-2-x.whl").write_text("w")
        return []

    monkeypatch.setattr(readiness, "fetch_wheels", fetch)
    found = checks(tmp_path, monkeypatch, wheels=True, numpy=None)
    assert asked == [(("numpy",), "3.11.2", "aarch64")]
    copied = list((tmp_path / "home" / "files").glob("wheels-*/numpy-2-x.whl"))
    assert len(copied) == 1
    assert str(copied[0].parent) in found["numpy"].fix
    assert "zipfile -e" in found["numpy"].fix


def test_platforms_are_those_that_the_c_library_runs() -> None:
    tags = platforms("aarch64", "glibc 2.28")
    assert tags[0] == "manylinux_2_28_aarch64"
    assert tags[-2:] == ("manylinux_2_17_aarch64", "manylinux2014_aarch64")
    assert platforms("aarch64", "musl 1.2") == ()


def test_wheels_are_asked_for_this_runtime_first_and_then_for_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def run(*command: str) -> Completed:
        asked.append(command[-1])
        assert command[command.index("--python-version") + 1] == "3.8"
        return Completed(0 if command[-1] == "onnxruntime" else 1, "", "no such version")

    monkeypatch.setattr(wheels, "run_tool", run)
    facts = {"python": "3.8.10", "libc": "glibc 2.31"}
    fetch_wheels(["onnxruntime"], facts, machine="aarch64", into=tmp_path)
    assert asked == [f"onnxruntime=={metadata.version('onnxruntime')}", "onnxruntime"]
    with pytest.raises(DependencyError, match=r"wheel of numpy for Python 3\.8 on aarch64: no such version"):
        fetch_wheels(["numpy"], facts, machine="aarch64", into=tmp_path)
    with pytest.raises(DependencyError, match="C library is not known"):
        fetch_wheels(["numpy"], {"python": "3.11"}, machine="aarch64", into=tmp_path)
