"""This workstation as a device: the same way of working as a board, and nothing to connect to."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from edgedistill.devices import probe
from edgedistill.devices.process import run_process
from edgedistill.devices.storage import Storage
from edgedistill.evaluate.executor import Execution

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path, PurePosixPath

    from edgedistill.devices.base import Completed, DeviceFacts

NAME = "local"


class Local:
    """This workstation; `python3` is the Python that runs edgedistill."""

    def __init__(self) -> None:
        self._storage = Storage(NAME)

    @property
    def name(self) -> str:
        """How the user addresses it."""
        return NAME

    def describe(self) -> DeviceFacts:
        """Return what can be read from this machine."""
        done = self.run(("python3", "-c", probe.PROGRAM), timeout_s=probe.TIMEOUT_S)
        return probe.facts_from_answer(done, device=NAME, execution=Execution.HOST)

    def push(self, folder: Path) -> PurePosixPath:
        """Copy a folder into this device's own folder for temporary files.

        Raises:
            DeviceError: there is no such folder, or no room for it.
        """
        return self._storage.push(folder)

    def run(self, command: Sequence[str], *, timeout_s: float) -> Completed:
        """Run a command in the device's own folder and wait.

        Raises:
            DeviceError: the time is over.
        """
        program = sys.executable if command[0] == "python3" else command[0]
        return run_process(
            (program, *command[1:]),
            device=NAME,
            folder=self._storage.folder,
            environment=os.environ,
            timeout_s=timeout_s,
        )

    def pull(self, path: PurePosixPath, into: Path) -> None:
        """Copy one file of the device's own folder into a local path.

        Raises:
            DeviceError: there is no such file.
        """
        self._storage.pull(path, into)
