"""What all devices at the other end of a connection do, over one that leads back to this machine."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path, PurePosixPath

import pytest
from local_shell import LocalShell, near

from edgedistill.devices.base import Completed
from edgedistill.devices.remote import RemoteDevice, folder_digest, packed_folder
from edgedistill.errors import DeviceError, UnreachableError
from edgedistill.evaluate.executor import Execution


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "job" / "inner").mkdir(parents=True)
    (tmp_path / "job" / "a b").write_text("spaces")
    (tmp_path / "job" / "inner" / "text").write_text("hello")
    return tmp_path / "job"


def test_a_folder_is_pushed_once_and_found_again(tmp_path: Path, folder: Path) -> None:
    device, transport = near(tmp_path)
    place = device.push(folder)
    assert (Path(place) / "inner" / "text").read_text() == "hello"
    assert (Path(place) / "a b").read_text() == "spaces"
    before = len(transport.scripts)
    assert device.push(folder) == place
    assert len(transport.scripts) == before + 1  # it asked, and copied nothing
    (folder / "a b").write_text("other")
    assert device.push(folder) != place


def test_nothing_half_is_left_where_a_whole_folder_is_looked_for(tmp_path: Path, folder: Path) -> None:
    class Broken(LocalShell):
        def send(self, file: Path, to: PurePosixPath, *, timeout_s: float) -> Completed:
            super().send(file, to, timeout_s=timeout_s)
            return Completed(1, "", "cat: write error: No space left on device\n")

    device = RemoteDevice(Broken(tmp_path))
    with pytest.raises(
        DeviceError, match=r"its disk is full: [\d.]+ MB of [\d.]+ MB are free .* wanted .* MB"
    ) as caught:
        device.push(folder)
    assert "devices.toml" in str(caught.value)
    assert os.listdir(tmp_path / "home" / "files") == []  # noqa: PTH208 - hidden ones too


def test_a_file_comes_back_whole_or_not_at_all(tmp_path: Path, folder: Path) -> None:
    device, _ = near(tmp_path)
    place = device.push(folder)
    device.pull(place / "a b", tmp_path / "back")
    assert (tmp_path / "back").read_text() == "spaces"
    with pytest.raises(DeviceError, match="absent"):
        device.pull(place / "absent", tmp_path / "none")

    class Short(LocalShell):
        def fetch(self, path: PurePosixPath, into: Path, *, timeout_s: float) -> Completed:
            assert path.name
            assert timeout_s > 0
            into.write_text("sp")
            return Completed(0, "", "")

    with pytest.raises(UnreachableError, match="2 of 6 bytes"):
        RemoteDevice(Short(tmp_path)).pull(place / "a b", tmp_path / "none")
    assert not list(tmp_path.glob("*none*"))


def test_a_command_s_own_code_is_told_from_the_connection_s(tmp_path: Path) -> None:
    device, _ = near(tmp_path)
    done = device.run(("sh", "-c", "echo out; echo err >&2; exit 255"), timeout_s=10)
    assert (done.returncode, done.stdout, done.stderr) == (255, "out\n", "err\n")

    class Dropping(LocalShell):
        def shell(self, script: str, *, timeout_s: float) -> Completed:
            assert script
            assert timeout_s > 0
            return Completed(255, "half an ans", "client_loop: send disconnect: Broken pipe\n")

    with pytest.raises(UnreachableError, match="Broken pipe"):
        RemoteDevice(Dropping(tmp_path)).run(("true",), timeout_s=10)


def test_arguments_arrive_as_they_are(tmp_path: Path) -> None:
    words = ("a b", "$HOME", "`id`", "';", '"', "ä\n", "*", "")
    device, _ = near(tmp_path)
    done = device.run(("python3", "-c", "import sys; print(sys.argv[1:])", *words), timeout_s=10)
    assert done.stdout == f"{list(words)}\n"


def test_a_command_without_end_is_stopped(tmp_path: Path) -> None:
    device, _ = near(tmp_path)
    with pytest.raises(DeviceError, match="no end within 1 s; it was stopped"):
        device.run(("sleep", "60"), timeout_s=1)


def test_it_is_probed_without_python(tmp_path: Path) -> None:
    transport = LocalShell(tmp_path)
    facts = RemoteDevice(transport, python="/no/python").describe()
    assert (facts.machine, facts.execution) == (os.uname().machine, Execution.DEVICE)
    assert facts.facts["kernel"] == f"Linux {os.uname().release}"
    assert "python" not in facts.facts
    assert "/no/python" in facts.facts["python problem"]
    assert "MB of" in facts.facts["disk free"]


def test_an_archive_names_no_user_and_no_time(folder: Path, tmp_path: Path) -> None:
    packed_folder(folder, tmp_path / "one.tar")
    os.utime(folder / "a b", (1, 1))
    packed_folder(folder, tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as archive:
        assert {(entry.uname, entry.uid) for entry in archive} == {("", 0)}


def test_a_digest_is_of_names_and_contents(folder: Path, tmp_path: Path) -> None:
    before = folder_digest(folder)
    (folder / "a b").rename(folder / "b")
    assert folder_digest(folder) != before
    with pytest.raises(FileNotFoundError):
        folder_digest(tmp_path / "absent")
    with pytest.raises(DeviceError, match="absent"):
        near(tmp_path)[0].push(tmp_path / "absent")
