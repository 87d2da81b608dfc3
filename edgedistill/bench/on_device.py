"""Has an artifact measured by its own runner on a device, and reads what comes back."""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

import numpy as np

from edgedistill.bench.analysis import measurement_from_recording
from edgedistill.bench.measurement import Measurement, Rehearsal, rehearsal_of
from edgedistill.bench.pair import PairRecording, pair_from_document
from edgedistill.bench.reading import recordings_from_text
from edgedistill.devices.jobs import PATIENCE, Job, run_job
from edgedistill.devices.remote import RemoteDevice
from edgedistill.errors import DataError, DeviceError, GateError, UnsupportedError
from edgedistill.evaluate.executor import Execution

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from edgedistill.bench.recording import Accuracy, Recording
    from edgedistill.devices.base import Device
    from edgedistill.devices.jobs import Patience

    Say = Callable[[str], None]

GATE_FAILED, BAD_INPUT = 3, 2
LOADING_S = 1200.0
"""Of each process, for what is no inference: imports, loading, the first inference."""
LAST_WORDS = 400


@dataclass(frozen=True)
class Settings:
    """How to measure on a device.

    Args:
        processes: fresh processes.
        seconds: of inference of all processes together, at least.
        samples: inferences of all processes together, at least.
        max_seconds: after which one process ends anyway.
        threads: of the runtime.
        affinity: CPUs to stay on; none means wherever the system likes.
        rest_seconds: before each process.
        mode: `burst`, or `sustained` (one process, no rest).
    """

    processes: int = 5
    seconds: float = 60.0
    samples: int = 1024
    max_seconds: float = 1200.0
    threads: int = 1
    affinity: tuple[int, ...] | None = None
    rest_seconds: float = 1.0
    mode: Literal["burst", "sustained"] = "burst"

    @property
    def timeout_s(self) -> float:
        """Longest time of the whole measurement."""
        return self.processes * (self.max_seconds + LOADING_S + self.rest_seconds) + LOADING_S


@dataclass(frozen=True)
class Place:
    """A device, and how to deal with it.

    Args:
        device: reached.
        into: local folder for what jobs there print.
        patience: with lost connections and other users.
        say: takes a line of the log at a time.
        timeout_s: of one job; none means as long as the settings ask for.
    """

    device: Device
    into: Path
    patience: Patience = PATIENCE
    say: Say = lambda _: None
    timeout_s: float | None = None


def measure_on_device(artifact: Path, place: Place, settings: Settings) -> Recording:
    """Return the recording of an artifact on a device. On an emulated one the protocol is rehearsed, and marked so.

    Args:
        artifact: its folder.
        place: where.
        settings: how.

    Raises:
        GateError: the artifact computes something else there, or a process did not end well.
        UnsupportedError: the device is an emulated CPU without a system.
        DeviceError: the device cannot be reached, or its runner failed.
        DataError: what came back is no recording.
    """
    folder = place.device.push(artifact)
    command = bench_command(settings, name=place.device.name, emulated=_is_rehearsed(place))
    answer = _asked(place, folder, command, settings)
    # a runner that measures more (FP16 beside INT8, GPU time beside latency) says the artifact's own latency first
    recording = recordings_from_text(answer, thing=f"runner on {place.device.name}")[0]
    return _as_addressed(recording, place)


def bench_command(settings: Settings, *, name: str, emulated: bool) -> tuple[str, ...]:
    """Return what every target's runner is asked for.

    Args:
        settings: how to measure.
        name: of the device.
        emulated: whether the protocol is only rehearsed there.
    """
    options = _options(settings, name=name, emulated=emulated)
    return ("bench", *options, "--mode", settings.mode, "--min-samples", str(settings.samples))


def _as_addressed(recording: Recording, place: Place) -> Recording:
    """Return the recording with what we know better than the runner: this workstation is no device, even on ARM."""
    if place.device.describe().execution is not Execution.HOST:
        return recording
    here = recording.device.model_copy(update={"kind": "host", "execution": "host"})
    return recording.model_copy(update={"device": here})


