"""Measuring on this workstation, in processes of its own; no time is asserted."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from edgedistill.bench.host import Plan, Subject, interleaved, measure_on_host
from edgedistill.bench.recording import Verified
from edgedistill.bench.worker import Job, Model, measure, measure_in_turns
from edgedistill.errors import ModelError

PROOF = Verified(golden_samples=3, largest_steps=0.0, max_steps=1.0)


def plan(**changes: object) -> Plan:
    settings = {"processes": 2, "samples": 50, "seconds": 0.0, "threads": 1}
    return Plan(inputs=np.ones((3, 8), np.float32), **{**settings, **changes})


def test_rounds_alternate_so_that_a_drift_meets_both() -> None:
    first, second = Subject("a", Path("a")), Subject("b", Path("b"))
    assert [subject.name for subject in interleaved((first, second), rounds=4)] == list("abbaabba")


def test_models_are_measured_with_everything_to_doubt_them(matmul: Path) -> None:
    option = {"session.x64quantprecision": "1"}
    subjects = (Subject("plain", matmul, precision="fp32"), Subject("target/board", matmul, option, verified=PROOF))
    plain, other = measure_on_host(subjects, plan())
    assert (plain.title, other.title) == ("plain", "target/board")
    assert plain.recording.artifact.model_sha256 == hashlib.sha256(matmul.read_bytes()).hexdigest()
    assert [len(process.samples_ns) for process in plain.recording.processes] == [50, 50]
    assert plain.recording.device.execution == other.recording.device.execution == "host"
    assert other.recording.runtime.version == onnxruntime.__version__
    assert (plain.recording.runtime.options, other.recording.runtime.options) == ({}, option)
    assert (plain.recording.verified, other.recording.verified) == (None, PROOF)


def test_a_process_goes_on_for_its_share_of_the_seconds(matmul: Path) -> None:
    (found,) = measure_on_host([Subject("a", matmul)], plan(samples=44, seconds=0.1))
    assert all(sum(process.samples_ns) >= 0.05e9 for process in found.recording.processes)


def test_a_process_ends_when_its_time_is_over(matmul: Path) -> None:
    (found,) = measure_on_host([Subject("a", matmul)], plan(processes=1, seconds=3600.0, max_seconds=0.1))
    assert sum(found.recording.processes[0].samples_ns) < 60e9


def test_a_file_that_is_no_model_is_the_users_error(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(ModelError, match="latency of 'broken': a measuring process ended with 1"):
        measure_on_host([Subject("broken", path)], plan())


def job(matmul: Path, tmp_path: Path, *, models: int, **changes: object) -> Job:
    np.save(tmp_path / "inputs.npy", np.ones((2, 8), np.float32))
    settings = {"threads": 1, "min_samples": 5, "min_seconds": 0.0, "max_seconds": 10.0}
    listed = (Model(path=str(matmul)),) * models
    return Job(models=listed, inputs=str(tmp_path / "inputs.npy"), **{**settings, **changes})


def test_the_worker_reports_what_a_recording_needs(tmp_path: Path, matmul: Path) -> None:
    found = measure(job(matmul, tmp_path, models=1))
    assert len(found["samples_ns"]) == 5
    assert min(found["load_ns"], found["first_ns"], found["started_ns"]) > 0
    assert found["memory"]["peak_bytes"] >= found["memory"]["before_load_bytes"] > 2**20


@pytest.mark.parametrize("starts_with", [0, 1])
def test_two_models_take_turns(tmp_path: Path, matmul: Path, starts_with: int) -> None:
    found = measure_in_turns(job(matmul, tmp_path, models=2, starts_with=starts_with))
    first, second = starts_with, 1 - starts_with
    order = [first, second, second, first, second, first, first, second]
    assert [block["subject"] for block in found["blocks"]] == order
    assert all(len(block["samples_ns"]) >= 5 for block in found["blocks"])
