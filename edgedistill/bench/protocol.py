"""The measuring protocol: what one process reports, and how the processes together become a record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from edgedistill.bench.statistics import (
    median_absolute_deviation,
    median_interval,
    outlier_count,
    samples_needed,
    tail,
)
from edgedistill.errors import DataError
from edgedistill.run.summary import LatencyRecord

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgedistill.evaluate.executor import Execution

NS_PER_MS = 1e6
ENOUGH_SAMPLES = 1024
ENOUGH_SECONDS = 60.0
P90, P99 = 0.90, 0.99


@dataclass(frozen=True)
class ProcessSamples:
    """What one fresh process measured, in nanoseconds of the monotonic clock.

    Args:
        load_ns: from nothing to a loaded model; the model file may be in the system's file cache.
        first_ns: the first inference.
        warmup_ns: (warmup,), int64: inferences before the steady state; kept, not summarised.
        samples_ns: (samples,), int64: one inference each.
    """

    load_ns: int
    first_ns: int
    warmup_ns: NDArray[np.int64]
    samples_ns: NDArray[np.int64]


@dataclass(frozen=True)
class Circumstances:
    """What a latency is worth nothing without.

    Args:
        model: `student-fp32` or `target/profile`.
        execution: DEVICE or HOST; emulated time is never latency.
        label: runtime, version, options, machine.
        threads: of the runtime.
        samples_file: raw samples, path relative to the run directory.
    """

    model: str
    execution: Literal[Execution.DEVICE, Execution.HOST]
    label: str
    threads: int
    samples_file: str


def warmup_inferences(samples: int) -> int:
    """Return how many inferences a process makes before its samples: a tenth of them, at least 10.

    A constant cannot know when a machine is warm. That is why the warm-up is kept with the raw samples, where a
    reader sees whether it was long enough.
    """
    return max(10, samples // 10)


def process_samples(report: Mapping[str, object]) -> ProcessSamples:
    """Return what a measuring process printed, checked.

    Args:
        report: `load_ns` and `first_ns`, whole numbers; `warmup_ns` and `samples_ns`, lists of whole numbers.

    Raises:
        DataError: a part is missing, or is no duration above 0.
    """
    try:
        durations = {name: np.asarray(report[name]) for name in ("load_ns", "first_ns", "warmup_ns", "samples_ns")}
    except KeyError as error:
        raise DataError("report of a measuring process", found=f"no {error}") from error
    for name, values in durations.items():
        if values.size and (values.dtype.kind != "i" or values.min() <= 0):
            raise DataError(
                f"'{name}' of a measuring process", found=f"{values.dtype} values", wanted="whole nanoseconds above 0"
            )
    return ProcessSamples(
        load_ns=int(durations["load_ns"]),
        first_ns=int(durations["first_ns"]),
        warmup_ns=durations["warmup_ns"].astype(np.int64),
        samples_ns=durations["samples_ns"].astype(np.int64),
    )


def summarise(processes: Sequence[ProcessSamples], circumstances: Circumstances, *, seed: int = 0) -> LatencyRecord:
    """Return the record of one model: p50 with its interval, p90, p99, MAD. No sample is removed.

    Cold load and first inference are medians over the processes. The percentiles are over the samples of all
    processes together, warm-up apart.

    Args:
        processes: at least one; together at least 44 samples, which is what bounds the 90th percentile.
        circumstances: what was measured, where and how.
        seed: of the bootstrap.

    Raises:
        DataError: there are too few samples, or the processes have not equally many.
    """
    samples = _matrix(processes, circumstances.model)
    pooled = samples.ravel()
    p90_ns = tail(pooled, P90)
    if p90_ns is None:
        raise DataError(
            f"latency of '{circumstances.model}'",
            found=f"{len(pooled)} samples",
            wanted=f"at least {samples_needed(P90)}",
        )
    p99_ns = tail(pooled, P99)
    low_ns, high_ns = median_interval(samples, seed=seed)
    return LatencyRecord(
        model=circumstances.model,
        execution=circumstances.execution,
        label=circumstances.label,
        threads=circumstances.threads,
        processes=len(processes),
        n=len(pooled),
        quick=is_quick(pooled),
        cold_load_ms=_median_ms([process.load_ns for process in processes]),
        first_inference_ms=_median_ms([process.first_ns for process in processes]),
        p50_ms=_median_ms(pooled),
        p50_ci95_ms=(low_ns / NS_PER_MS, high_ns / NS_PER_MS),
        p90_ms=p90_ns / NS_PER_MS,
        p99_ms=None if p99_ns is None else p99_ns / NS_PER_MS,
        mad_ms=median_absolute_deviation(pooled) / NS_PER_MS,
        samples_file=circumstances.samples_file,
    )


def is_quick(samples_ns: NDArray[np.int64]) -> bool:
    """Tell whether there are fewer than 1,024 samples, or less than 60 s of them."""
    return len(samples_ns) < ENOUGH_SAMPLES or float(samples_ns.sum()) / 1e9 < ENOUGH_SECONDS


def details(processes: Sequence[ProcessSamples]) -> dict[str, object]:
    """Return what the record leaves out, for a JSON file beside the samples: loads, warm-ups, outliers."""
    pooled = np.concatenate([process.samples_ns for process in processes])
    return {
        "scope": "one call of the runtime, batch 1: copies of input and output included, preprocessing not",
        "clock": "monotonic_ns",
        "load_ns": [process.load_ns for process in processes],
        "first_inference_ns": [process.first_ns for process in processes],
        "warmup": "a tenth of the samples, at least 10; kept here, not in the summary",
        "warmup_ns": [process.warmup_ns.tolist() for process in processes],
        "process_p50_ns": [float(np.median(process.samples_ns)) for process in processes],
        "outliers": {"rule": "further than 5 MAD from the median", "count": outlier_count(pooled), "removed": 0},
    }


def _matrix(processes: Sequence[ProcessSamples], model: str) -> NDArray[np.int64]:
    counts = sorted({len(process.samples_ns) for process in processes})
    if len(counts) > 1:
        raise DataError(f"latency of '{model}'", found=f"processes of {counts} samples", wanted="equally many each")
    return np.array([process.samples_ns for process in processes], np.int64)


def _median_ms(durations_ns: Sequence[int] | NDArray[np.int64]) -> float:
    return float(np.median(np.asarray(durations_ns))) / NS_PER_MS
