"""Writes an Android library module around a model: Kotlin sources from `device/android/`, assets, the reduced form."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill.errors import ModelError
from edgedistill.targets.app_files import as_an_app_gives_them, filled, little_endian, resize_fixture

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgedistill.data.transfer_set import Inputs
    from edgedistill.targets.base import Package

TEMPLATES = "edgedistill.targets.arm_onnxruntime.device"
FOLDER = "android"
TOOL = "onnxruntime.tools.convert_onnx_models_to_ort"
OPTIONS = ("--optimization_style=Fixed", "--target_platform=arm", "--enable_type_reduction")
PLACES = {
    "main": "src/main/kotlin/{path}",
    "test": "src/test/kotlin/{path}",
    "androidTest": "src/androidTest/kotlin/{path}",
}
"""Where the sources of each folder of `device/android/` go."""
MANIFEST = "src/main/AndroidManifest.xml"
ONLY_FOR = {
    "Bitmaps.kt": "image",
    "Classifier.kt": "classification",
    "Embedder.kt": "embedding",
    "EmbedderTest.kt": "embedding",
    "Pixels.kt": "image",
    "PixelsTest.kt": "image",
    "Prediction.kt": "classification",
    "PredictionTest.kt": "classification",
}
"""Sources that a module has only for one task or one kind of preprocessing."""
BLOCK = re.compile(r"^ *//: (?P<only>\w+)\n(?P<lines>.*?)^ *//: end\n", re.MULTILINE | re.DOTALL)
"""Lines of a source for one task or one kind of preprocessing."""
WORDS = """
abstract as assert boolean break byte case catch char class const continue default do double else enum extends
false final finally float for fun goto if implements import in int interface is long native new null object
package private protected public return short static strictfp super switch synchronized this throw throws
transient true try typealias typeof val var void volatile when while
"""
KEYWORDS = frozenset(re.findall(r"\w+", WORDS))
"""Words of Kotlin or Java that cannot be a part of a package's name."""
REDUCED = "model.ort"
NOTE = "Kotlin sources: their templates were compiled against stand-ins for Android, not by its toolchain or on a phone"
SAMPLES = {"image": "bitmap", "array": "values", "text": "tokens"}
"""What an app gives, by kind of preprocessing."""
SAMPLE_TYPES = {"image": "Bitmap", "array": "FloatArray", "text": "IntArray"}
"""Its Kotlin type."""


@dataclass(frozen=True)
class AndroidModule:
    """A library module in an artifact.

    Args:
        name: the recipe's.
        artifact: folder of the artifact; holds the model.
        model: name of the model's file there.
    """

    name: str
    artifact: Path
    model: str

    @property
    def module(self) -> str:
        """Name of the module: letters, digits and `_`: "fashion_mnist"."""
        return re.sub(r"[^a-z0-9]+", "_", self.name.lower()).strip("_")

    @property
    def package(self) -> str:
        """Kotlin package: "dev.edgedistill.fashion_mnist"."""
        start = "" if self.module[:1].isalpha() and self.module not in KEYWORDS else "model_"
        return f"dev.edgedistill.{start}{self.module}"

    @property
    def folder(self) -> Path:
        """Folder of the module."""
        return self.artifact / FOLDER / self.module

    def write(self, card: dict[str, object], package: Package, inputs: Inputs, outputs: NDArray[np.float32]) -> None:
        """Write everything.

        Args:
            card: what the manifest says of the model.
            package: gives the golden samples.
            inputs: the same, preprocessed.
            outputs: the same, computed: (n, ...), float32.
        """
        assets = self.folder / "src" / "main" / "assets" / self.module
        assets.mkdir(parents=True)
        shutil.copyfile(self.artifact / self.model, assets / self.model)
        write_card(card, assets / self.model)
        (assets / "golden-inputs.bin").write_bytes(little_endian(as_an_app_gives_them(package, inputs)))
        (assets / "golden-outputs.bin").write_bytes(little_endian(outputs))
        kind = package.preprocessing.kind
        self.write_sources(task=package.task, kind=kind)
        if kind == "image":
            fixture = self.folder / "src" / "test" / "resources" / "resize.json"
            fixture.parent.mkdir(parents=True)
            fixture.write_text(json.dumps(resize_fixture()) + "\n", "utf-8")
        reduced = self.folder / "reduced"
        write_reduced(self.artifact / self.model, reduced)
        write_card(card, reduced / REDUCED)

    def write_sources(self, *, task: str, kind: str) -> None:
        """Write the sources for a task and a kind of preprocessing."""
        values = {
            "module": self.module,
            "name": self.name,
            "package": self.package,
            "sample": SAMPLES[kind],
            "sample_type": SAMPLE_TYPES[kind],
            "version": version("edgedistill"),
            "onnxruntime": version("onnxruntime"),
        }
        source = resources.files(TEMPLATES) / FOLDER
        for item in source.iterdir():
            if item.is_dir():
                place = self.folder / PLACES[item.name].format(path=self.package.replace(".", "/"))
                for inner in item.iterdir():
                    if ONLY_FOR.get(inner.name, task) in (task, kind):
                        text = lines_for(inner.read_text("utf-8"), task, kind)
                        write_text(place / inner.name, filled(text, values, name=inner.name))
            else:
                place = self.folder / (MANIFEST if item.name.endswith(".xml") else item.name)
                text = lines_for(item.read_text("utf-8"), task, kind)
                write_text(place, filled(text, values, name=item.name))


def lines_for(text: str, *only: str) -> str:
    """Return a source with the lines of its blocks `//: NAME` to `//: end` for some names, and without the others."""
    return BLOCK.sub(lambda block: block["lines"] if block["only"] in only else "", text)


def write_card(card: dict[str, object], model: Path) -> None:
    """Write `model.json` beside a model: what the manifest says, with the name, hash and size of this very file."""
    content = model.read_bytes()
    facts = {
        "model": model.name,
        "model_sha256": hashlib.sha256(content).hexdigest(),
        "model_size_bytes": len(content),
    }
    text = json.dumps({**card, **facts}, indent=1, sort_keys=True)
    write_text(model.with_name("model.json"), text + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def at_fixed_addresses() -> list[str]:
    """Return what runs a command without random addresses, nothing where this machine does not allow that.

    The order in which the tool writes a model's parts follows addresses in memory.
    """
    setarch = shutil.which("setarch")
    if setarch is None or subprocess.run([setarch, "-R", "true"], capture_output=True, check=False).returncode:  # noqa: S603 - util-linux, no shell
        return []
    return [setarch, "-R"]


def write_reduced(model: Path, into: Path) -> None:
    """Write a model in ONNX Runtime's own format, and the operators and types that a minimal build needs for it.

    Both by onnxruntime's own tool (1.32), optimized for ARM; the paths of this machine are taken out of the list.

    Raises:
        ModelError: the tool refuses the model.
    """
    into.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copyfile(model, Path(folder) / "model.onnx")
        # a process of its own: within ours it would leave a file open (1.32)
        done = subprocess.run(  # noqa: S603 - our own interpreter, no shell
            [*at_fixed_addresses(), sys.executable, "-m", TOOL, *OPTIONS, "model.onnx"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ModelError("conversion to ORT format", found=f"onnxruntime says: {done.stderr.strip()[-400:]}")
        shutil.copyfile(Path(folder) / "model.ort", into / REDUCED)
        listed = (Path(folder) / "model.required_operators_and_types.config").read_text("utf-8")
    lines = [line for line in listed.splitlines() if not line.startswith("#")]
    (into / "required_operators.config").write_text("# for model.ort\n" + "\n".join(lines) + "\n", "utf-8")
