"""Android and other devices by adb's own client."""

from __future__ import annotations

import re
import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from edgedistill.devices.tool import run_client
from edgedistill.errors import DependencyError, DeviceError, UnreachableError

if TYPE_CHECKING:
    from edgedistill.devices.base import Completed

HOME = PurePosixPath("/data/local/tmp/edgedistill")
LOCK = PurePosixPath("/data/local/tmp/edgedistill.lock")
ASK_TIMEOUT_S = 30.0


class Adb:
    """One device of adb.

    Args:
        serial: as `adb devices` shows it: "R58M12ABCDE", or "HOST:PORT" over a network.
        name: how the user calls it; none means the address.
        program: path of adb; none means the one on PATH.
        folder: on the device, for what we keep there; none means a folder that its shell may always use.

    Raises:
        DependencyError: this machine has no adb.
    """

    def __init__(
        self,
        serial: str,
        *,
        name: str | None = None,
        program: Path | None = None,
        folder: PurePosixPath | None = None,
    ) -> None:
        found = str(program) if program else shutil.which("adb")
        if found is None or (program and not program.exists()):
            fix = "apt-get install adb, or give `adb` in devices.toml"
            raise DependencyError(f"device adb:{serial}", found=f"no {program or 'adb'} here", fix=fix)
        self.serial, self._program, self._folder = serial, found, folder
        self._name = name or f"adb:{serial}"

    @property
    def name(self) -> str:
        """How the user addresses it."""
        return self._name

    @property
    def lock(self) -> PurePosixPath:
        """The lock file of the device's users."""
        return LOCK

    @property
    def by_hand(self) -> str:
        """How the user opens a shell himself."""
        return f"{self._program} -s {self.serial} shell"

    def shell(self, script: str, *, timeout_s: float) -> Completed:
        """Run a script; see `Transport`."""
        return self._adb("shell", "-T", script, timeout_s=timeout_s)

    def send(self, file: Path, to: PurePosixPath, *, timeout_s: float) -> Completed:
        """Copy a file there; see `Transport`."""
        return self._adb("push", str(file), str(to), timeout_s=timeout_s)

    def fetch(self, path: PurePosixPath, into: Path, *, timeout_s: float) -> Completed:
        """Copy a file from there; see `Transport`."""
        return self._adb("pull", str(path), str(into), timeout_s=timeout_s)

    def home(self) -> PurePosixPath:
        """Return the chosen folder, else one in `/data/local/tmp`."""
        return self._folder or HOME

    def _adb(self, *arguments: str, timeout_s: float) -> Completed:
        done = self._once(*arguments, timeout_s=timeout_s)
        if done.returncode and _is_gone(done.stderr) and ":" in self.serial:  # over a network: connect again
            self._connect()
            done = self._once(*arguments, timeout_s=timeout_s)
        refusal = refusal_from_adb(done.stderr, device=self.name, serial=self.serial) if done.returncode else None
        if refusal is not None:
            raise refusal
        return done

    def _once(self, *arguments: str, timeout_s: float) -> Completed:
        return run_client((self._program, "-s", self.serial, *arguments), device=self.name, timeout_s=timeout_s)

    def _connect(self) -> None:
        for verb in ("disconnect", "connect"):  # a connection that broke is kept as "offline" until it is dropped
            run_client((self._program, verb, self.serial), device=self.name, timeout_s=ASK_TIMEOUT_S)


def refusal_from_adb(said: str, *, device: str, serial: str) -> DeviceError | None:
    """Return the error that adb's last words amount to; none when they are the command's own."""
    thing = f"device {device}"
    last = " ".join(said.split())[-400:]
    if "unauthorized" in said:
        fix = "confirm this computer's key on the device's screen, then try again"
        return DeviceError(thing, found="it has not authorised this computer", fix=fix)
    if "no permissions" in said:
        fix = "add a udev rule for it (package android-sdk-platform-tools-common)"
        return DeviceError(thing, found=last, fix=fix)
    if _is_gone(said) or "cannot connect to daemon" in said:
        return UnreachableError(
            thing, found=last, fix=f"`adb devices` lists what is there; wanted '{serial}' with the state 'device'"
        )
    return None


def _is_gone(said: str) -> bool:
    pattern = (
        r"(error|adb): .*(not found|offline|closed|no devices|failed to connect|unable to connect|connection reset)"
    )
    return bool(re.search(pattern, said))
