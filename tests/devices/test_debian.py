"""Packages of Debian without a network: mirrors out of apt's own words, and a package built on the spot."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from edgedistill.devices import debian
from edgedistill.devices.base import Completed
from edgedistill.devices.debian import (
    Source,
    download,
    download_from_any,
    mirrors,
    mirrors_from_targets,
    missing_tools,
    unpack,
    unpack_one,
)
from edgedistill.devices.host_tools import run_tool
from edgedistill.errors import DependencyError

if TYPE_CHECKING:
    from pathlib import Path


def test_mirrors_are_debians_archives_each_once() -> None:
    listing = """\
http://mirror.example.org/debian/|Debian
http://mirror.example.org/debian/|Debian
http://mirror.example.org/debian-security/|Debian
http://archive.example.org/ubuntu/|Ubuntu
https://other.example.org/debian|
https://packages.example.org/apt/|
https://third.example.org/debian|Third
cdrom://disc/debian|Debian
"""
    assert mirrors_from_targets(listing) == ("http://mirror.example.org/debian", "https://other.example.org/debian")


def test_debians_general_mirror_comes_last_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    listing = f"http://mirror.example.org/debian/|Debian\n{debian.FALLBACK_MIRROR}/|Debian\n"
    monkeypatch.setattr(debian, "run_tool", lambda *_: Completed(0, listing, ""))
    assert mirrors() == ("http://mirror.example.org/debian", debian.FALLBACK_MIRROR)


def test_missing_tools_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda tool: None if tool == "apt-get" else f"/usr/bin/{tool}")
    assert missing_tools().startswith("no apt-get (")
    monkeypatch.setattr(shutil, "which", lambda tool: f"/usr/bin/{tool}")
    monkeypatch.setattr(debian, "KEYRING", "/nowhere.gpg")
    assert "no /nowhere.gpg to check Debian's signatures" in missing_tools()


def test_apt_is_told_to_use_folders_of_ours_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commands = []
    monkeypatch.setattr(debian, "run_tool", lambda *command, **_: commands.append(command) or Completed(0, "", ""))
    state = tmp_path / "apt"
    download(("libc6",), Source("http://mirror.example.org/debian", "bookworm", "arm64"), into=tmp_path)
    settings = (state / "apt.conf").read_text()
    assert [command[4:] for command in commands] == [("update",), ("download", "libc6")]
    assert all(command[2:4] == ("--config-file", str(state / "apt.conf")) for command in commands)
    for folder in ("State", "Cache"):
        assert f'Dir::{folder} "{state}/' in settings
    assert "#clear APT::Update::Post-Invoke;" in settings
    assert f"signed-by={debian.KEYRING}] http://mirror.example.org/debian bookworm main" in (
        (state / "sources.list").read_text()
    )


def test_a_mirror_that_does_not_answer_is_named_with_apts_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(debian, "run_tool", lambda *_, **__: Completed(100, "", "E: Could not\n resolve 'x'"))
    with pytest.raises(DependencyError, match="`apt-get update`: E: Could not resolve 'x'"):
        download(("libc6",), Source("http://x/debian", "bookworm", "arm64"), into=tmp_path)


def test_each_suite_of_each_mirror_is_asked_in_turn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def download(packages: tuple[str, ...], source: Source, *, into: Path) -> None:
        assert (packages, source.architecture, into) == (("libc6",), "arm64", tmp_path)
        asked.append((source.mirror, source.suite))
        if len(asked) < 4:
            raise DependencyError("`apt-get update`", found=f"reason {len(asked)}")

    monkeypatch.setattr(debian, "mirrors", lambda: ("http://own/debian", "http://general/debian"))
    monkeypatch.setattr(debian, "download", download)
    download_from_any(("libc6",), suites=("old", "new"), architecture="arm64", into=tmp_path)
    assert asked == [
        ("http://own/debian", "old"),
        ("http://general/debian", "old"),
        ("http://own/debian", "new"),
        ("http://general/debian", "new"),
    ]
    asked.clear()
    with pytest.raises(DependencyError, match="for arm64: http://own/debian old: reason 1; http://general/debian old"):
        download_from_any(("libc6",), suites=("old",), architecture="arm64", into=tmp_path)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is not installed")
    root = tmp_path / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        "Package: small\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: small\n"
    )
    (root / "usr" / "bin").mkdir(parents=True)
    (root / "usr" / "bin" / "first").write_text("1")
    (root / "usr" / "bin" / "second").write_bytes(b"2" * 1_000_000)
    path = tmp_path / "small.deb"
    run_tool("dpkg-deb", "--root-owner-group", "--build", str(root), str(path))
    return path


def test_a_package_is_unpacked(package: Path, tmp_path: Path) -> None:
    unpack(package, tmp_path / "into")
    assert (tmp_path / "into/usr/bin/first").read_text() == "1"


def test_one_file_of_a_package_is_taken(package: Path, tmp_path: Path) -> None:
    unpack_one(package, "./usr/bin/first", tmp_path / "first")
    assert (tmp_path / "first").read_text() == "1"
    with pytest.raises(DependencyError, match=r"no file './usr/bin/third'"):
        unpack_one(package, "./usr/bin/third", tmp_path / "third")


def test_a_damaged_package_is_refused(package: Path, tmp_path: Path) -> None:
    package.write_bytes(package.read_bytes()[:-100])
    with pytest.raises(DependencyError, match=r"package 'small.deb'"):
        unpack(package, tmp_path / "into")
