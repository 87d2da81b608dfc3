"""Runs an artifact's own runner on a device, and gives the outputs back as an executor's."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx

from edgedistill.errors import DeviceError, GateError
from edgedistill.evaluate.inspection import Inspection, expose_codes, inspection

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgedistill.devices.base import Device, DeviceFacts
    from edgedistill.evaluate.executor import Execution, Inputs
    from edgedistill.targets.base import Artifact

TIMEOUT_S = 3600.0
GATE_FAILED = 3  # of the runner: a file or a golden sample is not what was built


@dataclass(frozen=True)
class BoardExecutor:
    """The artifact in the device's own ONNX Runtime, started by the runner that the artifact carries.

    Args:
        artifact: what to run.
        execution: what the device is.
        connect: reaches the device; called at the first run, because an emulated board may have to be built.
        title: how the device is called in a name: "aarch64".
    """

    artifact: Artifact
    execution: Execution
    connect: Callable[[], Device]
    title: str = "aarch64"

    @cached_property
    def device(self) -> Device:
        """The device, reached."""
        return self.connect()

    @cached_property
    def facts(self) -> DeviceFacts:
        """What was probed of the device."""
        return self.device.describe()

    @property
    def name(self) -> str:
        """Short name."""
        return f"onnxruntime-{self.title}"

    @property
    def label(self) -> str:
        """Runtime, version, machine, and how it is reached."""
        facts = self.facts.facts
        version = facts.get("onnxruntime", "version unknown")
        return f"ONNX Runtime {version}, {self.facts.machine}, {self.execution} ({self.device.name})"

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        """Verify the artifact on the device, run it, and return outputs (n, classes), float32.

        Raises:
            GateError: files or golden outputs on the device are not what was built.
            DeviceError: the device cannot be reached, or the runner failed there.
        """
        with tempfile.TemporaryDirectory() as local:
            folder = Path(local)
            np.save(folder / "inputs.npy", inputs)
            artifact = self.device.push(self.artifact.folder)
            job = self.device.push(folder)
            runner = str(artifact / "runner.py")
            self._call("python3", runner, "verify")
            self._call(
                "python3",
                runner,
                "run",
                "--inputs",
                str(job / "inputs.npy"),
                "--outputs",
                str(job / "outputs.npy"),
            )
            self.device.pull(job / "outputs.npy", folder / "outputs.npy")
            return np.load(folder / "outputs.npy", allow_pickle=False)  # type: ignore[no-any-return] # numpy types load as Any

    def inspect(self, inputs: Inputs) -> Inspection:
        """Return outputs and the codes of every quantized activation, as the device's kernels write them.

        Raises:
            DeviceError: the device cannot be reached, or the job failed there.
        """
        model = onnx.load(self.artifact.folder / self.artifact.model)
        with tempfile.TemporaryDirectory() as local:
            folder = Path(local)
            np.save(folder / "inputs.npy", inputs)
            onnx.save(model, folder / "model.onnx")
            onnx.save(expose_codes(model), folder / "exposed.onnx")
            with resources.as_file(resources.files("edgedistill.targets.arm_onnxruntime.device") / "codes.py") as path:
                shutil.copyfile(path, folder / "codes.py")
            job = self.device.push(folder)
            done = self.device.run(("python3", str(job / "codes.py"), str(job)), timeout_s=TIMEOUT_S)
            if done.returncode:
                said = (done.stdout + done.stderr).strip()[-400:]
                raise DeviceError(f"inspection on {self.device.name}", found=f"ended with {done.returncode}: {said}")
            for name in ("outputs.npz", "optimized-model.onnx", "optimized-exposed.onnx"):
                self.device.pull(job / name, folder / name)
            with np.load(folder / "outputs.npz", allow_pickle=False) as found:
                outputs = dict(found)
            plain, exposed = (onnx.load(folder / f"optimized-{name}.onnx") for name in ("model", "exposed"))
            return inspection(outputs, model, exposed, plain)

    def _call(self, *command: str) -> dict[str, object]:
        done = self.device.run(command, timeout_s=TIMEOUT_S)
        if done.returncode == GATE_FAILED:
            raise GateError(
                f"artifact on {self.device.name}", found=f"`{command[2]}` says: {done.stdout.strip()[-400:]}"
            )
        if done.returncode:
            said = (done.stdout + done.stderr).strip()[-400:]
            raise DeviceError(
                f"runner on {self.device.name}",
                found=f"`{' '.join(command[1:3])}` ended with {done.returncode}: {said}",
            )
        return json.loads(done.stdout)  # type: ignore[no-any-return] # json types loads as Any
