"""Small artifacts for phones of every kind, the samples that a stand-in for Core ML plays, and a Swift compiler."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from small_models import images, lively, program_of, residual
from small_tokenizers import tokenizer_json
from target_contract import package
from torch import Tensor, nn

from edgedistill.data.preprocessing import ArrayPreprocessing, ImagePreprocessing, TextPreprocessing
from edgedistill.models.residual import ResidualNet
from edgedistill.targets.base import Package, profile_named
from edgedistill.targets.folder import open_artifact
from edgedistill.targets.registry import target_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedistill.targets.base import Artifact

APPLE = Path(__file__).parents[1] / "targets" / "phone_coreml" / "apple"
MODULES = ("CoreGraphics", "ImageIO", "CoreVideo", "Accelerate", "CryptoKit", "SwiftUI", "CoreML")
"""In the order of their dependencies."""


class Table(nn.Module):
    """Looks tokens up, and averages what it finds."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.last = nn.Embedding(200, 8), nn.Linear(8, 5)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return one vector of 5 numbers per text."""
        return self.last(self.table(tokens).mean(1))  # type: ignore[no-any-return]


def _grey() -> tuple[nn.Module, Tensor, Package]:
    return residual(), images(64), package()


def _colours() -> tuple[nn.Module, Tensor, Package]:
    torch.manual_seed(0)
    model = lively(ResidualNet(classes=5, channels=3, width=6, stem_stride=2))
    preprocessing = ImagePreprocessing(size=(16, 16), mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
    raw = np.random.default_rng(1).integers(0, 256, (6, 16, 16, 3), np.uint8)
    return (
        model,
        images(64, channels=3),
        dataclasses.replace(package(), name="colours", preprocessing=preprocessing, golden_raw=raw),
    )


def _sensor() -> tuple[nn.Module, Tensor, Package]:
    generator = np.random.default_rng(2)
    mean, std = generator.normal(size=16), generator.uniform(0.1, 9, 16)
    preprocessing = ArrayPreprocessing(shape=(1, 16, 16), scale=0.37, mean=tuple(mean), std=tuple(std))
    raw = generator.normal(3, 5, (6, 1, 16, 16)).astype(np.float32)
    return (
        residual(),
        images(64),
        dataclasses.replace(package(), name="sensor", preprocessing=preprocessing, golden_raw=raw),
    )


def _texts() -> tuple[nn.Module, Tensor, Package]:
    torch.manual_seed(0)
    tokens = torch.randint(0, 100, (64, 6), dtype=torch.int32)
    texts = Package(
        name="texts",
        classes=(),
        preprocessing=TextPreprocessing(tokenizer="tokenizer.json", max_length=6),
        golden_raw=np.array(["the movie was great", "a bad day", "love it", ""]),
        assets={"tokenizer.json": tokenizer_json().encode()},
        task="embedding",
    )
    return Table().eval(), tokens, texts


KINDS: dict[str, Callable[[], tuple[nn.Module, Tensor, Package]]] = {
    "grey": _grey,
    "colours": _colours,
    "sensor": _sensor,
    "texts": _texts,
}
"""A classifier of grey images, one of coloured ones, one of a sensor's windows, and an embedder of texts."""


def artifact_of(kind: str, into: Path) -> Artifact:
    """Build the artifact of one of `KINDS` for iOS 17."""
    model, inputs, contents = KINDS[kind]()
    target = target_named("phone-coreml")
    profile = profile_named(target, "iphone-15-pro")
    return target.build(program_of(model, inputs, target.quant_spec(profile)), profile, package=contents, into=into)


def module_of(artifact: Artifact) -> Path:
    """Return the folder of an artifact's Swift package."""
    return artifact.folder / Path(artifact.model).parts[0]


def played(artifact: Artifact, into: Path) -> Path:
    """Write the samples that the stand-in for Core ML knows: the model's inputs bit by bit, with the golden outputs.

    Pixels are those of the app, since the normalisation is in the model; numbers are those of the workstation's
    preprocessing, which Swift has to give as well.
    """
    _, manifest = open_artifact(artifact.folder)
    golden = np.load(artifact.folder / "golden.npz")
    inputs = golden["raw"] if manifest["preprocessing"]["kind"] == "image" else golden["inputs"]
    into.mkdir(parents=True)
    (into / "inputs.bin").write_bytes(inputs.tobytes())
    (into / "outputs.bin").write_bytes(golden["outputs"].tobytes())
    names = {"input": manifest["input"]["name"], "output": manifest["output"]["name"]}
    described = {**names, "outputs": golden["outputs"][0].size}
    (into / "played.json").write_text(json.dumps(described), "utf-8")
    return into


class Swift:
    """A Swift toolchain on PATH, with the stand-ins for Apple's modules.

    Args:
        folder: where the compiled stand-ins go.
        defined: conditions that the stand-ins are compiled with.
        darwin: whether Darwin is a module of its own. The package manager's test runner takes its presence for a Mac,
            so that packages run with its declarations in CoreML instead.
    """

    def __init__(self, folder: Path, *defined: str, darwin: bool = False) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        for module in ("Darwin", *MODULES) if darwin else MODULES:
            places = (module, "Darwin") if module == "CoreML" and not darwin else (module,)
            self._compile(module, [path for place in places for path in (APPLE / place).glob("*.swift")], defined)

    @staticmethod
    def version() -> str | None:
        """Return what the compiler says of itself; none where there is none."""
        if shutil.which("swift") is None or shutil.which("swiftc") is None:
            return None
        return _run(["swift", "--version"], Path.cwd()).splitlines()[0]

    def _compile(self, module: str, sources: list[Path], defined: tuple[str, ...]) -> None:
        # with library evolution, as Apple's own are: enumerations may grow, so that @unknown default means something
        out = ["-o", f"lib{module}.a", "-emit-module-path", f"{module}.swiftmodule", "-module-link-name", module]
        made = ["-emit-library", "-static", "-emit-module", "-enable-library-evolution", "-parse-as-library"]
        flags = ["-swift-version", "5", "-I", ".", *(f"-D{name}" for name in defined)]
        _run(["swiftc", *made, "-module-name", module, *out, *flags, *sorted(map(str, sources))], self.folder)

    def test(self, folder: Path, *arguments: str, environment: dict[str, str], passes: bool = True) -> str:
        """Return what `swift test` says of a package."""
        flags = ["--disable-sandbox", "-Xswiftc", "-I", "-Xswiftc", str(self.folder), "-Xlinker", f"-L{self.folder}"]
        command = ["swift", "test", "--package-path", str(folder), *flags, *arguments]
        return _run(command, folder, environment, passes=passes)

    def check(self, module: str, sources: list[Path], into: Path, *flags: str) -> str:
        """Return the diagnostics of one module's sources, and write its interface for others to import.

        Down to machine code: data races are looked for behind the type checker only.
        """
        command = ["swiftc", "-emit-module", "-c", "-wmo", "-module-name", module, "-parse-as-library"]
        out = ["-emit-module-path", f"{module}.swiftmodule", "-o", f"{module}.o", "-I", ".", "-I", str(self.folder)]
        return _run([*command, *out, "-enable-testing", *flags, *map(str, sources)], into)


def _run(command: list[str], folder: Path, environment: dict[str, str] | None = None, *, passes: bool = True) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) == passes, f"{' '.join(command)}\n{done.stdout}"
    return done.stdout
