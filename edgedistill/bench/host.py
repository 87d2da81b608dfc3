"""Latency on this workstation, in fresh processes. It is labelled `host` and says nothing of the device."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime

from edgedistill.bench.analysis import measurement_from_recording
from edgedistill.bench.measuring import MeasuringError, clock_facts, watched
from edgedistill.bench.reading import recording_from_document
from edgedistill.bench.recording import ArtifactFacts, Verified
from edgedistill.bench.sensors import device_state, sensors_of
from edgedistill.bench.worker import Job, Model
from edgedistill.errors import ModelError
from edgedistill.progress import SILENT, Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgedistill.bench.measurement import Measurement
    from edgedistill.evaluate.executor import Inputs

LOADING_TIMEOUT_S = 600.0
RUNNER = "edgedistill.bench.host"
SCOPE = "invoke+copies"
"""ONNX Runtime's Python call copies the input's and the output's rows."""


@dataclass(frozen=True)
class Subject:
    """A model to measure.

    Args:
        name: `student-fp32` or `target/profile`.
        path: ONNX file; its first input takes (batch, ...) float32.
        session_options: session configuration entries.
        precision: `int8`, `fp32`.
        verified: how its golden samples agreed on this machine; none where it has none.
    """

    name: str
    path: Path
    session_options: dict[str, str] = field(default_factory=dict)
    precision: str | None = None
    verified: Verified | None = None


@dataclass(frozen=True)
class Plan:
    """How to measure.

    Args:
        inputs: (n, *input_shape), preprocessed; each inference takes the next row, batch 1.
        processes: fresh processes for each model, at least 1.
        samples: inferences of each process after its first, at least.
        seconds: of inference of all processes of a model together, at least.
        threads: of the runtime.
        affinity: CPUs to stay on; none means wherever the system likes.
        max_seconds: of one process, after which it ends even with fewer samples.
    """

    inputs: Inputs
    processes: int
    samples: int
    seconds: float
    threads: int
    affinity: tuple[int, ...] | None = None
    max_seconds: float = 1200.0


def measure_on_host(subjects: Sequence[Subject], plan: Plan, *, progress: Progress = SILENT) -> list[Measurement]:
    """Measure models, their processes interleaved (A B B A ...), so that a drift of the machine meets all alike.

    Raises:
        ModelError: the runtime refuses a model, or does not end.
    """
    found: dict[str, list[dict[str, object]]] = {subject.name: [] for subject in subjects}
    title, started = "measure " + " and ".join(found), datetime.now(UTC)
    with (
        tempfile.TemporaryDirectory() as folder,
        progress.track(title, total=plan.processes * len(subjects)) as tracker,
    ):
        inputs = Path(folder) / "inputs.npy"
        np.save(inputs, plan.inputs)
        for subject in interleaved(subjects, rounds=plan.processes):
            found[subject.name].append(_process(subject, plan, inputs))
            tracker.advance()
    return [_measurement(subject, found[subject.name], plan, started) for subject in subjects]


def interleaved(subjects: Sequence[Subject], *, rounds: int) -> Iterator[Subject]:
    """Yield every subject once a round, each round in the opposite order of the one before."""
    for index in range(rounds):
        yield from subjects if index % 2 == 0 else reversed(subjects)


def run_job(job: Job, folder: Path, *, thing: str) -> dict[str, object]:
    """Run one measuring process of this workstation, and return what it printed and what the sensors said.

    Args:
        job: what to measure.
        folder: for the job's file.
        thing: how an error calls it.

    Raises:
        ModelError: the process ends with an error, or not at all.
    """
    path = folder / "job.json"
    path.write_text(job.model_dump_json(), "utf-8")
    # Telemetry is on by default since ONNX Runtime 1.29, and its thread would be measured with the model.
    environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "1"}
    command = (sys.executable, "-P", "-m", "edgedistill.bench.worker", str(path))
    timeout_s = job.max_seconds + LOADING_TIMEOUT_S
    try:
        return watched(command, sensors_of(), timeout_s=timeout_s, environment=environment)
    except MeasuringError as error:
        raise ModelError(thing, found=str(error)) from error


def _process(subject: Subject, plan: Plan, inputs: Path) -> dict[str, object]:
    job = Job(
        models=(Model(path=str(subject.path.resolve()), session_options=subject.session_options),),
        inputs=str(inputs),
        threads=plan.threads,
        affinity=plan.affinity,
        min_samples=plan.samples,
        min_seconds=plan.seconds / plan.processes,
        max_seconds=plan.max_seconds,
    )
    return run_job(job, inputs.parent, thing=f"latency of '{subject.name}'")


def _measurement(subject: Subject, processes: list[dict[str, object]], plan: Plan, started: datetime) -> Measurement:
    document = {
        "schema": "edgedistill.bench/1",
        "started": started.isoformat(),
        "artifact": artifact_facts(subject).model_dump(mode="json"),
        "runtime": {
            "name": "onnxruntime",
            "version": onnxruntime.__version__,
            "provider": "CPUExecutionProvider",
            "threads": plan.threads,
            "options": subject.session_options,
        },
        # this workstation is never the device, whatever its processor is
        "device": {**device_state("local", emulated=False), "kind": "host", "execution": "host"},
        "workload": {"batch": 1, "input": "real", "shape": [1, *plan.inputs.shape[1:]], "scope": SCOPE},
        "protocol": {
            "runner": RUNNER,
            "min_samples": plan.samples * plan.processes,
            "min_seconds": plan.seconds,
            "max_seconds": plan.max_seconds * plan.processes,
            **clock_facts(),
        },
        "verified": None if subject.verified is None else subject.verified.model_dump(),
        "processes": processes,
    }
    return measurement_from_recording(recording_from_document(document, thing=f"latency of '{subject.name}'"))


def artifact_facts(subject: Subject) -> ArtifactFacts:
    """Return what a recording says of a model file."""
    target, slash, profile = subject.name.partition("/")
    return ArtifactFacts(
        name=subject.path.stem if slash else subject.name,
        target=target if slash else None,
        profile=profile or None,
        format=subject.path.suffix.lstrip(".") or "onnx",
        precision=subject.precision,
        model_sha256=hashlib.sha256(subject.path.read_bytes()).hexdigest(),
        size_bytes=subject.path.stat().st_size,
    )
