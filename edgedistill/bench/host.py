"""Latency on this workstation, in fresh processes. It is labelled `host` and says nothing of the device."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime

from edgedistill.bench.protocol import (
    Circumstances,
    ProcessSamples,
    details,
    process_samples,
    summarise,
    warmup_inferences,
)
from edgedistill.bench.worker import Job
from edgedistill.errors import ModelError
from edgedistill.evaluate.executor import Execution
from edgedistill.progress import SILENT, Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edgedistill.evaluate.executor import Inputs
    from edgedistill.run.summary import LatencyRecord

PROCESS_TIMEOUT_S = 1800.0


@dataclass(frozen=True)
class Subject:
    """A model to measure.

    Args:
        name: `student-fp32` or `target/profile`.
        path: ONNX file; its first input takes (batch, ...) float32.
        session_options: session configuration entries.
    """

    name: str
    path: Path
    session_options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """How to measure.

    Args:
        inputs: (n, *input_shape), preprocessed; each inference takes the next row, batch 1.
        processes: fresh processes for each model, at least 1.
        samples: inferences of each process after warm-up, at least 1.
        threads: of the runtime.
        into: folder for the raw samples: `NAME.samples.json`, a list for each process, and `NAME.details.json`.
        run_folder: the run directory, which `samples_file` is relative to; none means `into`.
    """

    inputs: Inputs
    processes: int
    samples: int
    threads: int
    into: Path
    run_folder: Path | None = None


def measure_on_host(subject: Subject, plan: Plan, *, progress: Progress = SILENT) -> LatencyRecord:
    """Measure one model in fresh processes.

    Raises:
        ModelError: the runtime refuses the model, or does not end.
    """
    (record,) = _measured((subject,), plan, progress)
    return record


def measure_pair(
    first: Subject, second: Subject, plan: Plan, *, progress: Progress = SILENT
) -> tuple[LatencyRecord, LatencyRecord]:
    """Measure two models, their processes interleaved (A B B A ...), so that a drift of the machine meets both.

    Raises:
        ModelError: as `measure_on_host`.
    """
    one, other = _measured((first, second), plan, progress)
    return one, other


def interleaved(subjects: Sequence[Subject], *, rounds: int) -> Iterator[Subject]:
    """Yield every subject once a round, each round in the opposite order of the one before."""
    for index in range(rounds):
        yield from subjects if index % 2 == 0 else reversed(subjects)


def _measured(subjects: Sequence[Subject], plan: Plan, progress: Progress) -> list[LatencyRecord]:
    found: dict[str, list[ProcessSamples]] = {subject.name: [] for subject in subjects}
    title = "measure " + " and ".join(found)
    with (
        tempfile.TemporaryDirectory() as folder,
        progress.track(title, total=plan.processes * len(subjects)) as tracker,
    ):
        inputs = Path(folder) / "inputs.npy"
        np.save(inputs, plan.inputs)
        for subject in interleaved(subjects, rounds=plan.processes):
            found[subject.name].append(_process(subject, plan, inputs))
            tracker.advance()
    return [_recorded(subject, found[subject.name], plan) for subject in subjects]


def _process(subject: Subject, plan: Plan, inputs: Path) -> ProcessSamples:
    job = Job(
        model=str(subject.path.resolve()),
        inputs=str(inputs),
        session_options=dict(subject.session_options),
        threads=plan.threads,
        warmup=warmup_inferences(plan.samples),
        samples=plan.samples,
    )
    path = inputs.with_name("job.json")
    path.write_text(job.model_dump_json(), "utf-8")
    # Telemetry is on by default since ONNX Runtime 1.29, and its thread would be measured with the model.
    environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "1"}
    command = (sys.executable, "-P", "-m", "edgedistill.bench.worker", str(path))
    try:
        done = subprocess.run(  # noqa: S603 - our own program in our own Python, no shell
            command, env=environment, capture_output=True, text=True, timeout=PROCESS_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"latency of '{subject.name}'",
            found=f"no answer within {PROCESS_TIMEOUT_S:.0f} s",
            fix="ask for fewer samples",
        ) from error
    if done.returncode:
        raise ModelError(
            f"latency of '{subject.name}'",
            found=f"its process ended with {done.returncode}: {done.stderr.strip()[-400:]}",
        )
    return process_samples(json.loads(done.stdout))


def _recorded(subject: Subject, processes: Sequence[ProcessSamples], plan: Plan) -> LatencyRecord:
    plan.into.mkdir(parents=True, exist_ok=True)
    slug = subject.name.replace("/", "-")
    samples = plan.into / f"{slug}.samples.json"
    samples.write_text(json.dumps([process.samples_ns.tolist() for process in processes]), "utf-8")
    (plan.into / f"{slug}.details.json").write_text(json.dumps(details(processes), indent=1), "utf-8")
    return summarise(
        processes,
        Circumstances(
            model=subject.name,
            execution=Execution.HOST,
            label=_label(subject, plan.threads),
            threads=plan.threads,
            samples_file=samples.relative_to(plan.run_folder or plan.into).as_posix(),
        ),
    )


def _label(subject: Subject, threads: int) -> str:
    options = "".join(f", {key}={value}" for key, value in sorted(subject.session_options.items()))
    plural = "thread" if threads == 1 else "threads"
    return f"ONNX Runtime {onnxruntime.__version__}, {_cpu()}, {threads} {plural}{options}"


def _cpu() -> str:
    """Return the CPU's own name where the system gives it, else the architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
