"""The board's runner, as a program in an artifact's folder, and its functions."""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import pytest
from small_artifact import PREPROCESSING, RUNNER, STEP, loaded, outputs_of, program, seal, small_artifact, write_golden

from edgedistill.devices.arm_environment import environment_state
from edgedistill.devices.emulated import EmulatedArm

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return small_artifact(tmp_path / "artifact")


@pytest.fixture
def answer(artifact: Path) -> Callable[..., tuple[dict[str, object], int]]:
    """Run a command of the artifact's runner in this process."""
    return lambda *arguments: loaded(artifact).answer([str(argument) for argument in arguments])


def message(document: dict[str, object]) -> str:
    assert document["ok"] is False
    return document["error"]["message"]


def test_as_a_program_it_verifies_and_prints_one_json_document(artifact: Path) -> None:
    done = program(artifact, "runner.py", "verify")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["schema"], document["command"]) == ("edgedistill.runner/1", "verify")
    assert (document["ok"], document["emulated"]) == (True, False)
    assert document["runtime"]["onnxruntime"] == onnxruntime.__version__
    assert document["artifact"]["model_sha256"] == (hashlib.sha256((artifact / "model.onnx").read_bytes()).hexdigest())
    assert document["result"] == {
        "files": 9,
        "golden": {"n": 12, "largest_steps": 0.0, "max_steps": 1.0, "identical_outputs": 1.0},
    }


@pytest.mark.parametrize(
    "name",
    [
        "model.onnx",
        "golden.npz",
        "labels.txt",
        "arrays.py",
        "runner.py",
        "answers.py",
        "timing.py",
        "measuring.py",
        "sensors.py",
    ],
)
def test_one_changed_byte_in_any_file_stops_it(artifact: Path, name: str) -> None:
    content = bytearray((artifact / name).read_bytes())
    content[-1] ^= 1
    runner = loaded(artifact)
    (artifact / name).write_bytes(content)
    document, code = runner.answer(["verify"])
    assert code == 3
    assert message(document) == f"file '{name}' has another sha256 than the manifest says; copy the artifact again"


def test_sizes_are_compared_before_anything_is_hashed(
    artifact: Path, answer: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (artifact / "labels.txt").open("a") as file:
        file.write("d\n")
    monkeypatch.setattr(hashlib, "sha256", None)
    document, code = answer("verify")
    assert (code, message(document)) == (3, "file 'labels.txt' has 8 bytes; it was built with 6")


def test_a_missing_file_stops_it(artifact: Path, answer: Callable) -> None:
    (artifact / "labels.txt").unlink()
    document, code = answer("verify")
    assert (code, message(document)) == (3, "file 'labels.txt' is missing")


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "inner/../../outside", "link"])
def test_no_path_leaves_the_folder(artifact: Path, name: str, answer: Callable) -> None:
    (artifact.parent / "outside").write_text("x")
    files = json.loads((artifact / "manifest.json").read_text())["files"]
    (artifact / "link").symlink_to(artifact.parent / "outside")
    entry = {"sha256": hashlib.sha256(b"x").hexdigest(), "size_bytes": 1}
    seal(artifact, files={**files, name: entry})
    document, code = answer("verify")
    assert (code, message(document)) == (2, f"manifest: '{name}' leaves the artifact's folder")


@pytest.mark.parametrize("name", ["model.onnx", "golden.npz", "arrays.py", "measuring.py", "answers.py"])
def test_what_the_runner_reads_must_be_vouched_for(artifact: Path, name: str, answer: Callable) -> None:
    files = json.loads((artifact / "manifest.json").read_text())["files"]
    del files[name]
    seal(artifact, files=files)
    document, code = answer("verify")
    assert code == 2
    assert message(document).startswith(f"manifest: '{name}' is not in `files`")


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("", "is no JSON"),
        ("[]", "is no manifest of schema edgedistill.artifact/1"),
        ('{"schema": "edgedistill.artifact/2"}', "is no manifest of schema edgedistill.artifact/1"),
        ('{"schema": "edgedistill.artifact/1"}', "lacks classes, files"),
    ],
)
def test_a_manifest_that_is_not_ours_is_refused(artifact: Path, content: str, wanted: str, answer: Callable) -> None:
    (artifact / "manifest.json").write_text(content)
    document, code = answer("verify")
    assert code == 2
    assert wanted in message(document)


def test_without_a_manifest_it_says_where_it_belongs(artifact: Path, answer: Callable) -> None:
    (artifact / "manifest.json").unlink()
    document, code = answer("verify")
    assert code == 2
    assert "the runner belongs into the artifact's folder" in message(document)


def test_other_preprocessing_is_noticed_by_its_bits(artifact: Path, answer: Callable) -> None:
    seal(artifact, preprocessing={**PREPROCESSING, "std": [np.nextafter(np.float32(2), np.float32(3)).item()]})
    document, code = answer("verify")
    assert code == 3
    assert "preprocessing on this machine gives other bits" in message(document)


@pytest.mark.parametrize(("steps", "code"), [(1.0, 0), (1.01, 3), (-2.0, 3)])
def test_golden_outputs_may_differ_by_the_allowed_steps(
    artifact: Path, steps: float, code: int, answer: Callable
) -> None:
    write_golden(artifact, np.load(artifact / "golden.npz")["raw"], add=steps * STEP)
    seal(artifact)
    document, found = answer("verify")
    assert found == code
    if code:
        assert message(document) == f"golden outputs differ by up to {abs(steps):.2f} output steps; 1 are allowed"
    else:
        assert document["result"]["golden"]["largest_steps"] == pytest.approx(1.0)


