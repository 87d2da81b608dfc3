"""A device at the other end of a connection: SSH or adb carries a shell and files, all else is the same here."""

from __future__ import annotations

import hashlib
import secrets
import shlex
import tarfile
import tempfile
import time
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

from edgedistill.devices import probe
from edgedistill.devices.base import Completed
from edgedistill.errors import DeviceError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedistill.devices.base import DeviceFacts

ASK_TIMEOUT_S = 60.0
SLACK_S = 20.0
"""Time between the end of a command on the device and giving up on its answer."""
SLOWEST_BYTES_PER_S = 50_000
ENDED_BY_TIMEOUT = (124, 137, 143)
"""What `timeout` returns for a command that it had to end, depending on whose it is."""
NO_SPACE = "No space left on device"


class Transport(Protocol):
    """Carries a shell's commands and files to one device."""

    @property
    def name(self) -> str:
        """How the user addresses the device."""

    @property
    def lock(self) -> PurePosixPath:
        """A file on the device that all its users share, for one to hold at a time."""

    @property
    def by_hand(self) -> str:
        """The command line with which the user runs a command there himself."""

    def shell(self, script: str, *, timeout_s: float) -> Completed:
        """Run a POSIX shell's script on the device; its return code may be the connection's.

        Raises:
            UnreachableError: there is no connection, or no answer in time.
            DeviceError: the device refuses us, or is not the one we know.
        """

    def send(self, file: Path, to: PurePosixPath, *, timeout_s: float) -> Completed:
        """Copy a file to the device.

        Raises:
            UnreachableError, DeviceError: as `shell`.
        """

    def fetch(self, path: PurePosixPath, into: Path, *, timeout_s: float) -> Completed:
        """Copy a file from the device.

        Raises:
            UnreachableError, DeviceError: as `shell`.
        """

    def home(self) -> PurePosixPath:
        """Return the folder on the device in which we keep what we copy."""


