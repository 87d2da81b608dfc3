"""What a recipe alone shows to be impossible is refused while it is planned, before any file is written."""

from __future__ import annotations

import sys
from importlib import util
from types import SimpleNamespace
from typing import TYPE_CHECKING, ClassVar

import pytest
from recipes import quick_document, write_recipe

from edgedistill.data.preprocessing import ImagePreprocessing
from edgedistill.devices import arm_environment
from edgedistill.errors import DependencyError, InputError, RecipeError, UnsupportedError
from edgedistill.run.pipeline import Stage, plan
from edgedistill.targets import registry
from edgedistill.targets.arm_onnxruntime.target import ArmOnnxRuntime
from edgedistill.targets.base import Issue, Purpose, Severity, StatesNeeds, require_packages, require_purpose

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgedistill.targets.base import DeviceProfile

SOUNDS = {"kind": "audio"}
TEXTS = {"kind": "text", "tokenizer": "tokenizer.json"}
PHONE = {"target": "phone-coreml", "profile": "iphone-15-pro"}
APP = {"target": "arm-onnxruntime", "profile": "android-big-core"}
BOARD = {"target": "arm-onnxruntime", "profile": "raspberry-pi-4"}
MODULE = {"target": "jetson-tensorrt", "profile": "orin-nano"}


def recipe(folder: Path, *targets: Mapping[str, object], **changes: object) -> Path:
    document = quick_document() | changes
    document["targets"] = [dict(target) for target in targets]
    return write_recipe(folder, document)


def data(preprocessing: Mapping[str, object]) -> dict[str, object]:
    return {"source": "npz:nowhere.npz", "preprocessing": dict(preprocessing)}


@pytest.mark.parametrize(
    ("target", "changes", "told"),
    [
        (PHONE, {"data": data(SOUNDS)}, r"target 'phone-coreml/iphone-15-pro': its app computes no features of sounds"),
        (APP, {"data": data(SOUNDS)}, r"target 'arm-onnxruntime/android-big-core': its app computes no features"),
        (PHONE, {"task": "segmentation"}, r"target 'phone-coreml': 'task: segmentation'; wanted classification or"),
        (
            APP,
            {"task": "segmentation"},
            r"'arm-onnxruntime/android-big-core': 'task: segmentation'.*choose a profile of",
        ),
        (MODULE, {"task": "segmentation"}, r"target 'jetson-tensorrt': 'task: segmentation'; wanted classification or"),
        (PHONE | {"options": {"dla": True}}, {}, r"option 'dla' of target 'phone-coreml': not known.*it has: core_ai"),
        (MODULE | {"options": {"dla": True}}, {}, r"Orin Nano.* has no deep-learning accelerator"),
        (PHONE, {"bench": {"devices": ["ssh://pi@board"]}}, r"'bench\.devices' for target 'phone-coreml'.*ios:ID"),
        (BOARD | {"options": {"dla": True}}, {}, r"options of target 'arm-onnxruntime': dla; wanted none"),
        (BOARD | {"profile": "raspberry-pi-44"}, {}, r"'raspberry-pi-44' of target .*did you mean 'raspberry-pi-4'"),
    ],
)
def test_a_target_that_cannot_do_it_is_named_before_any_work(
    tmp_path: Path, target: Mapping[str, object], changes: Mapping[str, object], told: str
) -> None:
    # behind one that can, and with data that are not there: nothing else is looked at
    with pytest.raises(UnsupportedError, match=told):
        plan(recipe(tmp_path, BOARD, target, **changes), folder=tmp_path / "run")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["recipe.yaml", "teacher.safetensors"]


@pytest.mark.parametrize(
    ("target", "changes"),
    [
        (BOARD, {"task": "segmentation"}),
        (BOARD, {"data": data(SOUNDS)}),
        (MODULE, {"data": data(SOUNDS)}),
        (PHONE, {"data": data(TEXTS)}),
        (APP, {"data": data(TEXTS)}),
    ],
)
def test_what_a_target_can_do_goes_on_to_the_data(
    tmp_path: Path, target: Mapping[str, object], changes: Mapping[str, object]
) -> None:
    path = recipe(tmp_path, target, **changes)
    if "data" not in changes:
        assert plan(path, folder=tmp_path / "run").stages
        return
    with pytest.raises(InputError, match=r"nowhere\.npz|tokenizer\.json"):
        plan(path, folder=tmp_path / "run")