def test_another_class_fails_even_within_the_steps(artifact: Path, answer: Callable) -> None:
    with np.load(artifact / "golden.npz") as golden:
        content = dict(golden)
    order = np.argsort(content["outputs"][0])
    content["outputs"][0, order[-2]] = content["outputs"][0, order[-1]] + STEP
    np.savez(artifact / "golden.npz", **content)
    seal(artifact, golden={"n": 12, "max_steps": 255})
    document, code = answer("verify")
    assert (code, message(document)) == (3, "1 of 12 golden samples are given another class")


def test_a_nan_agrees_with_nothing(artifact: Path, answer: Callable) -> None:
    write_golden(artifact, np.load(artifact / "golden.npz")["raw"], add=np.nan)
    seal(artifact)
    document, code = answer("verify")
    assert code == 3
    assert "differ by up to inf output steps" in message(document)


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_outputs_do_not_depend_on_the_batch_and_can_be_made_in_parts(
    artifact: Path, tmp_path: Path, batch: int, answer: Callable
) -> None:
    inputs = np.random.default_rng(2).normal(0, 1, (20, 8)).astype(np.float32)
    np.save(tmp_path / "x.npy", inputs)
    command = ("run", "--inputs", tmp_path / "x.npy", "--batch", batch)
    document, code = answer(*command, "--outputs", tmp_path / "y.npy")
    assert code == 0
    assert document["result"] == {"n": 20, "outputs": str(tmp_path / "y.npy"), "shape": [20, 3]}
    whole = np.load(tmp_path / "y.npy")
    assert np.array_equal(whole, outputs_of(artifact / "model.onnx", inputs))
    for start, stop in ((0, 9), (9, 20)):
        answer(*command, "--outputs", tmp_path / f"{start}.npy", "--start", start, "--stop", stop)
    assert np.array_equal(np.concatenate([np.load(tmp_path / f"{start}.npy") for start in (0, 9)]), whole)


@pytest.mark.parametrize(
    ("inputs", "found"),
    [
        (np.zeros((2, 7), np.float32), "float32 (2, 7)"),
        (np.zeros((2, 8), np.float64), "float64 (2, 8)"),
        (np.zeros((0, 8), np.float32), "float32 (0, 8)"),
    ],
)
def test_inputs_of_another_shape_are_refused(tmp_path: Path, inputs: np.ndarray, found: str, answer: Callable) -> None:
    np.save(tmp_path / "x.npy", inputs)
    document, code = answer("run", "--inputs", tmp_path / "x.npy", "--outputs", tmp_path / "y.npy")
    assert code == 2
    assert f"found {found}; wanted float32 (n, *(8,)), n > 0" in message(document)
    assert not (tmp_path / "y.npy").exists()


def test_a_pickled_array_is_refused(tmp_path: Path, answer: Callable) -> None:
    np.save(tmp_path / "x.npy", np.array([{}], dtype=object))
    document, code = answer("run", "--inputs", tmp_path / "x.npy", "--outputs", tmp_path / "y.npy")
    assert code == 2
    assert "x.npy" in message(document)


def test_raw_samples_get_a_class_each(artifact: Path, tmp_path: Path, answer: Callable) -> None:
    with np.load(artifact / "golden.npz") as golden:
        np.save(tmp_path / "raw.npy", golden["raw"])
        expected = golden["outputs"]
    document, code = answer("predict", "--raw", tmp_path / "raw.npy")
    assert code == 0
    predictions = document["result"]["predictions"]
    assert [entry["index"] for entry in predictions] == expected.argmax(1).tolist()
    assert [entry["class"] for entry in predictions] == ["abc"[index] for index in expected.argmax(1)]
    assert [entry["output"] for entry in predictions] == expected.max(1).tolist()


def test_raw_samples_of_another_shape_are_refused(tmp_path: Path, answer: Callable) -> None:
    np.save(tmp_path / "raw.npy", np.zeros((2, 9), np.float32))
    document, code = answer("predict", "--raw", tmp_path / "raw.npy")
    assert code == 2
    assert "raw arrays: found float32 (2, 9)" in message(document)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ((), "required: verify | predict | run | bench | pair"),
        (("fly",), "invalid choice: 'fly'"),
        (("run",), "required: --inputs, --outputs"),
        (("bench", "--samples", "0"), "0 is not at least 1"),
    ],
)
def test_a_wrong_command_line_is_answered_in_json(arguments: tuple[str, ...], wanted: str, answer: Callable) -> None:
    document, code = answer(*arguments)
    assert code == 2
    assert wanted in message(document)


def test_without_onnxruntime_it_says_what_to_install(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    document, code = loaded(artifact).answer(["verify"])
    assert code == 2
    assert "pip install onnxruntime" in message(document)


def test_telemetry_is_off_before_the_runtime_is_loaded(artifact: Path) -> None:
    program_text = (
        "import json, os, sys; sys.argv = ['runner.py', 'verify']; import runner; runner.answer(['verify']);"
        "print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    done = program(artifact, "-c", program_text)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    assert not (artifact.parent / ".cache").exists()


def test_it_is_python_3_8() -> None:
    ast.parse(RUNNER.read_text("utf-8"), feature_version=(3, 8))


def test_on_the_emulated_board_it_computes_the_same_bits(artifact: Path) -> None:
    state = environment_state()
    if not state.ready:
        pytest.skip(f"emulated board: {state.reason}")
    board = EmulatedArm("cortex-a76")
    done = board.run(("python3", str(board.push(artifact) / "runner.py"), "verify"), timeout_s=600)
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    assert (document["emulated"], document["runtime"]["machine"]) == (True, "aarch64")
    assert document["result"]["golden"]["identical_outputs"] == 1.0
