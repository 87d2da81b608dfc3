"""What a runner prints: raw samples of fresh processes, and everything needed to doubt them.

One JSON document on one line, the same from a board's Python, a phone's app and a Jetson. It holds no statistics:
those are computed on the workstation from the raw samples, so that every device is judged by the same code.
`measurement.schema.json` beside this file is its JSON schema.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

SCHEMA: Final = "edgedistill.bench/1"
LONGEST_TEXT = 1000
MOST_SAMPLES = 20_000_000
MOST_READINGS = 1_000_000

Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Nanoseconds = Annotated[int, Field(gt=0, lt=2**62)]
Milliseconds = Annotated[float, Field(gt=0)]
Instant = Annotated[int, Field(ge=0, lt=2**62)]


class Part(BaseModel):
    """A part of a recording: frozen, closed, and never NaN."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False, populate_by_name=True
    )


class ArtifactFacts(Part):
    """The model that ran."""

    name: Text
    """The recipe's name, or the file's."""
    target: Text | None = None
    """Name of the target that built it: `arm-onnxruntime`; none for a bare model file."""
    profile: Text | None = None
    """Device profile it was built for."""
    format: Text
    """`onnx`, `engine`, `mlpackage`, `mlmodelc` ..."""
    precision: Text | None = None
    """`int8`, `fp16`, `fp32`."""
    model_sha256: Sha256
    """Hash of the model file; of a folder (`.mlpackage`), what its manifest gives as the model's hash."""
    size_bytes: int = Field(gt=0)
    """Size of the model file or folder."""


class RuntimeFacts(Part):
    """The program that ran it."""

    name: Text
    """`onnxruntime`, `tensorrt`, `coreml`."""
    version: Text
    provider: Text
    """Execution provider or compute units: `CPUExecutionProvider`, `cpuAndNeuralEngine`, `gpu0`."""
    threads: int | None = Field(default=None, ge=1)
    """Threads of the runtime; none where it does not say."""
    options: dict[Text, Text] = {}
    """Every option that was set."""
    placement: dict[Text, int] | None = None
    """Operations by unit (`npu`, `gpu`, `cpu`); none where the runtime does not say."""
    fallback_operations: tuple[Text, ...] | None = None
    """Operations that did not run on the unit that was asked for; none where the runtime does not say."""


class DeviceState(Part):
    """The machine, as it was found; what could not be read is none, never guessed."""

    kind: Literal["arm-linux", "jetson", "android", "ios", "macos", "host"]
    execution: Literal["device", "host", "emulated"]
    """`emulated` for an emulator or simulator of any kind: such times are never shown as latency."""
    name: Text
    """How the user addresses it: `ssh://pi@kitchen`, `local`, a phone's name."""
    model: Text | None = None
    """Model of the device: `Raspberry Pi 5 Model B Rev 1.0`, `iPhone17,1`."""
    soc: Text | None = None
    """CPU or system on chip."""
    machine: Text | None = None
    """`aarch64`, `arm64`, `x86_64`."""
    os: Text | None = None
    cores: int | None = Field(default=None, ge=1)
    memory_bytes: int | None = Field(default=None, gt=0)
    governor: Text | None = None
    """CPU frequency governor before the run."""
    power_mode: Text | None = None
    """`nvpmodel` mode, low-power mode, ..."""
    clocks_locked: bool | None = None
    on_battery: bool | None = None
    ambient_c: float | None = Field(default=None, ge=-60, le=100)
    """Temperature of the room, if somebody measured it."""


class Workload(Part):
    """What one sample is."""

    mode: Literal["burst", "sustained"] = "burst"
    """`burst`: several short fresh processes with rests; `sustained`: one long process without a rest."""
    scenario: Literal["single-stream"] = "single-stream"
    """The next inference starts when the one before is done."""
    batch: int = Field(ge=1)
    input: Literal["real", "random"]
    shape: tuple[int, ...] = Field(max_length=16)
    """Shape of one call's input, batch included."""
    scope: Literal["invoke", "invoke+copies", "end-to-end"]
    """`invoke`: the model alone, data in place; with copies of input and output; with preprocessing too."""


class Protocol(Part):
    """How it was measured."""

    runner: Text
    """Program that measured, with its version."""
    min_samples: int = Field(ge=1)
    """Inferences of all processes together, at least."""
    min_seconds: float = Field(ge=0)
    """Seconds of inference of all processes together, at least."""
    max_seconds: float | None = Field(default=None, gt=0)
    """Where all processes together stopped even with fewer samples; none means no limit."""
    rest_seconds: float = Field(default=0.0, ge=0)
    """Pause before each process."""
    clock: Text
    """`monotonic_ns`, `mach_continuous_time`, `cuda_event` ..."""
    clock_resolution_ns: float | None = Field(default=None, gt=0)
    timer_overhead_ns: float | None = Field(default=None, ge=0)
    """Median of two readings of the clock with nothing between them."""


