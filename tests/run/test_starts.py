"""A run whose student starts from its teacher, with the teacher's outputs kept small."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

import edgedistill
from edgedistill.models.residual import ResidualNet
from edgedistill.run.pipeline import Stage, plan

if TYPE_CHECKING:
    from pathlib import Path

START = 'student.start={"method": "slice-channels", "importance": "taylor"}'
RECIPE = {
    "version": 1,
    "name": "start",
    "threads": 1,
    "data": {
        "source": "npz:images.npz",
        "preprocessing": {"kind": "image", "size": [8, 8], "channels": 1, "mean": [0.5], "std": [0.5]},
        "workers": 2,
    },
    "teacher": {"source": "residual", "options": {"width": 4, "blocks": [1, 1]}, "weights": "teacher.safetensors"},
    "student": {"source": "residual", "options": {"width": 2, "blocks": [1, 1]}},
    "distill": {
        "epochs": 1,
        "batch_size": 8,
        "optimizer": "dot",
        "hints": [{"teacher": "stages.0", "student": "stages.0"}],
    },
    "targets": [{"target": "arm-onnxruntime", "profile": "raspberry-pi-5"}],
}


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a recipe with 40 images of ten classes, and a teacher with random weights."""
    monkeypatch.setenv("EDGEDISTILL_CACHE", str(tmp_path / "cache"))
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), dtype=np.uint8)
    np.savez(tmp_path / "images.npz", x=images, y=np.arange(40) % 10)
    torch.manual_seed(0)
    state = ResidualNet(classes=10, channels=1, width=4, blocks=(1, 1)).state_dict()
    save_file(state, tmp_path / "teacher.safetensors")
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(RECIPE), "utf-8")
    return path


def test_the_summary_says_what_was_taken_over_and_what_the_cache_holds(recipe: Path, tmp_path: Path) -> None:
    overrides = [START, "cache.top_k=2", "cache.features=int8"]
    summary = edgedistill.distill(recipe, folder=tmp_path / "run", overrides=overrides)
    assert any(
        note.startswith("the student starts from its teacher: channels 2 of 4, 4 of 8") for note in summary.notes
    )
    (outputs,) = summary.teacher_outputs
    assert (outputs.hit_rate, outputs.classes, outputs.kept_logits, outputs.temperature) == (0.0, 10, 2, 4.0)
    assert 0 < outputs.errors["logits"] < 1
    assert 0 < outputs.errors["features/stages.0"] < 0.02
    again = edgedistill.distill(recipe, folder=tmp_path / "again", overrides=overrides)
    assert again.teacher_outputs[0] == outputs.model_copy(update={"hit_rate": 1.0})
    assert json.loads((tmp_path / "run" / "summary.json").read_text("utf-8"))["teacher_outputs"]


def test_a_start_is_part_of_the_students_key_alone(recipe: Path, tmp_path: Path) -> None:
    def keys(*overrides: str) -> dict[str, str]:
        planned = plan(recipe, overrides=overrides, folder=tmp_path / "run", until=Stage.DISTILL)
        return {stage.name: stage.key for stage in planned.stages}

    plain = keys("distill.baseline=true")
    started = keys("distill.baseline=true", START)
    assert {name for name in plain if plain[name] != started[name]} == {"distill"}
    assert keys("distill.baseline=true", "data.workers=0") == plain
    assert keys("distill.baseline=true", "cache.features=int8")["teach"] != plain["teach"]
    assert keys("distill.baseline=true", "cache.max_gb=3") == plain
