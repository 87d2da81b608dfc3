"""The runner's measurements: fresh processes, one recording that the workstation can judge; no time is asserted."""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from small_artifact import RUNNER, STEP, loaded, program, seal, small_artifact, write_golden

from edgedistill.bench import measuring, sensors
from edgedistill.bench.analysis import measurement_from_recording
from edgedistill.bench.measurement import rehearsal_of
from edgedistill.bench.pair import comparison_of, pair_from_document
from edgedistill.bench.reading import recordings_from_text
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

SHORT = ("--processes", "2", "--seconds", "0", "--min-samples", "100", "--rest", "0")


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return small_artifact(tmp_path / "artifact")


@pytest.fixture
def answer(artifact: Path) -> Callable[..., tuple[dict[str, object], int]]:
    return lambda *arguments: loaded(artifact).answer([str(argument) for argument in arguments])


def message(document: dict[str, object]) -> str:
    assert document["ok"] is False
    return document["error"]["message"]


def test_an_emulated_board_gives_no_time(answer: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEDISTILL_EMULATED", "1")
    document, code = answer("bench")
    assert (code, document["emulated"]) == (3, True)
    assert "this board is emulated" in message(document)
    assert "result" not in document


def test_a_rehearsal_is_marked_and_never_becomes_a_latency(answer: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEDISTILL_EMULATED", "1")
    document, code = answer("bench", "--rehearse", *SHORT)
    assert code == 0, document
    (recording,) = recordings_from_text(json.dumps(document), thing="it")
    assert recording.device.execution == "emulated"
    assert rehearsal_of(recording).recording.verified.golden_samples == 12
    with pytest.raises(DataError, match="an emulated device, whose time says nothing of any other"):
        measurement_from_recording(recording)


def test_no_time_is_given_when_the_artifact_fails(artifact: Path, answer: Callable) -> None:
    write_golden(artifact, np.load(artifact / "golden.npz")["raw"], add=5.0 * STEP)
    seal(artifact)
    document, code = answer("bench", *SHORT)
    assert code == 3
    assert "result" not in document


def test_as_a_program_it_prints_a_recording_that_becomes_a_measurement(artifact: Path) -> None:
    done = program(artifact, "runner.py", "bench", *SHORT, "--name", "desk")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\n") == 1
    (recording,) = recordings_from_text(done.stdout, thing="it")
    measurement = measurement_from_recording(recording)
    assert [len(process.samples_ns) for process in recording.processes] == [100, 100]
    assert (measurement.title, recording.device.name) == ("arm-onnxruntime/raspberry-pi-5", "desk")
    assert recording.runtime.options == {"session.x64quantprecision": "1"}
    assert recording.verified.identical_outputs == 1.0
    assert recording.processes[0].memory.peak_bytes > recording.processes[0].memory.before_load_bytes > 2**20
    assert any(rule.startswith("quick: 200 samples") for rule in measurement.analysis.failed_rules)


def test_a_process_stays_on_the_cpus_it_was_given(answer: Callable) -> None:
    cpu = min(os.sched_getaffinity(0))
    document, code = answer("bench", *SHORT, "--affinity", cpu)
    assert code == 0, document
    assert [process["affinity"] for process in document["result"]["processes"]] == [[cpu], [cpu]]


def test_a_cpu_that_is_not_there_is_said_so(answer: Callable) -> None:
    document, code = answer("bench", *SHORT, "--affinity", 4000)
    assert code == 3
    assert "CPUs [4000] cannot be used" in message(document)


def test_a_hanging_inference_is_ended(artifact: Path) -> None:
    """The artifact's own code sleeps, and gets no time to."""
    timing = artifact / "timing.py"
    timing.write_text(timing.read_text().replace("LOADING_TIMEOUT_S = 1200.0", "LOADING_TIMEOUT_S = 0.5"))
    hanging = timing.read_text().replace("    cpus = measuring.pin", "    time.sleep(60)\n    cpus = measuring.pin", 1)
    timing.write_text(hanging)
    seal(artifact)
    document, code = loaded(artifact).answer(["bench", *SHORT, "--max-seconds", "0.5"])
    assert code == 3
    assert message(document) == "a measuring process did not end within 1 s; it was stopped"


def test_two_artifacts_take_turns_in_each_process(tmp_path: Path, answer: Callable) -> None:
    other = small_artifact(tmp_path / "other")
    document, code = answer("pair", "--against", other, "--processes", 3, "--seconds", 0, "--rest", 0)
    assert code == 0, document
    recording = pair_from_document(document, thing="it")
    assert [process.starts_with for process in recording.processes] == [0, 1, 0]
    orders = [[block.subject for block in process.blocks] for process in recording.processes]
    assert orders == [[0, 1, 1, 0, 1, 0, 0, 1], [1, 0, 0, 1, 0, 1, 1, 0], [0, 1, 1, 0, 1, 0, 0, 1]]
    assert comparison_of(recording).quads == 6


def test_both_of_a_pair_are_verified(tmp_path: Path, answer: Callable) -> None:
    other = small_artifact(tmp_path / "other")
    (other / "labels.txt").write_text("a\nb\nd\n")
    document, code = answer("pair", "--against", other)
    assert code == 3
    assert "file 'labels.txt' has another sha256" in message(document)


@pytest.mark.parametrize(
    "path",
    [RUNNER.with_name("timing.py"), RUNNER.with_name("answers.py"), Path(measuring.__file__), Path(sensors.__file__)],
)
def test_it_is_python_3_8(path: Path) -> None:
    ast.parse(path.read_text("utf-8"), feature_version=(3, 8))