class Verified(Part):
    """The golden samples, computed on that device in that runtime before anything was timed."""

    golden_samples: int = Field(ge=1)
    largest_steps: float = Field(ge=0)
    """Largest difference of an output, in output steps."""
    max_steps: float = Field(ge=0)
    """What the artifact allows."""
    identical_outputs: float | None = Field(default=None, ge=0, le=1)
    """Share of output values with identical bits."""

    @model_validator(mode="after")
    def _passed(self) -> Verified:
        if self.largest_steps > self.max_steps + 1e-3:  # outputs are float32: one step may read as a little more
            raise ValueError("the golden outputs differ by more than the artifact allows")
        return self


class Trace(Part):
    """A sensor over time."""

    quantity: Literal["temperature_c", "frequency_mhz", "power_w", "thermal_state"]
    """`thermal_state`: 0 nominal, 1 fair, 2 serious, 3 critical, as Apple's ProcessInfo says."""
    sensor: Text
    """Its own name: `thermal_zone0 cpu-thermal`, `cpu0`, `ina3221 VDD_IN`."""
    at_ns: tuple[int, ...] = Field(max_length=MOST_READINGS)
    """When, on the clock of the samples; 0 is the start of the first of `samples_ns`, before it is negative."""
    values: tuple[float, ...] = Field(max_length=MOST_READINGS)

    @model_validator(mode="after")
    def _one_value_each(self) -> Trace:
        if len(self.at_ns) != len(self.values):
            raise ValueError(f"{len(self.at_ns)} instants and {len(self.values)} values")
        if any(later < earlier for earlier, later in zip(self.at_ns, self.at_ns[1:], strict=False)):
            raise ValueError("instants that go back in time")
        return self


class Memory(Part):
    """Resident memory of one process, in bytes."""

    before_load_bytes: int | None = Field(default=None, gt=0)
    """With the runtime imported and no model loaded."""
    peak_bytes: int = Field(gt=0)
    """The most it ever was."""


class Process(Part):
    """One fresh process."""

    load_ns: Nanoseconds
    """From nothing to a loaded model; compilation on the device is part of it."""
    first_ns: Nanoseconds
    """The first inference."""
    samples_ns: tuple[Nanoseconds, ...] = Field(min_length=1, max_length=MOST_SAMPLES)
    """Every inference after the first, in order, warm-up included; none is left out."""
    discarded: int = Field(default=0, ge=0)
    """Inferences between the first and `samples_ns` that the runtime's own tool did not report."""
    affinity: tuple[int, ...] | None = None
    """CPUs it was allowed on; none where that cannot be read."""
    memory: Memory | None = None
    traces: tuple[Trace, ...] = Field(default=(), max_length=256)


class IdlePower(Part):
    """What the same sensor read before the run, with nothing running."""

    sensor: Text
    seconds: float = Field(gt=0)
    watts: float = Field(ge=0)
    """Mean."""


class Accuracy(Part):
    """Accuracy of this very artifact, computed on that device."""

    metric: Text
    value: float
    n: int = Field(ge=1)
    """Samples."""
    measured_on: Literal["device", "host", "emulated"]


class Precisions(Part):
    """INT8 beside FP16: medians of processes that took turns in the same call, and which of the two to ship there."""

    ship: Literal["int8", "fp16", "either"]
    """The one that is faster in every process; `either` where the processes of the two overlap."""
    int8_ms: tuple[Milliseconds, ...] = Field(min_length=1, max_length=1000)
    """Median of each process."""
    fp16_ms: tuple[Milliseconds, ...] = Field(min_length=1, max_length=1000)

    @model_validator(mode="after")
    def _as_measured(self) -> Precisions:
        faster = (max(self.int8_ms) < min(self.fp16_ms), max(self.fp16_ms) < min(self.int8_ms))
        if faster != (self.ship == "int8", self.ship == "fp16"):
            raise ValueError(f"'{self.ship}' is not what the medians of the processes say")
        return self


class Recording(Part):
    """One measurement of one artifact on one device, raw."""

    schema_version: Literal["edgedistill.bench/1"] = Field(default=SCHEMA, alias="schema")
    """Name and version of this format."""
    started: AwareDatetime
    """Date and time with its zone, as the device's clock said."""
    artifact: ArtifactFacts
    runtime: RuntimeFacts
    device: DeviceState
    workload: Workload
    protocol: Protocol
    verified: Verified | None
    """None where the golden samples were not computed; such a recording is not valid as a latency of the artifact."""
    processes: tuple[Process, ...] = Field(min_length=1, max_length=1000)
    idle_power: tuple[IdlePower, ...] = ()
    accuracy: Accuracy | None = None
    precisions: Precisions | None = None
    """None where only one precision was measured."""
    notes: tuple[Text, ...] = Field(default=(), max_length=100)
    """What a reader should know."""


def recording_schema() -> dict[str, object]:
    """Return the JSON schema of a recording; `measurement.schema.json` beside this file is the same."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Recording.model_json_schema(by_alias=True)}
