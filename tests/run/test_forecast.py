"""The size of the teacher's outputs, before any of them is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from edgedistill.data import fashion_mnist
from edgedistill.distill.cache_files import Sizes
from edgedistill.models.residual import ResidualNet
from edgedistill.run import forecast
from edgedistill.run.pipeline import Stage, plan

if TYPE_CHECKING:
    from pathlib import Path

RECIPE = {
    "version": 1,
    "name": "sizes",
    "data": {
        "source": "npz:images.npz",
        "preprocessing": {"kind": "image", "size": [8, 8], "channels": 1, "mean": [0.5], "std": [0.5]},
        "views": {"count": 4, "flip": True},
    },
    "teacher": {"source": "residual", "options": {"width": 4, "blocks": [1, 1]}, "weights": "teacher.safetensors"},
    "student": {"source": "residual", "options": {"width": 2, "blocks": [1, 1]}},
    "distill": {"epochs": 3},
    "targets": [{"target": "arm-onnxruntime", "profile": "raspberry-pi-5"}],
}


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a recipe with 30 images, 24 of them to learn from, and a teacher with random weights."""
    monkeypatch.setenv("EDGEDISTILL_CACHE", str(tmp_path / "cache"))
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (30, 8, 8, 1), dtype=np.uint8)
    labels = np.arange(30) % 3
    np.savez(tmp_path / "images.npz", x=images, y=labels)
    torch.manual_seed(0)
    save_file(ResidualNet(classes=3, channels=1, width=4, blocks=(1, 1)).state_dict(), tmp_path / "teacher.safetensors")
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(RECIPE), "utf-8")
    return path


def test_it_knows_rows_and_bytes(recipe: Path, tmp_path: Path) -> None:
    found = forecast.forecast(plan(recipe, folder=tmp_path / "run", until=Stage.TEACH))
    assert found is not None
    assert (found.samples, found.views, found.found) == (24, 3, 0)
    assert found.sizes == Sizes(24 * 3 * 3 * 2, {})
    assert found.free_bytes > 0
    assert found.text.startswith("24 samples in 3 views, 0 % found; logits 432 bytes; ")


def test_features_are_those_of_the_teachers_layer_as_they_are_kept(recipe: Path, tmp_path: Path) -> None:
    overrides = ['distill.hints=[{"teacher": "stages.1", "student": "stages.1"}]', "cache.features=int8"]
    found = forecast.forecast(plan(recipe, overrides=overrides, folder=tmp_path / "run"))
    assert found is not None
    assert found.sizes.features == {"stages.1": 72 * (8 * 4 * 4 + 8 * 4)}


def test_there_is_none_where_the_data_are_not_here(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fashion_mnist, "is_here", lambda: False)
    planned = plan(recipe, overrides=["data.source=fashion-mnist"], folder=tmp_path / "run")
    assert forecast.forecast(planned) is None
