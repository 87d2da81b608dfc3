"""How to reach a device: copy, run, fetch. Knows no model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path, PurePosixPath

    from edgedistill.evaluate.executor import Execution


@dataclass(frozen=True)
class DeviceFacts:
    """What was probed of a device; nothing is assumed.

    Args:
        name: how the user addresses it: "local", "emulated:cortex-a76".
        machine: `uname -m`: "aarch64".
        execution: DEVICE, HOST or EMULATED.
        facts: cpu model, cores, memory, python, onnxruntime, numpy, as far as they could be read.
    """

    name: str
    machine: str
    execution: Execution
    facts: Mapping[str, str]


@dataclass(frozen=True)
class Completed:
    """A command that ended."""

    returncode: int
    stdout: str
    stderr: str


class Device(Protocol):
    """A machine that files can be copied to and commands run on."""

    @property
    def name(self) -> str:
        """How the user addresses it."""

    def describe(self) -> DeviceFacts:
        """Return what can be read from the device."""

    def push(self, folder: Path) -> PurePosixPath:
        """Copy a folder to the device and return its path there."""

    def run(self, command: Sequence[str], *, timeout_s: float) -> Completed:
        """Run a command and wait; `python3` is the device's Python.

        Raises:
            DeviceError: the device does not answer, or the time is over.
        """

    def pull(self, path: PurePosixPath, into: Path) -> None:
        """Copy one file from the device into a local path."""