@pytest.mark.parametrize(
    ("distill", "told"), [({"losses": [{"method": "dkd"}]}, "distill.losses"), ({"baseline": True}, "distill.baseline")]
)
def test_what_the_task_has_no_use_for_is_refused_while_planning(
    tmp_path: Path, distill: Mapping[str, object], told: str
) -> None:
    with pytest.raises(RecipeError, match=told):
        plan(recipe(tmp_path, BOARD, task="embedding", distill=dict(distill)))


def without_package(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    find = util.find_spec

    def lacking(name: str, package: str | None = None) -> object:
        return None if name in names else find(name, package)

    for module in ("edgedistill.targets.phone_coreml.needs", "edgedistill.targets.jetson_tensorrt.target"):
        monkeypatch.setattr(sys.modules[module], "find_spec", lacking)


def test_without_its_packages_a_phone_is_refused_where_it_would_be_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recipe(tmp_path, BOARD, PHONE, MODULE)
    assert plan(path, folder=tmp_path / "run").stages  # loads both modules
    without_package(monkeypatch, "coremltools", "tensorrt_rtx")
    with pytest.raises(
        DependencyError, match=r"target 'phone-coreml': coremltools is not installed.*edgedistill\[apple"
    ):
        plan(path, folder=tmp_path / "run")
    # a cluster that only trains needs no vendor's package
    assert plan(path, folder=tmp_path / "run", until=Stage.QUANTIZE).stages


def test_what_is_only_looked_at_by_a_missing_package_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    target = registry.target_named("jetson-tensorrt")
    without_package(monkeypatch, "tensorrt_rtx")
    assert isinstance(target, StatesNeeds)
    profile = target.profiles()["orin-nano"]
    (note,) = target.lacking(profile)
    assert (note.severity, note.fix) == (Severity.NOTE, "pip install 'edgedistill[jetson]'")
    require_packages(target, profile)


def test_an_emulated_board_that_must_be_there_and_cannot_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_machine() -> None:
        raise UnsupportedError("emulated ARM64 board", found="macOS", wanted="Linux on x86-64")

    monkeypatch.setattr(arm_environment, "environment_state", lambda: SimpleNamespace(ready=False))
    monkeypatch.setattr(arm_environment, "_check_machine", no_machine)
    path = recipe(tmp_path, BOARD, verify={"emulate": "require"})
    with pytest.raises(UnsupportedError, match="emulated ARM64 board: macOS"):
        plan(path, folder=tmp_path / "run")
    assert plan(path, folder=tmp_path / "run", until=Stage.QUANTIZE).stages
    assert plan(path, overrides=["verify.emulate=auto"], folder=tmp_path / "run").stages
    # a phone's package runs on no such board
    assert plan(recipe(tmp_path, PHONE, verify={"emulate": "require"}), folder=tmp_path / "run").stages


class Foreign(ArmOnnxRuntime):
    """A target of somebody else's that says of itself what it takes."""

    name: ClassVar[str] = "toaster"
    tasks: ClassVar[frozenset[str]] = frozenset({"classification"})
    samples: ClassVar[frozenset[str]] = frozenset({"array"})

    def lacking(self, profile: DeviceProfile) -> list[Issue]:
        return [Issue("needs", "bread", Severity.ERROR, f"no bread for {profile.name}", "buy some")]


def test_other_peoples_targets_are_asked_the_same() -> None:
    target = Foreign()
    profile = target.profiles()["raspberry-pi-4"]
    image = Purpose("classification", ImagePreprocessing(size=(8, 8), channels=1))
    with pytest.raises(UnsupportedError, match=r"'data\.preprocessing\.kind: image'; wanted array"):
        require_purpose(target, profile, image)
    with pytest.raises(UnsupportedError, match="'task: embedding'; wanted classification"):
        require_purpose(target, profile, Purpose("embedding", image.preprocessing))
    with pytest.raises(DependencyError, match=r"target 'toaster': no bread for raspberry-pi-4\. buy some\."):
        require_packages(target, profile)
