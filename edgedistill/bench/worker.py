"""One fresh process that measures one ONNX model on this workstation and prints what it found.

`python -m edgedistill.bench.worker JOB.json`: started by `edgedistill.bench.host`, not by people.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Callable


class Job(BaseModel):
    """What to measure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    """Path of the ONNX file; its first input takes (batch, ...) float32."""
    inputs: str
    """Path of an `.npy` file: (n, ...) float32; each inference takes the next row, batch 1."""
    session_options: dict[str, str]
    """Session configuration entries."""
    threads: int
    """Threads of the runtime."""
    warmup: int
    """Inferences before the samples, at least 1."""
    samples: int
    """Inferences that are summarised, at least 1."""


def measure(job: Job) -> dict[str, int | list[int]]:
    """Return `load_ns`, `first_ns`, `warmup_ns`, `samples_ns`: nanoseconds of the monotonic clock."""
    inputs = np.load(job.inputs, allow_pickle=False)
    rows = [np.ascontiguousarray(inputs[index : index + 1]) for index in range(len(inputs))]
    settings = _settings(job)
    start = time.monotonic_ns()
    session = onnxruntime.InferenceSession(job.model, settings, providers=["CPUExecutionProvider"])
    load_ns = time.monotonic_ns() - start
    feed = session.get_inputs()[0].name

    def infer(index: int) -> None:
        session.run(None, {feed: rows[index % len(rows)]})

    gc.disable()  # a collection is this process's own, not the model's
    (first_ns,) = _durations(infer, 1)
    return {
        "load_ns": load_ns,
        "first_ns": first_ns,
        "warmup_ns": _durations(infer, job.warmup),
        "samples_ns": _durations(infer, job.samples),
    }


def _settings(job: Job) -> onnxruntime.SessionOptions:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = job.threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    for key, value in job.session_options.items():
        settings.add_session_config_entry(key, value)
    return settings


def _durations(infer: Callable[[int], None], count: int) -> list[int]:
    clock = time.monotonic_ns
    durations = [0] * count
    for index in range(count):
        start = clock()
        infer(index)
        durations[index] = clock() - start
    return durations


def main() -> None:
    """Measure the job named on the command line and print one JSON document."""
    job = Job.model_validate_json(Path(sys.argv[1]).read_text("utf-8"))
    json.dump(measure(job), sys.stdout)


if __name__ == "__main__":
    main()
