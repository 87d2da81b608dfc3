"""One fresh process that measures one ONNX model, or two in turns, on this workstation and prints what it found.

`python -m edgedistill.bench.worker JOB.json`: started by `edgedistill.bench.host`, not by people.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
from pydantic import BaseModel, ConfigDict, Field

from edgedistill.bench.measuring import alternated, memory, pin, resident_bytes, timed

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


class Model(BaseModel):
    """A model file and its options."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    """ONNX file; its first input takes (batch, ...) float32."""
    session_options: dict[str, str] = {}
    """Session configuration entries."""


class Job(BaseModel):
    """What to measure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: tuple[Model, ...] = Field(min_length=1, max_length=2)
    """One to measure, or two that take turns."""
    inputs: str
    """Path of an `.npy` file: (n, ...) float32; each inference takes the next row, batch 1."""
    threads: int
    """Threads of the runtime."""
    affinity: tuple[int, ...] | None = None
    """CPUs to stay on; none means wherever the system likes."""
    min_samples: int
    """Inferences after the first, at least."""
    min_seconds: float
    """Their sum, at least; of two models in turns, the seconds of the clock."""
    max_seconds: float
    """Of the clock, after which it ends even with fewer."""
    starts_with: int = 0
    """Which of two models is loaded first and takes the first turn."""


@dataclass(frozen=True)
class Loaded:
    """A model that made its first inference."""

    load_ns: int
    first_ns: int
    infer: Callable[[int], object]


def measure(job: Job) -> dict[str, object]:
    """Return a process of a recording, and `started_ns`: when its first sample started, on the monotonic clock."""
    cpus = pin(job.affinity)
    before = resident_bytes("VmRSS")
    model = _loaded(job.models[0], job)
    started = time.monotonic_ns()
    samples = timed(model.infer, min_samples=job.min_samples, min_seconds=job.min_seconds, max_seconds=job.max_seconds)
    return {
        "started_ns": started,
        "load_ns": model.load_ns,
        "first_ns": model.first_ns,
        "samples_ns": samples,
        "affinity": cpus,
        "memory": memory(before),
    }


def measure_in_turns(job: Job) -> dict[str, object]:
    """Return a process of a pair: both loaded, then blocks in the order A B B A, B A A B, ..."""
    cpus = pin(job.affinity)
    order = (job.starts_with, 1 - job.starts_with)
    loaded = {subject: _loaded(job.models[subject], job) for subject in order}
    started = time.monotonic_ns()
    infer = [loaded[0].infer, loaded[1].infer]
    blocks = alternated(infer, seconds=job.min_seconds, starts_with=job.starts_with)
    return {"started_ns": started, "starts_with": job.starts_with, "affinity": cpus, "blocks": blocks}


def _loaded(model: Model, job: Job) -> Loaded:
    rows = _rows(job.inputs)
    settings = _settings(model, job.threads)
    start = time.monotonic_ns()
    session = onnxruntime.InferenceSession(model.path, settings, providers=["CPUExecutionProvider"])
    load_ns = time.monotonic_ns() - start
    feed = session.get_inputs()[0].name

    def infer(index: int) -> object:
        return session.run(None, {feed: rows[index % len(rows)]})

    start = time.monotonic_ns()
    infer(0)
    return Loaded(load_ns, time.monotonic_ns() - start, infer)


def _rows(path: str) -> list[NDArray[np.float32]]:
    inputs = np.load(path, allow_pickle=False)
    return [np.ascontiguousarray(inputs[index : index + 1]) for index in range(len(inputs))]


def _settings(model: Model, threads: int) -> onnxruntime.SessionOptions:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    for key, value in model.session_options.items():
        settings.add_session_config_entry(key, value)
    return settings


def main() -> None:
    """Measure the job named on the command line and print one JSON document."""
    job = Job.model_validate_json(Path(sys.argv[1]).read_text("utf-8"))
    json.dump(measure(job) if len(job.models) == 1 else measure_in_turns(job), sys.stdout)


if __name__ == "__main__":
    main()
