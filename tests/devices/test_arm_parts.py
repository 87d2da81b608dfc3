"""The parts of the emulated board: which mirror, which emulator, what is unpacked."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from edgedistill.devices import arm_parts
from edgedistill.devices.arm_parts import fetch_packages, fetch_qemu, fetch_wheel, make_rootfs, qemu_version
from edgedistill.devices.base import Completed
from edgedistill.errors import DependencyError


def program(path: Path, version: str) -> Path:
    path.write_text(f"#!/bin/sh\necho 'qemu-aarch64 version {version}'\n")
    path.chmod(0o755)
    return path


def test_the_boards_packages_are_arm64_and_of_one_release(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []
    monkeypatch.setattr(arm_parts, "download_from_any", lambda packages, **options: asked.append((packages, options)))
    fetch_packages(tmp_path)
    options = {"suites": ("bookworm",), "architecture": "arm64", "into": tmp_path}
    assert asked == [(arm_parts.PACKAGES, options)]


def test_this_machines_own_emulator_is_used_when_it_is_new_enough(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = program(tmp_path / "own", "10.1.0")
    monkeypatch.setattr(arm_parts.shutil, "which", lambda name: str(own) if name == "qemu-aarch64" else None)
    fetch_qemu(tmp_path)
    assert (tmp_path / "qemu-aarch64").readlink() == own


def qemu_package(monkeypatch: pytest.MonkeyPatch, *, version: str) -> list[tuple[str, ...]]:
    """Let Debian have a qemu-user of some version; return the suites that were asked for it."""
    asked: list[tuple[str, ...]] = []

    def download_from_any(packages: tuple[str, ...], *, suites: tuple[str, ...], architecture: str, into: Path) -> None:
        assert (packages, architecture) == (("qemu-user",), "amd64")
        asked.append(suites)
        (into / "qemu-user_1_amd64.deb").write_text("")

    monkeypatch.setattr(arm_parts, "download_from_any", download_from_any)
    monkeypatch.setattr(arm_parts, "unpack_one", lambda _package, _member, into: program(into, version))
    return asked


def test_an_old_emulator_of_this_machine_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = program(tmp_path / "own", "7.2.22")
    monkeypatch.setattr(arm_parts.shutil, "which", lambda _: str(own))
    asked = qemu_package(monkeypatch, version="10.0.2")
    fetch_qemu(tmp_path)
    assert asked == [("bookworm-backports", "trixie")]
    assert qemu_version(tmp_path / "qemu-aarch64") == 10
    assert not list(tmp_path.glob("*.deb"))


def test_a_package_with_an_old_emulator_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(arm_parts.shutil, "which", lambda _: None)
    qemu_package(monkeypatch, version="7.2.0")
    with pytest.raises(DependencyError, match="version 7; wanted 10 or newer"):
        fetch_qemu(tmp_path)


@pytest.mark.parametrize("text", ["no version at all", "version ten"])
def test_a_program_that_names_no_version_has_none(text: str, tmp_path: Path) -> None:
    path = tmp_path / "qemu"
    path.write_text(f"#!/bin/sh\necho '{text}'\n")
    path.chmod(0o755)
    assert qemu_version(path) == 0
    assert qemu_version(tmp_path / "absent") == 0


@pytest.mark.parametrize(
    ("requirement", "listed"),
    [
        ("numpy==2.4.6", f"numpy==2.4.6 --hash=sha256:{arm_parts.WHEEL_SHA256['numpy==2.4.6']}\n"),
        ("numpy<=9.9", "numpy<=9.9\n"),
    ],
)
def test_pip_is_given_the_hash_that_is_known(
    requirement: str, listed: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def run_tool(*command: str) -> Completed:
        assert Path(command[-1]).read_text() == listed
        assert "manylinux_2_28_aarch64" in command
        (tmp_path / "a.whl").write_text("")
        return Completed(0, "", "")

    monkeypatch.setattr(arm_parts, "run_tool", run_tool)
    fetch_wheel(requirement, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.whl"]


def test_a_wheel_that_is_not_to_be_had_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(arm_parts, "run_tool", lambda *_: Completed(1, "", "ERROR: No matching distribution"))
    with pytest.raises(DependencyError, match="aarch64 wheel of numpy<=9: ERROR: No matching distribution"):
        fetch_wheel("numpy<=9", tmp_path)


def test_the_root_has_the_wheels_and_a_list_of_cpus(tmp_path: Path) -> None:
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in ("numpy/core.py", "numpy/lib/tests/test_a.py", "onnxruntime/capi/a.py", "onnxruntime/tools/b.py"):
            archive.writestr(name, "x")
        archive.writestr("../../outside.py", "x")
    root = tmp_path / "deep" / "root"
    make_rootfs(root, packages=[], wheels=[wheel])
    site = root / "usr/lib/python3/dist-packages"
    found = {path.relative_to(site).as_posix() for path in site.rglob("*.py")}
    assert found == {"numpy/core.py", "onnxruntime/capi/a.py", "outside.py"}  # no name leaves the folder
    assert (root / "sys/devices/system/cpu/possible").read_text() == "0-3\n"


def test_a_damaged_wheel_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.whl").write_bytes(b"no zip")
    with pytest.raises(DependencyError, match=r"wheel 'a.whl'"):
        make_rootfs(tmp_path / "root", packages=[], wheels=[tmp_path / "a.whl"])
