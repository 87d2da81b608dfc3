"""Latencies in summary.json: of one model in one runtime on one machine."""

from __future__ import annotations

from typing import Literal

from edgedistill.evaluate.executor import Execution
from edgedistill.evaluate.record import Record


class PrecisionRecord(Record):
    """INT8 beside FP16 on one machine, their processes in turns."""

    ship: Literal["int8", "fp16", "either"]
    """The one that is faster in every process; `either` where they overlap."""
    int8_ms: float
    """Median of the processes' medians."""
    fp16_ms: float
    processes: int
    """Of each."""


class LatencyRecord(Record):
    """Latency of one model in one runtime on one machine."""

    model: str
    """`student-fp32` or `target/profile`."""
    execution: Literal[Execution.DEVICE, Execution.HOST]
    """Emulated time is never latency: the type forbids it."""
    device: str
    """How the machine is addressed: `local`, `ssh://pi@desk`."""
    label: str
    """Runtime, version, options, machine."""
    threads: int | None
    """Of the runtime; none where it does not say."""
    processes: int
    n: int
    """Steady samples in all."""
    quick: bool
    """True below 1,024 samples or 60 s."""
    verdict: Literal["steady", "slow-down", "throttled"]
    """What at least half of the processes did; without a steady state there is no record."""
    cold_load_ms: float
    first_inference_ms: float
    p50_ms: float
    p50_ci95_ms: tuple[float, float]
    """By a bootstrap over processes."""
    p90_ms: float | None
    """None where there are too few samples (44) to bound it."""
    p90_ci95_ms: tuple[float, float] | None = None
    """By order statistics."""
    p99_ms: float | None
    """None where there are too few samples (459) to bound it."""
    p99_ci95_ms: tuple[float, float] | None = None
    """By order statistics."""
    mad_ms: float
    peak_memory_bytes: int | None = None
    energy_mj: float | None = None
    """Energy of one inference, idle subtracted, by the sensor below."""
    energy_sensor: str | None = None
    doubts: tuple[str, ...] = ()
    """Rules of the protocol that were not kept."""
    precisions: PrecisionRecord | None = None
    """None where only one precision was measured."""
    measurement_file: str
    """The whole measurement, raw samples included; path relative to the run directory."""


class UnsteadyRecord(Record):
    """A measurement that ends without a number."""

    model: str
    execution: Literal[Execution.DEVICE, Execution.HOST]
    device: str
    label: str
    reason: str
    measurement_file: str


class InstructionRecord(Record):
    """Instructions per inference on an emulated CPU: a count, not a time."""

    model: str
    cpu_model: str
    instructions: float
    execution: Literal[Execution.EMULATED] = Execution.EMULATED
