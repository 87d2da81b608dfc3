"""Writes the Swift package around a model: sources from `device/swift/`, filled in, and the files they read."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import version
from typing import TYPE_CHECKING

from edgedistill.targets.app_files import little_endian, resize_fixture, write_filled
from edgedistill.targets.phone_coreml import xcode_project
from edgedistill.targets.phone_coreml.convert import CLASSIFICATION, EMBEDDING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from edgedistill.targets.phone_coreml.deployment import Deployment

TEMPLATES = "edgedistill.targets.phone_coreml"
MACOS = {"17": "14", "18": "15", "26": "26"}
PLACES = {
    "Sources": "Sources/{module}",
    "Tests": "Tests/{module}Tests",
    "Benchmarks": "Tests/{module}Benchmarks",
    "DeviceTests": "DeviceTests",
}
"""Where the sources of each folder of `device/swift/` go; a file beside them keeps its place."""
ONLY_FOR = {
    "Classifier.swift": CLASSIFICATION,
    "ClassifierTests.swift": CLASSIFICATION,
    "Embedder.swift": EMBEDDING,
    "EmbedderTests.swift": EMBEDDING,
}
"""Sources that a package has only for one task."""
CLASSIFIER = "let classifier = try await Classifier()   // once: it holds the loaded model\nlet prediction = try await "
EMBEDDER = "let embedder = try await Embedder()   // once: it holds the loaded model\nlet vector = try await "
EXAMPLES = {
    (CLASSIFICATION, "image"): CLASSIFIER + "classifier.predict(image)   // CGImage or a camera's frame, of any size",
    (CLASSIFICATION, "array"): CLASSIFIER + "classifier.predict(values)   // [Float], not normalised",
    (
        CLASSIFICATION,
        "text",
    ): CLASSIFIER + "classifier.predict(tokens: tokens)   // [Int32], of your tokenizer",
    (EMBEDDING, "image"): EMBEDDER + "embedder.embed(image)   // CGImage or a camera's frame, of any size",
    (EMBEDDING, "array"): EMBEDDER + "embedder.embed(values)   // [Float], not normalised",
    (EMBEDDING, "text"): EMBEDDER + "embedder.embed(tokens: tokens)   // [Int32], of your tokenizer",
}
"""What an app writes, by task and kind of preprocessing."""


@dataclass(frozen=True)
class SwiftPackage:
    """A Swift package in an artifact.

    Args:
        module: name of the package and of its library: `FashionMnistModel`.
        artifact: folder of the artifact.
    """

    module: str
    artifact: Path

    @property
    def folder(self) -> Path:
        """Folder of the package."""
        return self.artifact / self.module

    @property
    def resources(self) -> Path:
        """Folder of the files that the library reads."""
        return self.folder / "Sources" / self.module / "Resources"

    @property
    def model(self) -> Path:
        """Path of the Core ML package."""
        return self.resources / "Model.mlpackage"

    def write(
        self,
        card: dict[str, object],
        *,
        raw: NDArray[np.generic],
        outputs: NDArray[np.float32],
        title: str,
        deployment: Deployment,
    ) -> None:
        """Write everything but the model.

        Args:
            card: what `ModelCard.swift` reads.
            raw: golden samples as the app gives them: (n, height, width, channels) uint8 pixels at the model's size,
                (n, *shape) float32 numbers, or (n, tokens) int32.
            outputs: theirs, (n, classes), float32.
            title: the device's name.
            deployment: the oldest system.
        """
        self.resources.mkdir(parents=True, exist_ok=True)
        (self.resources / "model.json").write_text(json.dumps(card, indent=1, sort_keys=True) + "\n", "utf-8")
        (self.resources / "golden-inputs.bin").write_bytes(little_endian(raw))
        (self.resources / "golden-outputs.bin").write_bytes(little_endian(outputs))
        values = {
            "module": self.module,
            "name": str(card["name"]),
            "title": title,
            "version": version("edgedistill"),
            "system": deployment.number,
            "macos": MACOS[deployment.number],
            "example": EXAMPLES[str(card["task"]), str(card["preprocessing"]["kind"])],  # type: ignore[index] # a mapping
            "max_steps": f"{card['golden']['max_steps']:g}",  # type: ignore[index] # a mapping
        }
        others = {name for name, task in ONLY_FOR.items() if task != card["task"]}
        _write_templates(resources.files(TEMPLATES) / "device" / "swift", self.folder, values, others)
        fixture = self.folder / "Tests" / f"{self.module}Tests" / "Resources" / "resize.json"
        fixture.parent.mkdir()
        fixture.write_text(json.dumps(resize_fixture()) + "\n", "utf-8")
        self._write_device_tests(deployment)

    def _write_device_tests(self, deployment: Deployment) -> None:
        """Write the Xcode project that runs the tests on a device."""
        tests = self.folder / "Tests"
        found = {kind: sorted(tests.rglob(f"*.{kind}")) for kind in ("swift", "json")}
        paths = {kind: [f"../{path.relative_to(self.folder).as_posix()}" for path in found[kind]] for kind in found}
        content = xcode_project.project(
            self.module, sources=paths["swift"], resources=paths["json"], system=deployment.number
        )
        folder = self.folder / xcode_project.NAME / f"{xcode_project.NAME}.xcodeproj"
        schemes = folder / "xcshareddata" / "xcschemes"
        schemes.mkdir(parents=True)
        (folder / "project.pbxproj").write_text(content, "utf-8")
        scheme = xcode_project.scheme(xcode_project.test_target(content))
        (schemes / f"{xcode_project.NAME}.xcscheme").write_text(scheme, "utf-8")


def module_name(name: str) -> str:
    """Return the Swift module's name for a recipe's name: "fashion-mnist" gives "FashionMnistModel"."""
    words = [word for word in re.split(r"[^a-zA-Z0-9]+", name) if word]
    joined = "".join(word[0].upper() + word[1:] for word in words) + "Model"
    return joined if joined[0].isalpha() else f"Model{joined}"


def package_hash(package: Path) -> str:
    """Return SHA-256 over one line per file, `<hash>  <path>`, in the order of the paths; Swift computes the same."""
    files = sorted((path.relative_to(package).as_posix(), path) for path in package.rglob("*") if path.is_file())
    lines = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}\n" for name, path in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def _write_templates(source: Traversable, folder: Path, values: dict[str, str], left_out: set[str]) -> None:
    for item in sorted(source.iterdir(), key=lambda item: item.name):
        if item.is_dir():
            place = PLACES[item.name].format(module=values["module"])
            for inner in sorted(item.iterdir(), key=lambda inner: inner.name):
                if inner.name not in left_out:
                    write_filled(inner, folder / place / inner.name, values)
        else:
            write_filled(item, folder / item.name, values)
