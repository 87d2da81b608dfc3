"""Everything a user can get wrong ends with exit code 2, one message that says what and how to mend it, and no loss."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recipes import quick_document, write_recipe
from typer.testing import CliRunner

from edgedistill.cli.app import app
from edgedistill.models.residual import ResidualNet

Change = Callable[[Path, dict[str, Any]], None]


def missing_weights(_: Path, recipe: dict[str, Any]) -> None:
    recipe["teacher"]["weights"] = "absent.safetensors"


def untrained_teacher(_: Path, recipe: dict[str, Any]) -> None:
    recipe["teacher"]["weights"] = None


def weights_with_code(folder: Path, recipe: dict[str, Any]) -> None:
    torch.save({"hook": print}, folder / "teacher.pt")
    recipe["teacher"]["weights"] = "teacher.pt"


def other_classes(folder: Path, recipe: dict[str, Any]) -> None:
    (folder / "wrong_teacher.py").write_text(
        "from edgedistill.models.residual import ResidualNet\n\n\n"
        "def build():\n    return ResidualNet(classes=3, channels=1, width=4)\n",
        "utf-8",
    )
    recipe["teacher"] = {"source": "python:wrong_teacher:build"}


def other_architecture(folder: Path, recipe: dict[str, Any]) -> None:
    torch.save(ResidualNet(classes=6, channels=1, width=8).state_dict(), folder / "wide.pt")
    recipe["teacher"]["weights"] = "wide.pt"


def unknown_layer(_: Path, recipe: dict[str, Any]) -> None:
    recipe["distill"]["hints"] = [{"teacher": "stages.9", "student": "stages.1"}]


def unknown_student_layer(_: Path, recipe: dict[str, Any]) -> None:
    recipe["distill"]["hints"] = [{"teacher": "stages.1", "student": "stage.1"}]


def empty_folder(folder: Path, recipe: dict[str, Any]) -> None:
    (folder / "images").mkdir()
    recipe["data"]["source"] = "image-folder:images"


def not_a_number(folder: Path, recipe: dict[str, Any]) -> None:
    values = np.zeros((40, 8), np.float32)
    values[17, 3] = np.nan
    np.savez(folder / "windows.npz", x=values, y=np.arange(40) % 2)
    recipe["data"] = {"source": "npz:windows.npz", "preprocessing": {"kind": "array", "shape": [8]}}


def unknown_key(_: Path, recipe: dict[str, Any]) -> None:
    recipe["distill"]["epocs"] = 3


def out_of_range(_: Path, recipe: dict[str, Any]) -> None:
    recipe["distill"]["learning_rate"] = -1.0


def no_room(_: Path, recipe: dict[str, Any]) -> None:
    recipe["cache"] = {"max_gb": 1e-6}


def unknown_target(_: Path, recipe: dict[str, Any]) -> None:
    recipe["targets"] = [{"target": "arm-onnxrutime", "profile": "raspberry-pi-4"}]


def unknown_profile(_: Path, recipe: dict[str, Any]) -> None:
    recipe["targets"] = [{"target": "arm-onnxruntime", "profile": "raspberry-pi-9"}]


def unknown_model(_: Path, recipe: dict[str, Any]) -> None:
    recipe["student"]["source"] = "residul"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (missing_weights, ["absent.safetensors", "no file"]),
        (untrained_teacher, ["teacher 'residual'", "no weights"]),
        (weights_with_code, ["teacher.pt", "safetensors"]),
        (other_classes, ["3 outputs", "6 classes"]),
        (other_architecture, ["wide.pt", "stem.0.weight"]),
        (unknown_layer, ["layer 'stages.9'", "teacher", "stages.2"]),
        (unknown_student_layer, ["layer 'stage.1'", "student", "did you mean 'stages'?"]),
        (empty_folder, ["images", "no images", "train/CLASS/*"]),
        (not_a_number, ["17", "NaN"]),
        (unknown_key, ["distill.epocs", "did you mean 'epochs'?"]),
        (out_of_range, ["distill.learning_rate", "greater than 0"]),
        (no_room, ["teacher outputs", "cache.max_gb"]),
        (unknown_target, ["arm-onnxrutime", "did you mean 'arm-onnxruntime'?"]),
        (unknown_profile, ["raspberry-pi-9", "raspberry-pi-5"]),
        (unknown_model, ["residul", "did you mean 'residual'?"]),
    ],
)
def test_one_clear_message_and_exit_code_2(
    change: Change, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEDISTILL_CACHE", str(tmp_path / "cache"))
    recipe = copy.deepcopy(quick_document())
    change(tmp_path, recipe)
    path = write_recipe(tmp_path, recipe)
    result = CliRunner().invoke(app, ["run", str(path), "--folder", str(tmp_path / "run")])
    message = " ".join(result.stderr.split())
    assert result.exit_code == 2, result.output
    assert message.count("error: ") == 1
    assert "Traceback" not in message
    for word in words:
        assert word in message
    assert not (tmp_path / "run/summary.json").exists()


def test_a_corrupt_shard_of_the_cache_is_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("EDGEDISTILL_CACHE", str(tmp_path / "cache"))
    path = write_recipe(tmp_path)
    runner = CliRunner()
    first = ["distill", str(path), "--folder", str(tmp_path / "first")]
    assert runner.invoke(app, first).exit_code == 0
    shards = sorted((tmp_path / "cache/soft-targets").rglob("*.safetensors"))
    assert shards
    intact = shards[0].read_bytes()
    shards[0].write_bytes(intact[:-8] + bytes(8))
    second = ["distill", str(path), "--folder", str(tmp_path / "second")]
    assert runner.invoke(app, second).exit_code == 0
    assert shards[0].read_bytes() == intact
    assert any("checksum" in record.message or "damaged" in record.message for record in caplog.records)
    students = [tmp_path / name / "student/student.safetensors" for name in ("first", "second")]
    assert students[0].read_bytes() == students[1].read_bytes()
