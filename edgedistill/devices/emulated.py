"""An emulated ARM64 board: the device's real programs, for its real architecture, on an emulated CPU.

What it computes counts, bit for bit; what time it takes does not. A program runs as one process of this machine
and sees this machine's files under the same paths; where the board has a file of its own (its libraries, its Python,
its CPU's /proc/cpuinfo), it sees that.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill.devices import probe
from edgedistill.devices.arm_environment import ArmEnvironment, ensure
from edgedistill.devices.base import Completed
from edgedistill.devices.process import NOT_FOUND
from edgedistill.devices.storage import Storage
from edgedistill.errors import UnsupportedError, nearest
from edgedistill.evaluate.executor import Execution
from edgedistill.progress import SILENT, Progress

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import PurePosixPath

    from edgedistill.devices.base import DeviceFacts

CPU_MODELS = (
    "cortex-a53",
    "cortex-a55",
    "cortex-a72",
    "cortex-a76",
    "cortex-a710",
    "neoverse-n1",
    "neoverse-n2",
    "neoverse-v1",
    "max",
)
"""Those of QEMU 10 on which ONNX Runtime was seen to work. `max` has every feature that QEMU knows."""
DEFAULT_CPU_MODEL = "cortex-a76"


class EmulatedArm:
    """An emulated ARM64 board; it is built when something is first asked of it.

    Args:
        cpu_model: one of `CPU_MODELS`.
        cache: folder of the cache; none means `$EDGEDISTILL_CACHE` or `~/.cache/edgedistill`.
        progress: where a build reports.

    Raises:
        UnsupportedError: another CPU model.
    """

    def __init__(
        self, cpu_model: str = DEFAULT_CPU_MODEL, *, cache: Path | None = None, progress: Progress = SILENT
    ) -> None:
        if cpu_model not in CPU_MODELS:
            raise UnsupportedError(
                f"CPU model '{cpu_model}' of the emulated board", found="not known", fix=nearest(cpu_model, CPU_MODELS)
            )
        self.cpu_model = cpu_model
        self._cache, self._progress = cache, progress
        self._storage = Storage(self.name)

    @property
    def name(self) -> str:
        """How the user addresses it: "emulated:cortex-a76"."""
        return f"emulated:{self.cpu_model}"

    @cached_property
    def environment(self) -> ArmEnvironment:
        """The board's files, built if need be.

        Raises:
            UnsupportedError: this machine is not Linux on x86-64.
            DependencyError: a tool is missing, or something cannot be downloaded.
            ResourceError: there is not enough room.
        """
        return ensure(cache=self._cache, progress=self._progress)

    def describe(self) -> DeviceFacts:
        """Return what the board's own Python says of it."""
        done = self.run(("python3", "-c", probe.PROGRAM), timeout_s=probe.TIMEOUT_S)
        return probe.facts_from_answer(done, device=self.name, execution=Execution.EMULATED)

    def push(self, folder: Path) -> PurePosixPath:
        """Copy a folder to the board and return its path there.

        Raises:
            DeviceError: there is no such folder, or no room for it.
        """
        return self._storage.push(folder)

    def run(self, command: Sequence[str], *, timeout_s: float) -> Completed:
        """Run a program of the board and wait: `python3`, or another that its root has.

        Returns:
            Its output; return code 127 when the board has no such program.

        Raises:
            DeviceError: the time is over.
            UnsupportedError, DependencyError, ResourceError: the board cannot be built here.
        """
        program = self._program(command[0])
        if program is None:
            return Completed(NOT_FOUND, "", f"{command[0]}: the board has no such program")
        return self.environment.run(
            program, command[1:], cpu_model=self.cpu_model, folder=self._storage.folder, timeout_s=timeout_s
        )

    def pull(self, path: PurePosixPath, into: Path) -> None:
        """Copy one file from the board into a local path.

        Raises:
            DeviceError: there is no such file.
        """
        self._storage.pull(path, into)

    def _program(self, name: str) -> Path | None:
        if name == "python3":
            return self.environment.python
        places = (self.environment.rootfs / folder / Path(name).name for folder in ("usr/bin", "bin"))
        return next((path for path in places if path.is_file()), None)
