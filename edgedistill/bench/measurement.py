"""A measurement: a recording of a real machine, and what follows from its samples.

The type of an emulator's recording is `Rehearsal`: it has no latency, and nothing here makes one from it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

from edgedistill.bench.recording import DeviceState, Part, Recording
from edgedistill.bench.steady_state import Label
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = "edgedistill.measurement/1"


class RealDevice(DeviceState):
    """A machine whose time is time."""

    execution: Literal["device", "host"]


class EmulatedDevice(DeviceState):
    """An emulator or simulator: what it computes counts, how long it takes does not."""

    execution: Literal["emulated"]


class RealRecording(Recording):
    """A recording of a real machine."""

    device: RealDevice


class EmulatedRecording(Recording):
    """A recording of an emulator."""

    device: EmulatedDevice


class Quantile(Part):
    """One quantile over the steady samples of all processes."""

    share: float
    value_ms: float | None
    """A sample that was observed; none below `needed` samples."""
    interval95_ms: tuple[float, float] | None
    """Between two samples, by order statistics, whatever the distribution; none with too few samples."""
    bound99_ms: float | None
    """The quantile is below with 99 % confidence; none below `needed` samples."""
    needed: int
    """Samples that bound it at 99 %."""


class ProcessFinding(Part):
    """One process: what it did after its first inference."""

    label: Label
    n: int
    """Its samples."""
    begins: int | None
    """Index of the first steady sample; none without a steady state."""
    changes: tuple[int, ...]
    """Samples at which the level changed."""
    p50_ms: float | None
    """Median of its steady samples."""
    drift: float
    """Median of the last tenth of all its samples over that of the first."""
    frequency_ratio: float | None
    """The same of the CPU frequency; none where it was not read."""
    modes_ms: tuple[float, float] | None
    """Medians of two alternating modes."""


class Throttling(Part):
    """Whether the machine slowed down under the load."""

    found: bool | None
    """None where neither frequency nor a drift says anything: too few samples."""
    evidence: tuple[str, ...]
    """What was seen, or what could not be read."""
    first_minute_ms: float | None = None
    """Median of the first minute of a process that ran for two minutes or more: burst."""
    last_minute_ms: float | None = None
    """Median of its last minute: sustained."""


class Energy(Part):
    """Energy of an inference by one sensor: mean power over the samples, times their time, per sample."""

    sensor: str
    idle_w: float | None
    """With nothing running; none where it was not read."""
    active_w: float
    seconds: float
    mj_per_inference: float
    net_mj_per_inference: float | None
    """Idle subtracted."""
    net_ci95_mj: tuple[float, float] | None
    """Across processes; none with one process."""


class Analysis(Part):
    """What follows from the samples."""

    verdict: Literal["steady", "slow-down", "throttled", "no steady state"]
    n: int
    """Steady samples of all processes."""
    steady_processes: int
    quick: bool
    """Fewer than 1,024 samples, or less than 60 s of them."""
    cold_load_ms: float
    first_inference_ms: float
    p50_ms: float | None
    """None where fewer than half of the processes reached a steady state: then there is no number."""
    p50_ci95_ms: tuple[float, float] | None
    """By a bootstrap over processes."""
    p90: Quantile | None
    p99: Quantile | None
    mad_ms: float | None
    mean_ms: float | None
    lowest_ms: float | None
    highest_ms: float | None
    outliers: int
    """Steady samples further than 5 MAD from the median; none was removed."""
    between_process_cv: float | None
    """Standard deviation of the processes' medians over their mean; none with one process."""
    peak_memory_bytes: int | None
    """Largest of the processes."""
    model_memory_bytes: int | None
    """The same without what the runtime took before it loaded the model."""
    processes: tuple[ProcessFinding, ...]
    throttling: Throttling
    energy: tuple[Energy, ...] = ()
    failed_rules: tuple[str, ...]
    """What a reader should doubt; empty where nothing is known against it."""


class Measurement(Part):
    """A recording of a real machine with its analysis; everything but the recording can be computed again."""

    schema_version: Literal["edgedistill.measurement/1"] = "edgedistill.measurement/1"
    id: str
    """First 16 digits of the sha256 of the recording."""
    recording: RealRecording
    analysis: Analysis

    @property
    def title(self) -> str:
        """Name of the artifact: `target/profile`, or the bare name."""
        artifact = self.recording.artifact
        return f"{artifact.target}/{artifact.profile}" if artifact.target else artifact.name

    @property
    def beside(self) -> str:
        """What a Jetson measured beside the artifact's latency: `FP16`, `GPU time`; empty for that latency."""
        recording = self.recording
        if recording.runtime.name != "tensorrt":
            return ""
        kinds = {"FP16": recording.artifact.precision == "fp16", "GPU time": recording.protocol.clock == "cuda_event"}
        return ", ".join(name for name, found in kinds.items() if found)


class Rehearsal(Part):
    """The protocol carried out on an emulated device: it says that everything works, and nothing of time."""

    schema_version: Literal["edgedistill.rehearsal/1"] = "edgedistill.rehearsal/1"
    id: str
    recording: EmulatedRecording


def id_of(recording: Part) -> str:
    """Return the first 16 digits of the sha256 of a recording as it is written, without `precisions` if it has none.

    Recordings from before there was such a part keep their names.
    """
    without = {"precisions"} if getattr(recording, "precisions", None) is None else set()
    return hashlib.sha256(recording.model_dump_json(by_alias=True, exclude=without).encode()).hexdigest()[:16]


def real_recording(recording: Recording) -> RealRecording:
    """Return a recording of a real machine as the type that says so.

    Raises:
        DataError: it comes from an emulator.
    """
    if recording.device.execution == "emulated":
        raise DataError(
            f"measurement of '{recording.artifact.name}' on {recording.device.name}",
            found="an emulated device, whose time says nothing of any other",
            wanted="a recording of a device or of this workstation",
        )
    return RealRecording.model_validate(recording.model_dump(by_alias=True))


def rehearsal_of(recording: Recording) -> Rehearsal:
    """Return an emulator's recording as the type that has no latency.

    Raises:
        DataError: it comes from a real machine.
    """
    if recording.device.execution != "emulated":
        raise DataError(f"recording on {recording.device.name}", found="a real machine", wanted="an emulated one")
    emulated = EmulatedRecording.model_validate(recording.model_dump(by_alias=True))
    return Rehearsal(id=id_of(recording), recording=emulated)


def measurement_from_file(path: Path) -> Measurement:
    """Return a measurement that `results.py` wrote.

    Raises:
        DataError: the file is missing, or is no measurement.
    """
    try:
        return Measurement.model_validate_json(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"measurement '{path}'", found=f"cannot be read: {str(error)[:300]}", wanted=f"a file of schema {SCHEMA}"
        ) from error
