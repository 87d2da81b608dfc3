"""Whole runs of the quick recipe: what they leave, what a second run does, what a killed one ends with."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from recipes import quick_document, write_recipe

from edgedistill.data.transfer_set import UNKNOWN
from edgedistill.errors import GateError
from edgedistill.evaluate.executor import Execution
from edgedistill.run.context import Context
from edgedistill.run.pipeline import Stage, execute, plan
from edgedistill.run.steps.outcome import Outcome
from edgedistill.run.summary import FILE, Summary, summary_from_file


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """Return the run directory of one finished run."""
    folder = tmp_path_factory.mktemp("quick")
    recipe = write_recipe(folder)
    execute(plan(recipe, overrides=[f"cache.folder={cache}"], folder=folder / "run"))
    return folder


def planned(folder: Path, cache: Path, *overrides: str) -> dict[str, str]:
    steps = plan(folder / "recipe.yaml", overrides=[f"cache.folder={cache}", *overrides], folder=folder / "run").stages
    return {step.name.partition(" ")[0]: step.state for step in steps}


def hashes(summary: Summary) -> dict[str, str]:
    return {file.path: file.sha256 for artifact in summary.artifacts for file in artifact.files}


def test_the_summary_has_every_part_a_reader_needs(finished: Path) -> None:
    summary = summary_from_file(finished / "run" / FILE)
    stages = [(rung.stage, rung.execution) for rung in summary.ladder]
    assert stages == [
        ("teacher", Execution.SIMULATED),
        ("student", Execution.SIMULATED),
        ("calibrated", Execution.SIMULATED),
        ("program", Execution.SIMULATED),
        ("artifact", Execution.HOST),
        ("artifact", Execution.NOT_RUN),
    ]
    assert summary.parity[0].identical_outputs == 1
    assert summary.parity[1].passed is None
    assert {record.name.partition(" ")[0] for record in summary.stages} == {
        "teach",
        "distill",
        "quantize",
        "build",
        "verify",
        "bench",
    }
    assert {latency.model for latency in summary.latency} == {"student-fp32", "arm-onnxruntime/raspberry-pi-4"}
    assert all(latency.quick for latency in summary.latency)
    assert (finished / "run/report.html").is_file()


def test_every_file_of_the_artifact_is_in_the_summary(finished: Path) -> None:
    (artifact,) = summary_from_file(finished / "run" / FILE).artifacts
    on_disk = {path.name for path in (finished / "run" / artifact.folder).iterdir()}
    assert on_disk == {file.path for file in artifact.files}
    assert artifact.readback_equal == artifact.readback_tensors > 0


def test_a_second_run_finds_everything_done(finished: Path, cache: Path) -> None:
    assert set(planned(finished, cache).values()) == {"cached"}


@pytest.mark.parametrize(
    ("override", "first"),
    [
        ("seed=1", "teach"),
        ("distill.learning_rate=0.05", "distill"),
        ("data.labelled=0.5", "distill"),
        ("quantize.finetune.learning_rate=0.001", "quantize"),
        ("name=other", "build"),
        ("verify.samples=100", "verify"),
        ("bench.samples=50", "bench"),
    ],
)
def test_a_change_repeats_what_depends_on_it_and_nothing_before(
    finished: Path, cache: Path, override: str, first: str
) -> None:
    states = planned(finished, cache, override)
    names = list(states)
    at = names.index(first)
    assert [states[name] for name in names[:at]] == ["cached"] * at
    assert states[first] == "to-do"
    assert states["report"] == "to-do"


def test_a_tampered_student_is_trained_again(finished: Path, cache: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    path = copy / "run/student/student.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    states = planned(copy, cache)
    assert states["teach"] == "cached"
    assert states["distill"] == "to-do"


def test_a_verb_of_one_stage_keeps_what_later_stages_found(finished: Path, cache: Path) -> None:
    before = summary_from_file(finished / "run" / FILE)
    recipe = finished / "recipe.yaml"
    execute(plan(recipe, overrides=[f"cache.folder={cache}"], folder=finished / "run", until=Stage.DISTILL))
    after = summary_from_file(finished / "run" / FILE)
    assert after.artifacts == before.artifacts
    assert after.ladder == before.ladder


def test_a_gate_that_fails_is_named_and_everything_is_left(finished: Path, cache: Path) -> None:
    recipe = finished / "recipe.yaml"
    limits = ["quantize.max_accuracy_drop=0.0", "quantize.max_float_layers=0", "verify.min_within_steps=1.0"]
    overrides = [f"cache.folder={cache}", *limits]
    calm = plan(recipe, overrides=overrides, folder=finished / "run")
    summary = summary_from_file(finished / "run" / FILE)
    student = next(rung.value for rung in summary.ladder if rung.stage == "student")
    program = next(rung.value for rung in summary.ladder if rung.stage == "program")
    assert student is not None
    assert program is not None
    if program >= student:
        pytest.skip("the quick program is not worse than its student, so this gate can't fail")
    with pytest.raises(GateError, match="accuracy of the INT8 program"):
        execute(calm)
    assert (finished / "run/report.html").is_file()


def run_in_child(recipe: Path, folder: Path, cache: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "edgedistill", "run", str(recipe), "--folder", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, f"cache.folder={cache}"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def test_a_run_killed_in_several_stages_ends_with_the_same_artifact(finished: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, quick_document())
    folder, cache = tmp_path / "run", tmp_path / "cache"
    # kill when a sign of each stage appears; what the signs stand for is finished by the next attempt
    signs = [cache / "soft-targets", folder / "work/distill/checkpoint", folder / "programs"]
    for sign in signs:
        process = run_in_child(recipe, folder, cache)
        deadline = time.monotonic() + 120
        while not sign.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert process.poll() is None, f"the run ended before {sign.name} appeared"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert run_in_child(recipe, folder, cache).wait() == 0
    assert hashes(summary_from_file(folder / FILE)) == hashes(summary_from_file(finished / "run" / FILE))
    assert json.loads((folder / FILE).read_text("utf-8"))["stages"][-1]["state"] == "done"


def test_a_student_alone_learns_from_the_labelled_samples_only(
    finished: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = []

    def seen(context: Context, *_: object) -> Outcome:
        shown.append((context.labelled_set.samples, context.transfer_set.samples))
        return Outcome({"rungs": []}, [])

    monkeypatch.setattr("edgedistill.run.steps.student.baseline", seen)
    overrides = [f"cache.folder={cache}", "distill.baseline=true", "data.labelled=0.1"]
    execute(plan(finished / "recipe.yaml", overrides=overrides, until=Stage.DISTILL, folder=tmp_path / "run"))
    ((alone, whole),) = shown
    assert len(alone) == len(whole)
    assert (alone.labels != UNKNOWN).all()
    assert (whole.labels != UNKNOWN).mean() == pytest.approx(0.1, abs=0.01)
    assert len({image.tobytes() for image in alone.raw}) <= (whole.labels != UNKNOWN).sum()


def test_a_proof_on_a_part_records_the_student_on_that_part(finished: Path, cache: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "run", tmp_path / "run")
    overrides = [f"cache.folder={cache}", "verify.samples=37"]
    summary = execute(plan(finished / "recipe.yaml", overrides=overrides, folder=tmp_path / "run", until=Stage.VERIFY))
    assert summary_from_file(finished / "run" / FILE).ladder[-2].student is None
    artifact = next(rung for rung in summary.ladder if rung.stage == "artifact")
    assert artifact.n == 37
    assert artifact.student is not None
    assert artifact.student * 37 == pytest.approx(round(artifact.student * 37))
    assert any("on the same 37 samples" in gate.found for gate in summary.gates)
