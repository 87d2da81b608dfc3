"""The Android module of an artifact: Kotlin syntax, assets, and the reduced form in the runtime."""

import hashlib
import json
import platform
import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tree_sitter
import tree_sitter_kotlin
from onnxruntime.tools.ort_format_model.ort_model_processor import fbs as flatbuffers
from onnxruntime.tools.reduced_build_config_parser import parse_config
from small_models import images, program_of, residual
from target_contract import package

from edgedistill.targets.arm_onnxruntime.android import AndroidModule, at_fixed_addresses
from edgedistill.targets.arm_onnxruntime.target import OPTIONS_BY_MACHINE
from edgedistill.targets.base import Artifact, profile_named
from edgedistill.targets.registry import target_named

PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_kotlin.language()))


def syntax_errors(source: bytes) -> list[int]:
    """Return the lines on which the parser gave up."""
    found, todo = [], [PARSER.parse(source).root_node]
    while todo:
        node = todo.pop()
        if node.type == "ERROR" or node.is_missing:
            found.append(node.start_point[0] + 1)
        todo += node.children
    return found


def listed_operators(config: Path) -> set[tuple[str, int, str]]:
    """Return domain, version and name of every operator in a list, by onnxruntime's own parser."""
    listed, types = parse_config(str(config), enable_type_reduction=True)
    assert types is not None
    return {(domain, since, name) for domain, sets in listed.items() for since, names in sets.items() for name in names}


def operators_of(model: Path) -> set[tuple[str, int, str]]:
    """Return the same of every node in an .ort file."""
    session = flatbuffers.InferenceSession.InferenceSession.GetRootAsInferenceSession(model.read_bytes(), 0)
    graph = session.Model().Graph()
    nodes = [graph.Nodes(index) for index in range(graph.NodesLength())]
    return {((node.Domain() or b"ai.onnx").decode(), node.SinceVersion(), node.OpType().decode()) for node in nodes}


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    target = target_named("arm-onnxruntime")
    profile = profile_named(target, "android-big-core")
    program = program_of(residual(), images(64), target.quant_spec(profile))
    return target.build(program, profile, package=package(), into=tmp_path_factory.mktemp("android") / "a")


@pytest.fixture(scope="module")
def module(artifact: Artifact) -> Path:
    return artifact.folder / "android" / "small"


def test_the_gate_sees_a_broken_source() -> None:
    assert syntax_errors(b"fun f( { val x = }")


def test_every_source_is_kotlin(module: Path) -> None:
    sources = [*module.rglob("*.kt"), *module.rglob("*.kts")]
    assert len(sources) >= 10
    assert {path.name: lines for path in sources if (lines := syntax_errors(path.read_bytes()))} == {}


def test_sources_stand_in_the_folder_of_their_package(module: Path) -> None:
    for path in module.rglob("*.kt"):
        found = re.search(r"^package (\S+)$", path.read_text("utf-8"), re.MULTILINE)
        assert found
        assert path.parent.as_posix().endswith(found[1].replace(".", "/"))


def test_no_placeholder_is_left(module: Path) -> None:
    for path in module.rglob("*"):
        if path.suffix in (".kt", ".kts", ".md", ".xml"):
            assert "{{" not in path.read_text("utf-8"), path


def test_the_assets_are_those_of_the_artifact(module: Path, artifact: Artifact) -> None:
    assets = module / "src" / "main" / "assets" / "small"
    card = json.loads((assets / "model.json").read_text("utf-8"))
    content = (artifact.folder / artifact.model).read_bytes()
    assert (assets / "model.onnx").read_bytes() == content
    assert card["model_sha256"] == hashlib.sha256(content).hexdigest()
    assert card["model_size_bytes"] == len(content)
    golden = np.load(artifact.folder / "golden.npz")
    assert (assets / "golden-inputs.bin").read_bytes() == golden["raw"].tobytes()
    assert (assets / "golden-outputs.bin").read_bytes() == golden["outputs"].tobytes()


