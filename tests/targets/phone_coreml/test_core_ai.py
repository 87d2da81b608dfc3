"""Core AI: a build goes on without it, says why, and is the same every time with it."""

import shutil
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
import pytest
import torch
from small_models import images
from target_contract import package

from edgedistill.errors import DependencyError, UnsupportedError
from edgedistill.evaluate.executor import Execution
from edgedistill.quantize.program import QuantizedProgram
from edgedistill.targets.base import Artifact, profile_named
from edgedistill.targets.phone_coreml import core_ai, needs
from edgedistill.targets.registry import target_named

INSTALLED = needs.core_ai_missing()
real = pytest.mark.skipif(INSTALLED is not None, reason=f"Core AI: {INSTALLED}")


def artifact_with_option(program: QuantizedProgram, into: Path) -> Artifact:
    target = target_named("phone-coreml")
    profile = profile_named(target, "iphone-15-pro", {"core_ai": True})
    return target.build(program, profile, package=package(), into=into)


def not_installed(name: str) -> str:
    raise PackageNotFoundError(name)


def test_a_build_goes_on_without_it_and_says_so(
    program: QuantizedProgram, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(needs, "version", not_installed)
    artifact = artifact_with_option(program, tmp_path / "a")
    wanted = "Core AI: no model.aimodel: coreai-core is not installed: pip install 'edgedistill[coreai]'"
    assert wanted in artifact.notes
    assert not (artifact.folder / core_ai.MODEL).exists()
    names = [executor.name for executor in target_named("phone-coreml").executors(artifact)]
    assert names == ["mlpackage-fp32", "mlpackage-fp16"]


def test_nobody_hears_of_it_who_did_not_ask(artifact: Artifact) -> None:
    assert not any("Core AI" in note for note in artifact.notes)


def test_another_beta_is_refused_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "version", lambda _: "1.0.0b4")
    assert "coreai-core 1.0.0b4 is not the version that was tried, 1.0.0b3" in str(needs.core_ai_missing())
    with pytest.raises(DependencyError, match=r"1\.0\.0b4"):
        core_ai.CoreAiAsset(Path("m.aimodel")).run(np.zeros((1, 2), np.float32))


@pytest.mark.parametrize("options", [{"coreai": True}, {"core_ai": "yes"}])
def test_an_option_that_is_not_one_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(UnsupportedError, match="core_ai"):
        profile_named(target_named("phone-coreml"), "iphone-12", options)


class Stand:
    """Stands for Core AI's modules; its function doubles what it is given."""

    def __init__(self, *, breaks: bool = False) -> None:
        self.breaks = breaks
        self.seen: list[tuple[int, ...]] = []
        self.desc = SimpleNamespace(input_names=["x"])
        self.NDArray = lambda array: SimpleNamespace(numpy=lambda: array)
        self.AIModelAsset = SimpleNamespace(load=lambda _: SimpleNamespace(executable=lambda: self))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def load_function(self, name: str) -> "Stand":
        assert name == "main"
        return self

    async def __call__(self, given: dict[str, Any]) -> dict[str, Any]:
        if self.breaks:
            raise RuntimeError("no such asset version")
        values = given["x"].numpy()
        self.seen.append(values.shape)
        return {"out": self.NDArray(2 * values)}

    def get_decomp_table(self) -> dict[object, object]:
        raise ValueError("beta moved\nsecond line")


def stand_in(monkeypatch: pytest.MonkeyPatch, stand: Stand) -> None:
    monkeypatch.setattr(core_ai, "core_ai_missing", lambda: None)
    monkeypatch.setattr(core_ai, "_module", lambda _: stand)


def test_inputs_are_handed_over_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    stand = Stand()
    stand_in(monkeypatch, stand)
    inputs = np.arange(12, dtype=np.float32).reshape(4, 3)
    np.testing.assert_array_equal(core_ai.CoreAiAsset(Path("m.aimodel")).run(inputs), 2 * inputs)
    assert stand.seen == [(1, 3)] * 4


def test_a_runtime_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, Stand(breaks=True))
    with pytest.raises(UnsupportedError, match="Core AI's runtime says: no such asset version"):
        core_ai.CoreAiAsset(Path("m.aimodel")).run(np.zeros((1, 2), np.float32))


def test_a_converter_that_fails_leaves_nothing_behind(
    program: QuantizedProgram, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stand_in(monkeypatch, Stand())
    monkeypatch.setattr(core_ai, "_in_its_operators", lambda _: torch.nn.Identity())
    into = tmp_path / core_ai.MODEL
    into.mkdir()
    said = core_ai.emit(program, images(1), into)
    assert said == "the converter of Core AI 1.0.0b3 says: ValueError: beta moved"
    assert not into.exists()


@real
def test_apples_runtime_computes_what_the_program_computes(separable_program: QuantizedProgram, tmp_path: Path) -> None:
    inputs, path = images(12), tmp_path / core_ai.MODEL
    core_ai.asset_from_program(separable_program, inputs[:1], path)
    asset = core_ai.CoreAiAsset(path)
    assert asset.execution is Execution.HOST
    np.testing.assert_allclose(asset.run(inputs.numpy()), separable_program.run(inputs.numpy()), atol=1e-5)
    shutil.copytree(path, tmp_path / "first")
    core_ai.asset_from_program(separable_program, inputs[:1], path)
    for file in path.iterdir():
        assert file.read_bytes() == (tmp_path / "first" / file.name).read_bytes()


@real
def test_an_artifact_that_asks_for_it_has_three_witnesses(program: QuantizedProgram, tmp_path: Path) -> None:
    artifact = artifact_with_option(program, tmp_path / "a")
    executors = target_named("phone-coreml").executors(artifact)
    assert [executor.name for executor in executors] == ["core-ai", "mlpackage-fp32", "mlpackage-fp16"]
    assert "model.aimodel/main.mlirb" in {file.path for file in artifact.files}
    assert any("a beta format of iOS 27" in note for note in artifact.notes)
