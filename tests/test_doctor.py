from __future__ import annotations

import importlib.metadata
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from edgedistill import doctor
from edgedistill.doctor import Check, State

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]


def check(cache: Path, name: str) -> Check:
    (found,) = (found for found in doctor.checks(cache=cache) if found.name == name)
    return found


def with_version(monkeypatch: pytest.MonkeyPatch, package: str, version: str | None) -> None:
    real: Callable[[str], str] = importlib.metadata.version

    def fake(name: str) -> str:
        if name != package:
            return real(name)
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, "version", fake)


def test_the_tested_versions_are_those_of_the_constraints() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    assert {name: pinned[name] for name in doctor.TESTED} == doctor.TESTED


@pytest.mark.parametrize(
    ("version", "state", "fix"),
    [
        ("2.13.0", State.OK, ""),
        ("2.13.0+cpu", State.OK, ""),
        ("2.13.01", State.DIFFERS, "pip install torch==2.13.0"),
        ("2.9.0", State.DIFFERS, "pip install torch==2.13.0"),
        (None, State.MISSING, "pip install torch==2.13.0"),
    ],
)
def test_versions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str | None, state: State, fix: str) -> None:
    with_version(monkeypatch, "torch", version)
    found = check(tmp_path, "torch")
    assert (found.state, found.fix) == (state, fix)


def test_without_onnx_runtime_the_doctor_still_speaks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_version(monkeypatch, "onnxruntime", None)
    assert check(tmp_path, "onnxruntime").state is State.MISSING
    assert check(tmp_path, "emulated ARM64 board").state is State.OPTIONAL


def test_an_extra_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    required = ["numpy>=2", "no-such_package.x[y]>=1; extra == 'apple'", 'ruff>=1 ; extra == "dev"']
    metadata = SimpleNamespace(get_all=lambda _name: ["apple", "dev"])
    monkeypatch.setattr(importlib.metadata, "requires", lambda _name: required)
    monkeypatch.setattr(importlib.metadata, "metadata", lambda _name: metadata)
    assert check(tmp_path, "extra apple") == Check(
        "extra apple", State.OPTIONAL, "not installed: no-such_package.x", "pip install 'edgedistill[apple]'"
    )
    assert "extra dev" not in {found.name for found in doctor.checks(cache=tmp_path)}


def test_a_cache_that_is_not_there_yet(tmp_path: Path) -> None:
    found = check(tmp_path / "a" / "b", "cache folder")
    assert (found.state, found.found) == (State.OK, f"{tmp_path}/a/b (made when needed)")
    assert not (tmp_path / "a").exists()


def test_a_cache_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    found = check(tmp_path / "file" / "cache", "cache folder")
    assert found.state is State.MISSING
    assert "EDGEDISTILL_CACHE" in found.fix


@pytest.mark.parametrize(("free", "state"), [(doctor.NEEDED_BYTES, State.OK), (doctor.NEEDED_BYTES - 1, State.MISSING)])
def test_disk_space(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, state: State) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=free))
    assert check(tmp_path, "disk space").state is state