def test_the_card_has_every_key_that_kotlin_reads(module: Path) -> None:
    text = "".join(next(module.rglob(name)).read_text("utf-8") for name in ("ModelCard.kt", "Preprocessing.kt"))
    card = json.loads(next(module.rglob("model.json")).read_text("utf-8"))
    flat = {*card, *card["golden"], *card["input"], *card["output"], *card["preprocessing"]}
    assert set(re.findall(r'get\w+\("(\w+)"\)', text)) <= flat


def test_the_reduced_model_has_its_own_card(module: Path) -> None:
    card = json.loads((module / "reduced" / "model.json").read_text("utf-8"))
    content = (module / "reduced" / card["model"]).read_bytes()
    assert card["model"] == "model.ort"
    assert (card["model_sha256"], card["model_size_bytes"]) == (hashlib.sha256(content).hexdigest(), len(content))


def test_the_reduced_model_computes_the_same_bits(module: Path, artifact: Artifact) -> None:
    golden = np.load(artifact.folder / "golden.npz")
    settings = onnxruntime.SessionOptions()
    for key, value in OPTIONS_BY_MACHINE.get(platform.machine(), {}).items():
        settings.add_session_config_entry(key, value)
    session = onnxruntime.InferenceSession(
        module / "reduced" / "model.ort", settings, providers=["CPUExecutionProvider"]
    )
    whole = onnxruntime.InferenceSession(artifact.folder / artifact.model, settings, providers=["CPUExecutionProvider"])
    outputs, wanted = (each.run(None, {each.get_inputs()[0].name: golden["inputs"]})[0] for each in (session, whole))
    np.testing.assert_array_equal(outputs.view(np.uint32), wanted.view(np.uint32))


def test_the_reduced_configuration_lists_operators_and_no_path(module: Path) -> None:
    config = module / "reduced" / "required_operators.config"
    text = config.read_text("utf-8")
    assert listed_operators(config) == operators_of(module / "reduced" / "model.ort")
    assert "/" not in text


def test_another_build_has_the_same_bytes(artifact: Artifact, tmp_path: Path) -> None:
    if not at_fixed_addresses():
        pytest.skip("this machine does not allow fixed addresses (setarch -R); model.ort may differ there")
    target = target_named("arm-onnxruntime")
    profile = profile_named(target, "android-big-core")
    program = program_of(residual(), images(64), target.quant_spec(profile))
    again = target.build(program, profile, package=package(), into=tmp_path / "b")
    assert again.files == artifact.files


def test_other_boards_carry_no_module(tmp_path: Path) -> None:
    target = target_named("arm-onnxruntime")
    profile = profile_named(target, "raspberry-pi-5")
    program = program_of(residual(), images(16), target.quant_spec(profile))
    built = target.build(program, profile, package=package(), into=tmp_path / "b")
    assert not any(file.path.startswith("android/") for file in built.files)


@pytest.mark.parametrize(("task", "kind"), [("classification", "array"), ("embedding", "text"), ("embedding", "image")])
def test_a_module_has_the_sources_of_its_task_and_samples(task: str, kind: str, tmp_path: Path) -> None:
    module = AndroidModule("a", tmp_path, "model.onnx")
    module.write_sources(task=task, kind=kind)
    sources = {path.name: path.read_text("utf-8") for path in module.folder.rglob("*.kt")}
    assert ("Classifier.kt" in sources) == (task == "classification")
    assert ("Bitmaps.kt" in sources) == (kind == "image")
    assert not any("//:" in text or "{{" in text for text in sources.values())
    assert all("Bitmap" not in text or kind == "image" for text in sources.values())
    assert {name: lines for name, text in sources.items() if (lines := syntax_errors(text.encode()))} == {}


@pytest.mark.parametrize(
    ("name", "module", "kotlin"),
    [
        ("fashion-mnist", "fashion_mnist", "dev.edgedistill.fashion_mnist"),
        ("3d.net", "3d_net", "dev.edgedistill.model_3d_net"),
        ("Object", "object", "dev.edgedistill.model_object"),
    ],
)
def test_a_recipes_name_becomes_a_kotlin_name(name: str, module: str, kotlin: str) -> None:
    found = AndroidModule(name, Path("a"), "model.onnx")
    assert (found.module, found.package) == (module, kotlin)