def judged(recording: Recording) -> Measurement | Rehearsal:
    """Return a recording as what it is: a measurement, or an emulator's rehearsal, which has no latency."""
    emulated = recording.device.execution == "emulated"
    return rehearsal_of(recording) if emulated else measurement_from_recording(recording)


def measure_pair_on_device(first: Path, second: Path, place: Place, settings: Settings) -> PairRecording:
    """Return the recording of two artifacts that take turns on a device.

    Raises:
        GateError, DeviceError, DataError: as `measure_on_device`; DataError also on an emulated device.
    """
    one, other = place.device.push(first), place.device.push(second)
    options = _options(settings, name=place.device.name, emulated=_is_rehearsed(place))
    command = ("pair", "--against", str(other), *options)
    answer = _asked(place, one, command, settings)
    thing = f"runner on {place.device.name}"
    try:
        document = json.loads(answer)
    except ValueError as error:
        raise DataError(thing, found=f"no JSON document: {answer[-LAST_WORDS:]!r}") from error
    return pair_from_document(document, thing=thing)


def with_accuracy(recording: Recording, accuracy: Accuracy) -> Recording:
    """Return a recording that says how accurate the artifact was on that device."""
    return recording.model_copy(update={"accuracy": accuracy})


def outputs_on_device(artifact: Path, inputs: NDArray[np.generic], place: Place) -> NDArray[np.float32]:
    """Return what an artifact computes on a device, (n, ...) float32, of preprocessed inputs.

    Raises:
        GateError, DeviceError: as `measure_on_device`.
    """
    folder = place.device.push(artifact)
    with tempfile.TemporaryDirectory() as local:
        np.save(Path(local) / "inputs.npy", inputs)
        job = place.device.push(Path(local))
        files = ("--inputs", str(job / "inputs.npy"), "--outputs", str(job / "outputs.npy"))
        _asked(place, folder, ("run", *files), Settings())
        place.device.pull(job / "outputs.npy", Path(local) / "outputs.npy")
        return np.asarray(np.load(Path(local) / "outputs.npy", allow_pickle=False), np.float32)


def _is_rehearsed(place: Place) -> bool:
    emulated = place.device.describe().execution is Execution.EMULATED
    if emulated and not isinstance(place.device, RemoteDevice):
        raise UnsupportedError(
            f"measuring on {place.device.name}",
            found="a program of an emulated CPU cannot start the fresh processes that the protocol needs",
            fix="`edgedistill devices emulate start` boots a board that can rehearse it; time is latency on neither",
        )
    return emulated


def _options(settings: Settings, *, name: str, emulated: bool) -> list[str]:
    cpus = [] if settings.affinity is None else ["--affinity", ",".join(map(str, settings.affinity))]
    return [
        *("--processes", str(settings.processes), "--seconds", str(settings.seconds)),
        *("--max-seconds", str(settings.max_seconds), "--threads", str(settings.threads)),
        *("--rest", str(settings.rest_seconds), "--name", name),
        *cpus,
        *(["--rehearse"] if emulated else []),
    ]


def _asked(place: Place, folder: PurePosixPath, command: Sequence[str], settings: Settings) -> str:
    """Return what the runner printed; detached from the connection where the device is not here."""
    whole = ("python3", str(folder / "runner.py"), *command)
    timeout_s = place.timeout_s or settings.timeout_s
    if isinstance(place.device, RemoteDevice):
        key = hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:16]
        job = Job(f"{command[0]}-{key}", whole, timeout_s)
        ended = run_job(place.device, job, into=place.into, patience=place.patience, say=place.say)
        code, said, errors = ended.returncode, ended.stdout, ended.stderr
    else:
        done = place.device.run(whole, timeout_s=timeout_s)
        code, said, errors = done.returncode, done.stdout, done.stderr
    if code == 0:
        return said
    message = _message(said) or (errors.strip() or said.strip())[-LAST_WORDS:] or "nothing was said"
    if code == GATE_FAILED:
        raise GateError(f"`runner.py {command[0]}` on {place.device.name}", found=message)
    raise DeviceError(f"`runner.py {command[0]}` on {place.device.name}", found=f"it ended with {code}: {message}")


def _message(said: str) -> str:
    try:
        return str(json.loads(said)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return ""
