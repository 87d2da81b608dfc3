"""The generated Swift package: its syntax, what it reads, and the names on both sides."""

import hashlib
import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import tree_sitter
import tree_sitter_swift
from openstep_parser import OpenStepDecoder

from edgedistill.data.arrays import resize_image
from edgedistill.errors import UnsupportedError
from edgedistill.targets.app_files import filled
from edgedistill.targets.base import Artifact
from edgedistill.targets.folder import open_artifact
from edgedistill.targets.phone_coreml.swift import module_name, package_hash

PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_swift.language()))


def syntax_errors(source: bytes) -> list[int]:
    """Return the lines on which the parser gave up."""
    found, todo = [], [PARSER.parse(source).root_node]
    while todo:
        node = todo.pop()
        if node.type == "ERROR" or node.is_missing:
            found.append(node.start_point[0] + 1)
        todo += node.children
    return found


def folder_of(artifact: Artifact) -> Path:
    return artifact.folder / "SmallModel"


def test_the_gate_sees_a_broken_source() -> None:
    assert syntax_errors(b"struct A { func f() { let x = ( } }")


def test_every_source_is_swift(artifact: Artifact) -> None:
    sources = sorted(folder_of(artifact).rglob("*.swift"))
    assert len(sources) >= 12
    assert {path.name: syntax_errors(path.read_bytes()) for path in sources if syntax_errors(path.read_bytes())} == {}


def test_no_placeholder_is_left(artifact: Artifact) -> None:
    for path in folder_of(artifact).rglob("*"):
        if path.suffix in (".swift", ".md"):
            assert "{{" not in path.read_text("utf-8"), path


def test_every_declared_resource_is_there_and_every_file_declared(artifact: Artifact) -> None:
    manifest = (folder_of(artifact) / "Package.swift").read_text("utf-8")
    declared = set(re.findall(r'\.copy\("Resources/([^"]+)"\)', manifest))
    on_disk = {path.name for path in folder_of(artifact).glob("*/*/Resources/*")}
    assert declared == on_disk


def test_the_oldest_system_is_the_profiles(artifact: Artifact) -> None:
    manifest = (folder_of(artifact) / "Package.swift").read_text("utf-8")
    assert '.iOS("17.0")' in manifest


def test_the_card_has_every_key_that_swift_decodes(artifact: Artifact) -> None:
    sources = folder_of(artifact) / "Sources" / "SmallModel"
    card = json.loads((sources / "Resources" / "model.json").read_text("utf-8"))
    text = (sources / "ModelCard.swift").read_text("utf-8")
    keys = [*re.findall(r'case \w+ = "(\w+)"', text), "name", "target", "profile", "precision", "deployment"]
    flat = {*card, *card["golden"], *card["input"], *card["output"], *card["preprocessing"]}
    assert set(keys) <= flat
    assert {"n", "step", "shape", "kind", "scale", "mean", "std"} <= flat


def test_golden_samples_are_those_of_the_artifact(artifact: Artifact) -> None:
    resources = folder_of(artifact) / "Sources" / "SmallModel" / "Resources"
    golden = np.load(artifact.folder / "golden.npz")
    pixels = np.frombuffer((resources / "golden-inputs.bin").read_bytes(), np.uint8)
    outputs = np.frombuffer((resources / "golden-outputs.bin").read_bytes(), "<f4")
    np.testing.assert_array_equal(pixels.reshape(golden["raw"].shape), golden["raw"])
    np.testing.assert_array_equal(outputs.reshape(golden["outputs"].shape), golden["outputs"])


def test_the_models_hash_is_over_every_file_of_it(artifact: Artifact) -> None:
    _, manifest = open_artifact(artifact.folder)
    package = artifact.folder / artifact.model
    lines = "".join(
        f"{hashlib.sha256((package / name).read_bytes()).hexdigest()}  {name}\n"
        for name in (
            "Data/com.apple.CoreML/model.mlmodel",
            "Data/com.apple.CoreML/weights/weight.bin",
            "Manifest.json",
        )
    )
    assert manifest["model_sha256"] == hashlib.sha256(lines.encode()).hexdigest() == package_hash(package)


def test_the_resizing_fixture_is_what_the_workstation_computes(artifact: Artifact) -> None:
    tests = folder_of(artifact) / "Tests" / "SmallModelTests"
    fixture = json.loads((tests / "Resources" / "resize.json").read_text("utf-8"))
    source = image(fixture["source"])
    for wanted in fixture["resized"]:
        np.testing.assert_array_equal(image(wanted), resize_image(source, wanted["height"], wanted["width"]))


def image(described: dict[str, object]) -> np.ndarray:
    shape = [described[name] for name in ("height", "width", "channels")]
    return np.array(described["bytes"], np.uint8).reshape(shape)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "module"),
    [("fashion-mnist", "FashionMnistModel"), ("a.b_c", "ABCModel"), ("3d", "Model3dModel")],
)
def test_a_recipes_name_becomes_a_swift_name(name: str, module: str) -> None:
    assert module_name(name) == module


def test_a_placeholder_without_a_value_is_named() -> None:
    with pytest.raises(UnsupportedError, match="other"):
        filled("{{name}} {{other}}", {"name": "x"}, name="t")


def device_tests(artifact: Artifact) -> Path:
    return folder_of(artifact) / "DeviceTests" / "DeviceTests.xcodeproj"


def objects_of(artifact: Artifact) -> dict[str, dict[str, str]]:
    text = (device_tests(artifact) / "project.pbxproj").read_text("utf-8")
    return OpenStepDecoder.ParseFromString(text)["objects"]  # type: ignore[no-any-return]


def test_the_projects_objects_all_exist_and_hang_together(artifact: Artifact) -> None:
    text = (device_tests(artifact) / "project.pbxproj").read_text("utf-8")
    objects = objects_of(artifact)
    assert set(re.findall(r"\bED[0-9A-F]{22}\b", text)) == set(objects)
    assert objects[OpenStepDecoder.ParseFromString(text)["rootObject"]]["isa"] == "PBXProject"
    kinds = {item.get("productType") for item in objects.values() if item["isa"] == "PBXNativeTarget"}
    assert kinds == {"com.apple.product-type.application", "com.apple.product-type.bundle.unit-test"}


def test_the_project_lists_every_test_and_its_host(artifact: Artifact) -> None:
    home = device_tests(artifact).parent
    listed = {item["path"] for item in objects_of(artifact).values() if "lastKnownFileType" in item}
    on_disk = {path.resolve() for path in (folder_of(artifact) / "Tests").rglob("*") if path.is_file()}
    assert {(home / path).resolve() for path in listed} == on_disk | {(home / "Host.swift").resolve()}


def test_the_scheme_tests_the_test_target(artifact: Artifact) -> None:
    path = device_tests(artifact) / "xcshareddata/xcschemes/DeviceTests.xcscheme"
    reference = ET.fromstring(path.read_text("utf-8")).find(".//BuildableReference")  # noqa: S314 - our own file
    assert reference is not None
    assert objects_of(artifact)[reference.attrib["BlueprintIdentifier"]]["name"] == "DeviceTests"
