"""One recipe for two targets that want other numbers: the second way of quantizing starts from the first."""

import json
from pathlib import Path

import pytest
from recipes import quick_document, write_recipe

from edgedistill.run.keys import Keys
from edgedistill.run.pipeline import execute, plan
from edgedistill.run.steps.quantize import WEIGHTS_FILE
from edgedistill.run.summary import FILE, Summary, summary_from_file

TARGETS = [
    {"target": "arm-onnxruntime", "profile": "raspberry-pi-4"},
    {"target": "arm-onnxruntime", "profile": "raspberry-pi-5"},
    {"target": "jetson-tensorrt", "profile": "orin-nano"},
    {"target": "jetson-tensorrt", "profile": "agx-orin", "options": {"dla": True}},
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    document = quick_document()
    document["targets"] = TARGETS
    document["verify"] = {"emulate": "never", "min_top1_agreement": 0.9, "min_within_steps": 0.9}
    document["quantize"]["sensitivity_samples"] = 0
    recipe = write_recipe(folder, document)
    execute(plan(recipe, overrides=[f"cache.folder={folder / 'cache'}"], folder=folder / "run"))
    return folder


@pytest.fixture(scope="module")
def summary(finished: Path) -> Summary:
    return summary_from_file(finished / "run" / FILE)


def test_targets_of_equal_specs_share_one_fine_tuning(summary: Summary) -> None:
    steps = [stage.name for stage in summary.stages if stage.name.startswith("quantize ")]
    assert len(steps) == 3  # ARM; Jetson's GPU; Jetson's accelerator


def test_later_specs_train_for_half_the_epochs(summary: Summary) -> None:
    epochs = [curve.points[-1].epoch for curve in summary.curves if curve.name == "finetune"]
    assert epochs == [1.0, pytest.approx(10 / 19), pytest.approx(10 / 19)]  # of 19 steps an epoch, half are 10


def test_each_program_keeps_the_weights_it_was_fine_tuned_to(finished: Path) -> None:
    folders = list((finished / "run" / "programs").iterdir())
    assert len(folders) == 3
    assert all((folder / WEIGHTS_FILE).is_file() for folder in folders)


def test_the_key_of_a_later_program_changes_with_the_first_target(finished: Path) -> None:
    both = plan(finished / "recipe.yaml")
    spec = both.keys.spec(both.recipe.targets[2])
    alone = both.recipe.model_copy(update={"targets": both.recipe.targets[2:]})
    assert both.keys.quantize(spec) != Keys(alone, both.recipe_folder).quantize(spec)


def test_options_give_an_artifact_of_its_own(finished: Path, summary: Summary) -> None:
    assert [f"{item.target}/{item.profile}" for item in summary.artifacts][2:] == [
        "jetson-tensorrt/orin-nano",
        "jetson-tensorrt/agx-orin+dla=true",
    ]
    folder = finished / "run" / "artifacts" / "jetson-tensorrt-agx-orin-dla-true"
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert manifest["options"] == {"dla": True}
    forms = {form["file"]: form["since_tensorrt"] for form in manifest["forms"]}
    assert forms == {"model.onnx": "11.4", "model_fp16.onnx": "8.5", "model_dla.onnx": "8.5"}
    assert (folder / "calibration.cache").read_text("utf-8").startswith("TRT-100300-EntropyCalibration2\n")
    assert any("DLA002" in note for note in manifest["notes"])


def test_jetson_artifacts_are_inspected_or_said_not_to_be(summary: Summary) -> None:
    assert [item.target for item in summary.inspections] == [
        "jetson-tensorrt/orin-nano",
        "jetson-tensorrt/agx-orin+dla=true",
    ]
    assert all(item.passed or item.label == "not run" for item in summary.inspections)
