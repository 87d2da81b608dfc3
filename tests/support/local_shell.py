"""A transport whose other end is this machine, with a home of its own: what a device does, without a network."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

from edgedistill.devices.base import Completed
from edgedistill.devices.remote import RemoteDevice
from edgedistill.errors import UnreachableError


class LocalShell:
    """Runs scripts in `sh`, and can be cut: for the next `cut` calls there is no connection."""

    def __init__(self, folder: Path, *, name: str = "ssh://near") -> None:
        self.folder, self.name, self.cut = folder, name, 0
        self.scripts: list[str] = []
        self.by_hand = "ssh near"
        self.lock = PurePosixPath(folder / "board.lock")

    def home(self) -> PurePosixPath:
        self._connected()
        return PurePosixPath(self.folder / "home")

    def shell(self, script: str, *, timeout_s: float) -> Completed:
        self._connected()
        self.scripts.append(script)
        done = subprocess.run(("/bin/sh", "-c", script), capture_output=True, text=True, timeout=timeout_s, check=False)
        return Completed(done.returncode, done.stdout, done.stderr)

    def send(self, file: Path, to: PurePosixPath, *, timeout_s: float) -> Completed:
        assert timeout_s > 0
        self._connected()
        shutil.copyfile(file, to)
        return Completed(0, "", "")

    def fetch(self, path: PurePosixPath, into: Path, *, timeout_s: float) -> Completed:
        assert timeout_s > 0
        self._connected()
        shutil.copyfile(path, into)
        return Completed(0, "", "")

    def _connected(self) -> None:
        if self.cut > 0:
            self.cut -= 1
            raise UnreachableError(f"device {self.name}", found="cut")


def near(folder: Path, *, name: str = "ssh://near") -> tuple[RemoteDevice, LocalShell]:
    """Return a device that is this machine, and its transport."""
    transport = LocalShell(folder, name=name)
    return RemoteDevice(transport, python=sys.executable), transport
