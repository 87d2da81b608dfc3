"""Runs an artifact's own runner as a job on a device: verifies it there, computes outputs, measures.

Every target's runner takes the same commands (`verify`, `run`, `bench`) and prints the same JSON documents, so this
knows no target.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.devices.jobs import FOLDER, PATIENCE, Finished, Job, Patience, carried_out, job_folder
from edgedistill.devices.remote import RemoteDevice
from edgedistill.errors import DependencyError, DeviceError, GateError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import PurePosixPath

    from numpy.typing import NDArray

    from edgedistill.devices.base import Device, DeviceFacts
    from edgedistill.evaluate.executor import Execution, Inputs
    from edgedistill.targets.base import Artifact, DeviceProfile

GATE_FAILED = 3  # of the runner: a file or a golden sample is not what was built
SAID_CHARACTERS = 400
RUNTIMES = {"onnxruntime": "ONNX Runtime", "onnxruntime-gpu": "ONNX Runtime", "tensorrt": "TensorRT"}


@dataclass(frozen=True)
class DeviceExecutor:
    """An artifact on a device.

    Args:
        artifact: what to run.
        profile: of the device model it was built for.
        device: where to run it.
        work: local folder for what jobs print and write.
        timeout_s: of one job.
        patience: with a lost connection, and with other users.
        say: takes a line for the device's log at a time.
        notes: what happened to the jobs on the way; they are added to.
    """

    artifact: Artifact
    profile: DeviceProfile
    device: Device
    work: Path
    timeout_s: float
    patience: Patience = PATIENCE
    say: Callable[[str], None] = lambda _: None
    notes: list[str] = field(default_factory=list)

    @cached_property
    def facts(self) -> DeviceFacts:
        """What was probed of the device.

        Raises:
            DeviceError: it cannot be reached.
            UnsupportedError: it is not the kind of machine that the artifact was built for.
        """
        facts = self.device.describe()
        self.say(f"reached: {facts.machine}, {facts.execution}")
        wanted = self.profile.facts.get("machine")
        if wanted is not None and facts.machine != wanted:
            raise UnsupportedError(
                f"device {self.device.name}",
                found=f"{facts.machine}",
                wanted=f"{wanted}, which the artifact for {self.profile.title} was built for",
                fix="build for a profile of this device",
            )
        return facts

    @property
    def name(self) -> str:
        """How the device is addressed."""
        return self.device.name

    @property
    def label(self) -> str:
        """Runtime, version, machine, and how it is reached."""
        known = self.facts.facts
        runtime = next((f"{title} {known[key]}" for key, title in RUNTIMES.items() if key in known), "runtime unknown")
        model = known.get("model", self.facts.machine)
        return f"{runtime}, {model}, {self.execution} ({self.device.name})"

    @property
    def execution(self) -> Execution:
        """What stands behind the result: a device, or an emulated one."""
        return self.facts.execution

    @cached_property
    def place(self) -> PurePosixPath:
        """The artifact's folder on the device, copied there when it is not there yet, and verified there.

        Raises:
            GateError: files or golden outputs on the device are not what was built.
            DependencyError: its runtime is missing there.
            DeviceError: the device cannot be reached, or the runner failed there.
        """
        assert self.facts  # noqa: S101 - the machine is checked before anything is copied
        place = self.device.push(self.artifact.folder)
        self.say(f"artifact is in {place}")
        self.document(self.carried_out(place, "verify"))
        return place

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        """Return outputs (n, classes), float32, of preprocessed inputs (n, *input_shape), computed there.

        Raises:
            GateError, DependencyError, DeviceError: as `place`.
        """
        artifact = self.place
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder) / "inputs"
            local.mkdir()
            np.save(local / "inputs.npy", inputs)
            there = self.device.push(local)
            done = self.carried_out(
                artifact,
                *("run", "--inputs", str(there / "inputs.npy"), "--outputs", f"{FOLDER}/outputs.npy"),
                files=("outputs.npy",),
            )
            self.document(done)
            if isinstance(self.device, RemoteDevice):
                self.device.forget(there)
        found = done.folder / "outputs.npy"
        outputs = np.load(found, allow_pickle=False)
        found.unlink()
        return outputs  # type: ignore[no-any-return] # numpy types load as Any

    def carried_out(self, place: PurePosixPath, *command: str, files: Sequence[str] = ()) -> Finished:
        """Carry out one command of the runner as a job, whose key is the command: paths there name their content.

        Args:
            place: the artifact's folder on the device.
            command: of the runner.
            files: that it writes into the job's folder, to be fetched.
        """
        job = Job(
            key="\n".join((str(place), *command)),
            command=("python3", str(place / "runner.py"), *command),
            timeout_s=self.timeout_s,
            outputs=files,
        )
        into = self.work / job_folder(job)
        done = carried_out(self.device, job, into=into, patience=self.patience, say=self.say)
        self.notes.extend(done.notes)
        return done

    def document(self, done: Finished) -> dict[str, object]:
        """Return the JSON document that the runner printed.

        Raises:
            GateError: a file or a golden sample is not what was built, or a result would be worthless.
            DependencyError: the device lacks what the runner loads.
            DeviceError: the runner failed.
        """
        said = (done.stdout.strip() or done.stderr.strip())[-SAID_CHARACTERS:]
        if done.returncode == GATE_FAILED:
            raise GateError(f"artifact on {self.device.name}", found=_message(done.stdout) or said)
        if done.returncode and ("cannot be loaded" in said or "No module named" in done.stderr):
            raise DependencyError(
                f"device {self.device.name}",
                found=_message(done.stdout) or done.stderr.strip().splitlines()[-1],
                fix=f"`edgedistill devices doctor {self.device.name}` says what mends it",
            )
        try:
            document = json.loads(done.stdout)
        except ValueError:
            document = None
        if done.returncode or not isinstance(document, dict):
            found = f"the runner ended with {done.returncode}: {_message(done.stdout) or said}"
            raise DeviceError(f"device {self.device.name}", found=found)
        return document


def _message(stdout: str) -> str:
    try:
        return str(json.loads(stdout)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return ""
