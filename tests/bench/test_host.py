"""Measuring on this workstation, in processes of its own; no time is asserted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from edgedistill.bench.host import Plan, Subject, interleaved, measure_on_host, measure_pair
from edgedistill.bench.worker import Job, measure
from edgedistill.errors import ModelError
from edgedistill.evaluate.executor import Execution
from edgedistill.report.samples import samples_from_file


def plan(folder: Path, **changes: object) -> Plan:
    settings = {"processes": 1, "samples": 44, "threads": 1, "into": folder / "bench", "run_folder": folder}
    return Plan(inputs=np.ones((3, 8), np.float32), **{**settings, **changes})


def test_rounds_alternate_so_that_a_drift_meets_both() -> None:
    first, second = Subject("a", Path("a")), Subject("b", Path("b"))
    assert [subject.name for subject in interleaved((first, second), rounds=4)] == list("abbaabba")


def test_a_pair_is_measured_recorded_and_can_be_read_by_the_report(tmp_path: Path, matmul: Path) -> None:
    option = {"session.x64quantprecision": "1"}
    plain, other = measure_pair(Subject("plain", matmul), Subject("target/board", matmul, option), plan(tmp_path))
    assert (plain.model, other.model) == ("plain", "target/board")
    assert (plain.n, plain.processes, plain.execution, plain.quick) == (44, 1, Execution.HOST, True)
    assert onnxruntime.__version__ in plain.label
    assert other.label.endswith("1 thread, session.x64quantprecision=1")
    assert other.samples_file == "bench/target-board.samples.json"
    (samples,) = samples_from_file(tmp_path, other.samples_file)
    assert np.median(samples) == pytest.approx(other.p50_ms, rel=1e-12)
    assert len(json.loads((tmp_path / "bench/target-board.details.json").read_text())["warmup_ns"][0]) == 10


def test_a_file_that_is_no_model_is_the_users_error(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(ModelError, match="latency of 'broken': its process ended with 1"):
        measure_on_host(Subject("broken", path), plan(tmp_path))


def test_the_worker_reports_as_many_durations_as_were_asked_for(tmp_path: Path, matmul: Path) -> None:
    np.save(tmp_path / "inputs.npy", np.ones((2, 8), np.float32))
    job = Job(
        model=str(matmul),
        inputs=str(tmp_path / "inputs.npy"),
        session_options={},
        threads=1,
        warmup=3,
        samples=5,
    )
    found = measure(job)
    assert [len(found[name]) for name in ("warmup_ns", "samples_ns")] == [3, 5]
    assert found["load_ns"] > 0
    assert found["first_ns"] > 0
