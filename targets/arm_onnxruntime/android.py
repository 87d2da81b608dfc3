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
from edgedistill.targets.app_files import as_an_app_gives_them, little_endian, resize_fixture, write_filled

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgedistill.data.transfer_set import Inputs
    from edgedistill.targets.base import Package

TEMPLATES = "edgedistill.targets.arm_onnxruntime.device"
FOLDER = "android"
TOOL = "onnxruntime.tools.convert_onnx_models_to_ort"
OPTIONS = ("--optimization_style=Fixed", "--target_platform=arm")
PLACES = {
    "main": "src/main/kotlin/{path}",
    "test": "src/test/kotlin/{path}",
    "androidTest": "src/androidTest/kotlin/{path}",
}
"""Where the sources of each folder of `device/android/` go."""
MANIFEST = "src/main/AndroidManifest.xml"


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
        start = "" if self.module[:1].isalpha() else "model_"
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
        content = (self.artifact / self.model).read_bytes()
        facts = {"model_sha256": hashlib.sha256(content).hexdigest(), "model_size_bytes": len(content)}
        text = json.dumps({**card, **facts}, indent=1, sort_keys=True)
        (assets / "model.json").write_text(text + "\n", "utf-8")
        (assets / "golden-inputs.bin").write_bytes(little_endian(as_an_app_gives_them(package, inputs)))
        (assets / "golden-outputs.bin").write_bytes(little_endian(outputs))
        self._write_sources()
        fixture = self.folder / "src" / "test" / "resources" / "resize.json"
        fixture.parent.mkdir(parents=True)
        fixture.write_text(json.dumps(resize_fixture()) + "\n", "utf-8")
        write_reduced(self.artifact / self.model, self.folder / "reduced")

    def _write_sources(self) -> None:
        values = {
            "module": self.module,
            "name": self.name,
            "package": self.package,
            "version": version("edgedistill"),
            "onnxruntime": version("onnxruntime"),
        }
        source = resources.files(TEMPLATES) / FOLDER
        for item in source.iterdir():
            if item.is_dir():
                place = self.folder / PLACES[item.name].format(path=self.package.replace(".", "/"))
                for inner in item.iterdir():
                    write_filled(inner, place / inner.name, values)
            else:
                place = self.folder / (MANIFEST if item.name.endswith(".xml") else item.name)
                write_filled(item, place, values)


def at_fixed_addresses() -> list[str]:
    """Return what runs a command without random addresses, nothing where this machine does not allow that.

    The order in which the tool writes a model's parts follows addresses in memory.
    """
    setarch = shutil.which("setarch")
    if setarch is None or subprocess.run([setarch, "-R", "true"], capture_output=True, check=False).returncode:  # noqa: S603 - util-linux, no shell
        return []
    return [setarch, "-R"]


def write_reduced(model: Path, into: Path) -> None:
    """Write a model in ONNX Runtime's own format, and the operators that a minimal build needs for it.

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
        shutil.copyfile(Path(folder) / "model.ort", into / "model.ort")
        listed = (Path(folder) / "model.required_operators.config").read_text("utf-8")
    lines = [line for line in listed.splitlines() if not line.startswith("#")]
    (into / "required_operators.config").write_text("# for model.ort\n" + "\n".join(lines) + "\n", "utf-8")