class RemoteDevice:
    """A device reached over a transport.

    Args:
        transport: SSH or adb.
        python: the device's Python, `python3` or a path.
    """

    def __init__(self, transport: Transport, *, python: str = "python3") -> None:
        self.transport = transport
        self.python = python

    @property
    def name(self) -> str:
        """How the user addresses it."""
        return self.transport.name

    @cached_property
    def home(self) -> PurePosixPath:
        """The folder on the device in which we keep what we copy.

        Raises:
            DeviceError: the device cannot be reached.
        """
        return self.transport.home()

    @cached_property
    def facts(self) -> DeviceFacts:
        """What was probed of it, once."""
        return self.describe()

    def describe(self) -> DeviceFacts:
        """Return what can be read from the device.

        Raises:
            DeviceError: it cannot be reached.
        """
        token = secrets.token_hex(8)
        done = self.shell(probe.shell_program(token, python=self.python, home=str(self.home)))
        return probe.facts_from_files(probe.files_from_text(done.stdout, token), device=self.name)

    def push(self, folder: Path) -> PurePosixPath:
        """Copy a folder to the device, under the hash of what is in it; one that is there is not copied again.

        Raises:
            DeviceError: there is no such folder, no room, or no connection.
        """
        try:
            digest = folder_digest(folder)
        except OSError as error:
            raise DeviceError(f"copy of '{folder}' to {self.name}", found=str(error)) from error
        place = self.home / "files" / f"{folder.name}-{digest[:16]}"
        if self.shell(f"test -d {shlex.quote(str(place))}").returncode != 0:
            self._copy(folder, place)
        return place

    def forget(self, place: PurePosixPath) -> None:
        """Remove a folder that was pushed.

        Raises:
            UnreachableError: there is no connection.
        """
        assert place.is_relative_to(self.home / "files")  # noqa: S101 - what push returned
        self.shell(f"rm -rf {shlex.quote(str(place))}")

    def run(self, command: Sequence[str], *, timeout_s: float) -> Completed:
        """Run a command and wait; `python3` is the device's Python. It ends with the connection: see `jobs.py`.

        Raises:
            UnreachableError: the device does not answer.
            DeviceError: the time is over.
        """
        program = self.python if command[0] == "python3" else command[0]
        return self.shell(shlex.join((program, *command[1:])), timeout_s=timeout_s)

    def pull(self, path: PurePosixPath, into: Path) -> None:
        """Copy one file from the device into a local path, whole or not at all.

        Raises:
            DeviceError: there is no such file, or no connection.
        """
        thing = f"file '{path}' of {self.name}"
        listed = self.shell(f"wc -c < {shlex.quote(str(path))}")
        if listed.returncode or not listed.stdout.strip().isdigit():
            raise DeviceError(thing, found=_last_line(listed.stderr) or "it is not there")
        size = int(listed.stdout)
        beside = into.with_name(f".{into.name}.partial")
        try:
            done = self.transport.fetch(path, beside, timeout_s=_seconds_for(size))
            if done.returncode:
                raise UnreachableError(thing, found=_last_line(done.stderr) or "the connection broke")
            found = beside.stat().st_size
            if found != size:
                raise UnreachableError(thing, found=f"{found} of {size} bytes came")
            beside.replace(into)
        except OSError as error:
            raise DeviceError(thing, found=str(error)) from error
        finally:
            beside.unlink(missing_ok=True)

    def shell(self, script: str, *, timeout_s: float = ASK_TIMEOUT_S) -> Completed:
        """Run a POSIX shell's script on the device and wait for its end.

        Its return code is printed by the shell there, because that of the connection's program could be either's.
        `timeout`, where the device has it, ends what we would leave behind.

        Raises:
            UnreachableError: the connection broke before the script ended.
            DeviceError: the script does not end.
        """
        token = secrets.token_hex(8)
        limit = f"timeout -s KILL {max(1, round(timeout_s))}"
        command = f"sh -c {shlex.quote(script)}"
        whole = (
            f"if command -v timeout >/dev/null 2>&1; then {limit} {command}; else {command}; fi; "
            f'printf "\\n{token} %d\\n" $? >&2'
        )
        begun = time.monotonic()
        done = self.transport.shell(whole, timeout_s=timeout_s + SLACK_S)
        said, found, code = done.stderr.rpartition(f"\n{token} ")
        if not found:
            raise UnreachableError(
                f"device {self.name}", found=f"the connection broke: {_last_line(done.stderr) or 'nothing was said'}"
            )
        returncode = int(code.split()[0])
        if returncode in ENDED_BY_TIMEOUT and time.monotonic() - begun >= timeout_s:
            raise DeviceError(f"command on {self.name}", found=f"no end within {timeout_s:g} s; it was stopped")
        return Completed(returncode, done.stdout, said)

    def room(self) -> str:
        """Return how full the device's disk is, for a message."""
        done = self.shell(f"df -Pk {shlex.quote(str(self.home))} 2>/dev/null | tail -n 1")
        words = done.stdout.split()
        if len(words) < 4:  # noqa: PLR2004 - device, size, used, free, ...
            return "how much is free could not be read"
        return f"{int(words[3]) / 1024:.1f} MB of {int(words[1]) / 1024:.1f} MB are free in {self.home}"

    def _copy(self, folder: Path, place: PurePosixPath) -> None:
        thing = f"copy of '{folder}' to {self.name}"
        beside = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
        archive = beside.with_suffix(".tar")
        with tempfile.NamedTemporaryFile(suffix=".tar") as local:
            packed_folder(folder, Path(local.name))
            size = Path(local.name).stat().st_size
            made = self.shell(f"mkdir -p {shlex.quote(str(beside))}")
            if made.returncode == 0:
                made = self.transport.send(Path(local.name), archive, timeout_s=_seconds_for(size))
        if made.returncode == 0:
            quoted = {name: shlex.quote(str(path)) for name, path in (("a", archive), ("b", beside), ("p", place))}
            made = self.shell(
                "tar -xf {a} -C {b} && rm {a} && {{ mv {b} {p} 2>/dev/null || test -d {p}; }}".format(**quoted),
                timeout_s=_seconds_for(size),
            )
        if made.returncode:
            self.shell(f"rm -rf {shlex.quote(str(beside))} {shlex.quote(str(archive))}")
            raise self._refusal(thing, made, size)

    def _refusal(self, thing: str, done: Completed, size: int) -> DeviceError:
        said = _last_line(done.stderr)
        if NO_SPACE in done.stderr or "disk quota" in done.stderr.lower():
            return DeviceError(
                thing,
                found=f"its disk is full: {self.room()}",
                wanted=f"{size / 2**20:.1f} MB",
                fix="free some space there, or give the device another `folder` in devices.toml",
            )
        return DeviceError(thing, found=said or f"it ended with {done.returncode}")


def folder_digest(folder: Path) -> str:
    """Return the sha256 of the names and contents of every file in a folder."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            inner = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{inner}\n".encode())
    if not folder.is_dir():
        raise FileNotFoundError(2, "No such file or directory", str(folder))
    return digest.hexdigest()


def packed_folder(folder: Path, into: Path) -> None:
    """Write a folder as a tar archive that names no user of this machine and no time."""

    def anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = entry.mtime = 0
        entry.uname = entry.gname = ""
        return entry

    with tarfile.open(into, "w", format=tarfile.USTAR_FORMAT) as archive:
        archive.add(folder, arcname=".", filter=anonymous)


def _seconds_for(size_bytes: int) -> float:
    return ASK_TIMEOUT_S + size_bytes / SLOWEST_BYTES_PER_S


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][-300:] if lines else ""
