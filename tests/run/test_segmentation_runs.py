"""A whole run of segmentation on small scenes: squares and discs on noise, from masks to a verified artifact."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from edgedistill.data import sources
from edgedistill.data.preprocessing import ImagePreprocessing
from edgedistill.errors import DataError, UnsupportedError
from edgedistill.evaluate.executor import Execution
from edgedistill.models.unet import UNet
from edgedistill.report.page import write_report
from edgedistill.run.artifact_accuracy import accuracy_of_artifact
from edgedistill.run.pipeline import execute, plan

if TYPE_CHECKING:
    from pathlib import Path

    from edgedistill.run.summary import Summary

SIDE, COUNT = 16, 160


def write_scenes(path: Path) -> None:
    generator = np.random.default_rng(0)
    x = generator.integers(90, 150, (COUNT, SIDE, SIDE), dtype=np.uint8)
    y = np.zeros((COUNT, SIDE, SIDE), np.uint8)
    across = np.arange(SIDE)
    for scene in range(COUNT):
        for kind, grey in ((1, 230), (2, 20)):
            down, right = generator.integers(4, SIDE - 4, 2)
            far = np.abs(across - down)[:, None], np.abs(across - right)
            inside = np.maximum(*far) < 4 if kind == 1 else far[0] ** 2 + far[1] ** 2 < 14
            x[scene][inside], y[scene][inside] = grey, kind
    np.savez(path, x=x, y=y, split=(np.arange(COUNT) % 4 == 3).astype(int))


def document(**changes: object) -> dict[str, object]:
    training = {"batch_size": 24, "optimizer": "adamw"}
    return {
        "name": "scenes",
        "threads": 1,
        "task": "segmentation",
        "data": {
            "source": "npz:scenes.npz",
            "classes": ["ground", "square", "disc"],
            "preprocessing": {"kind": "image", "size": [SIDE, SIDE], "channels": 1, "mean": [0.5], "std": [0.25]},
            "views": {"count": 2, "flip": True, "shift": 2},
        },
        "teacher": {"source": "unet", "options": {"width": 4, "levels": 2}, "weights": "teacher.safetensors"},
        "student": {"source": "unet", "options": {"width": 4, "levels": 2}},
        "distill": {
            **training,
            "epochs": 24,
            "learning_rate": 0.03,
            "label_weight": 1.0,
            "soft_targets": {"weight": 0.01},
        },
        "quantize": {
            "calibration": {"samples": 64, "max_drift": 5.0},
            "finetune": {**training, "epochs": 1, "learning_rate": 0.001, "when": "always"},
            "sensitivity_samples": 8,
            "max_accuracy_drop": 0.1,
        },
        "targets": [{"target": "arm-onnxruntime", "profile": "raspberry-pi-4"}],
        "verify": {"emulate": "never", "min_integer_share": 1.0},
        "bench": {"processes": 1, "samples": 44, "seconds": 0},
        **changes,
    }


def run(folder: Path, recipe: dict[str, object]) -> Summary:
    write_scenes(folder / "scenes.npz")
    torch.manual_seed(0)
    save_file(UNet(classes=3, channels=1, width=4, levels=2).state_dict(), folder / "teacher.safetensors")
    recipe["cache"] = {"folder": str(folder / "cache")}
    (folder / "recipe.yaml").write_text(json.dumps(recipe), "utf-8")
    return execute(plan(folder / "recipe.yaml", folder=folder / "run"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    folder = tmp_path_factory.mktemp("scenes")
    return folder, run(folder, document())


def test_the_artifact_gives_the_programs_maps_and_is_all_integers(finished: tuple[Path, Summary]) -> None:
    _, summary = finished
    assert [gate.found for gate in summary.gates if gate.passed is False] == []
    values = {rung.stage: rung for rung in summary.ladder if rung.execution is not Execution.NOT_RUN}
    assert {rung.metric for rung in values.values()} == {"mean IoU"}
    assert values["student"].value > 0.8  # brightness decides, and it has the masks
    assert values["artifact"].n == COUNT / 4
    parity = summary.parity[0]
    assert (parity.passed, parity.top1_agreement, parity.identical_outputs, parity.n) == (True, 1.0, 1.0, COUNT / 4)
    assert summary.integer_share[0].fraction == 1.0


def test_pixels_are_counted_in_confusion_and_agreement(finished: tuple[Path, Summary]) -> None:
    _, summary = finished
    counts = np.array(next(item.counts for item in summary.confusion if item.stage == "student"))
    assert counts.sum() == COUNT / 4 * SIDE * SIDE
    measured = {item.measure: item.value for item in summary.agreement if item.stage == "student"}
    assert measured["share of pixels at their class"] == pytest.approx(counts.trace() / counts.sum())
    assert 0 <= measured["share of pixels at the teacher's class"] <= 1


def test_the_teachers_maps_are_kept_and_their_size_is_known(finished: tuple[Path, Summary]) -> None:
    _, summary = finished
    (kept,) = summary.teacher_outputs
    assert kept.logits_bytes == kept.samples * kept.views * 3 * SIDE * SIDE * 2


def test_the_runner_writes_masks_of_raw_images(finished: tuple[Path, Summary]) -> None:
    folder, summary = finished
    home = folder / "run" / summary.artifacts[0].folder
    with np.load(folder / "scenes.npz") as scenes:
        raw, wanted = scenes["x"][3::4, ..., None], scenes["y"][3::4]
    np.save(folder / "raw.npy", raw)
    command = [sys.executable, home / "runner.py", "predict", "--raw", folder / "raw.npy", "--masks", folder / "m.npy"]
    done = subprocess.run(command, capture_output=True, check=True)
    found = json.loads(done.stdout)["result"]
    masks = np.load(folder / "m.npy")
    assert (masks.dtype, masks.shape) == (np.uint16, wanted.shape)
    assert (masks == wanted).mean() > 0.9
    assert found["pixels"][0]["ground"] == (masks[0] == 0).sum()
    verified = subprocess.run([sys.executable, home / "runner.py", "verify"], capture_output=True, check=True)
    assert json.loads(verified.stdout)["result"]["golden"]["largest_steps"] == 0


def test_eval_measures_an_artifact_on_masks(finished: tuple[Path, Summary]) -> None:
    folder, summary = finished
    size = ImagePreprocessing(size=(SIDE, SIDE), channels=1)
    samples = sources.load("npz:scenes.npz", "test", size, ("a", "b", "c"), folder)
    rung = accuracy_of_artifact(folder / "run" / summary.artifacts[0].folder, samples)
    last = summary.ladder[-2 if summary.ladder[-1].value is None else -1]
    assert (rung.metric, rung.value) == ("mean IoU", last.value)


def test_the_report_shows_pictures(finished: tuple[Path, Summary]) -> None:
    folder, summary = finished
    assert [item.stage for item in summary.mask_pictures] == ["student", "artifact"]
    page = write_report(folder / "run").read_text("utf-8")
    assert page.count("data:image/png;base64,") == 2
    assert "mean IoU" in page


def test_masks_without_the_task_and_the_task_without_masks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'task: segmentation'"):
        run(tmp_path, document(task="classification"))
    size = {"kind": "image", "size": [28, 28], "channels": 1}
    with pytest.raises(DataError, match="'task: classification'"):
        run(tmp_path, document(data={"source": "shapes", "preprocessing": size}))


def test_a_target_without_a_form_for_maps_is_refused_before_any_work(tmp_path: Path) -> None:
    targets = [{"target": "jetson-tensorrt", "profile": "agx-orin"}]
    with pytest.raises(UnsupportedError, match="'task: segmentation'"):
        run(tmp_path, document(targets=targets))
    assert not (tmp_path / "cache").exists()
