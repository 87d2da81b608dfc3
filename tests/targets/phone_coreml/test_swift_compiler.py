"""The generated Swift packages through a Swift compiler on Linux, against our declarations of Apple's modules.

Nothing here is Apple's software: `apple/README.md` says what the stand-ins do. The unchanged packages are built and
their tests run, in which a stand-in for Core ML answers golden inputs, bit by bit, with the golden outputs.
"""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from swift_packages import KINDS, Swift, artifact_of, module_of, played
from typer.testing import CliRunner

from edgedistill.bench.recording import SCHEMA, Recording
from edgedistill.cli.app import app
from edgedistill.data.arrays import resize_image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from edgedistill.targets.base import Artifact

if Swift.version() is None:
    pytest.skip(
        "no Swift compiler on PATH (Debian 13: apt-get install swiftlang); sources were parsed, not compiled",
        allow_module_level=True,
    )

MODES = {
    "5": ("-swift-version", "5"),
    "5-complete": ("-swift-version", "5", "-strict-concurrency=complete"),
    "6": ("-swift-version", "6"),
}
PLATFORMS = {"os(iOS)": "ON_IOS", "os(macOS)": "ON_MACOS", "targetEnvironment(simulator)": "ON_SIMULATOR"}
"""What sources ask of the system, and the condition that stands for the answer."""
STEP = "EDGEDISTILL_BENCH "


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Swift:
    """The compiler, and stand-ins that packages run with."""
    return Swift(tmp_path_factory.mktemp("swift") / "apple")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Artifact]:
    """Artifacts by kind, each built once."""
    folder, made = tmp_path_factory.mktemp("packages"), dict[str, "Artifact"]()

    def build(kind: str) -> Artifact:
        if kind not in made:
            made[kind] = artifact_of(kind, folder / kind)
            played(made[kind], folder / f"{kind}-played")
        return made[kind]

    return build


@pytest.fixture(scope="session")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the packages that are built, so that each is built once."""
    return tmp_path_factory.mktemp("copies")


def run_tests(swift: Swift, artifact: Artifact, samples: Path, copies: Path, *, passes: bool = True) -> str:
    """Return what `swift test` prints of a copy of an artifact's package."""
    environment = {
        "EDGEDISTILL_PLAYED": str(samples),
        "EDGEDISTILL_SAMPLES": "64",
        "EDGEDISTILL_DEVICE": "stand-in, no phone",
        "HOME": str(copies),
    }
    return swift.test(copied(artifact, copies), environment=environment, passes=passes)


def copied(artifact: Artifact, copies: Path) -> Path:
    """Return the copy of an artifact's package that is built."""
    package = module_of(artifact)
    copy = copies / package.name
    if not copy.exists():
        shutil.copytree(package, copy)
    return copy


@pytest.mark.parametrize("kind", KINDS)
def test_an_unchanged_package_builds_without_a_warning_and_passes_its_tests(
    swift: Swift,
    built: Callable[[str], Artifact],
    copies: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    artifact = built(kind)
    said = run_tests(swift, artifact, artifact.folder.with_name(f"{kind}-played"), copies)
    assert "warning:" not in said
    assert max(int(count) for count in re.findall(r"Executed (\d+) tests, with", said)) > 20
    lines = [line.removeprefix(STEP) for line in said.splitlines() if line.startswith(STEP)]
    recordings = [Recording.model_validate_json(line) for line in lines]
    assert [item.runtime.provider for item in recordings] == ["all", "cpuAndNeuralEngine", "cpuAndGPU", "cpuOnly"]
    for item in recordings:
        assert (item.device.kind, item.device.execution) == ("host", "emulated")
        assert item.verified is not None
        assert (item.verified.identical_outputs, item.verified.largest_steps) == (1, 0)
        assert [len(process.samples_ns) for process in item.processes] == [64]
    monkeypatch.setenv("EDGEDISTILL_RESULTS", str(tmp_path / "results"))
    (tmp_path / "console.log").write_text(said, "utf-8")
    ended = CliRunner().invoke(app, ["bench", "import", str(tmp_path / "console.log")])
    assert ended.exit_code == 0, ended.output
    assert ended.output.count("(emulated: a rehearsal, no latency)") == len(recordings)
    assert SCHEMA not in ended.output


def test_other_outputs_fail_the_tests_and_no_latency_is_printed(
    swift: Swift, built: Callable[[str], Artifact], copies: Path, tmp_path: Path
) -> None:
    artifact = built("grey")
    samples = tmp_path / "played"
    shutil.copytree(artifact.folder.with_name("grey-played"), samples)
    outputs = bytearray((samples / "outputs.bin").read_bytes())
    outputs[3] ^= 0x80  # the sign of the first
    (samples / "outputs.bin").write_bytes(outputs)
    said = run_tests(swift, artifact, samples, copies, passes=False)
    assert "no latency is reported" in said
    assert STEP not in said


def test_larger_images_are_resized_as_on_the_workstation(
    swift: Swift, built: Callable[[str], Artifact], copies: Path
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (61, 83, 3), np.uint8)
    resized = [resize_image(image, *size) for size in ((16, 16), (28, 83), (61, 7), (64, 64), (1, 1), (97, 40))]
    fixture = {"source": described(image), "resized": [described(item) for item in resized]}
    package = copied(built("grey"), copies)
    path = package / "Tests" / f"{package.name}Tests" / "Resources" / "resize.json"
    kept = path.read_text("utf-8")
    path.write_text(json.dumps(fixture), "utf-8")
    try:
        said = swift.test(package, "--filter", "ResizeTests", environment={"HOME": str(copies)})
    finally:
        path.write_text(kept, "utf-8")
    assert "Executed 3 tests, with 0 failures" in said


def described(image: NDArray[np.uint8]) -> dict[str, object]:
    """Return an image as `resize.json` has it."""
    height, width, channels = image.shape
    return {"height": height, "width": width, "channels": channels, "bytes": image.ravel().tolist()}


@pytest.fixture(scope="session", params=[(), ("MLMODEL_IS_SENDABLE",)], ids=["plain", "sendable"])
def declared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Swift:
    """Stand-ins with a module `Darwin`, for an SDK whose `MLModel` is Sendable, and for one whose is not."""
    return Swift(tmp_path_factory.mktemp("declared") / "apple", *request.param, darwin=True)


@pytest.mark.parametrize("mode", MODES)
def test_every_source_compiles_in_every_language_mode(
    mode: str, declared: Swift, built: Callable[[str], Artifact], tmp_path: Path
) -> None:
    said = checked(declared, module_of(built("grey")), tmp_path, *MODES[mode], "-DON_IOS")
    assert "warning:" not in said, said


def test_an_embedders_sources_compile_in_swift_6(
    declared: Swift, built: Callable[[str], Artifact], tmp_path: Path
) -> None:
    said = checked(declared, module_of(built("texts")), tmp_path, *MODES["6"], "-DON_IOS")
    assert "warning:" not in said, said


def test_a_type_error_and_a_data_race_are_seen(swift: Swift, tmp_path: Path) -> None:
    (tmp_path / "a.swift").write_text("import CoreML\nlet units: MLComputeUnits = .neuralEngineOnly\n")
    race = "class Box { var n = 0 }\nfunc f() { let b = Box(); Task { b.n = 1 }; b.n = 2 }\n"
    (tmp_path / "b.swift").write_text(race)
    with pytest.raises(AssertionError, match="no member 'neuralEngineOnly'"):
        swift.check("A", [tmp_path / "a.swift"], tmp_path)
    with pytest.raises(AssertionError, match=r"could race|data races"):
        swift.check("B", [tmp_path / "b.swift"], tmp_path, *MODES["6"])


@pytest.mark.parametrize("platform", sorted(PLATFORMS.values()))
def test_what_is_for_one_system_only_compiles(
    platform: str, swift: Swift, built: Callable[[str], Artifact], tmp_path: Path
) -> None:
    said = checked(swift, module_of(built("grey")), tmp_path, "-swift-version", "5", f"-D{platform}")
    assert "warning:" not in said, said


def checked(swift: Swift, package: Path, into: Path, *flags: str) -> str:
    """Return the diagnostics of a package's sources as Xcode's project compiles them: all tests in one module."""
    said = swift.check(package.name, translated(package / "Sources", into / "Sources", RESOURCES), into, *flags)
    said += swift.check("DeviceTests", translated(package / "Tests", into / "Tests"), into, *flags)
    return said + swift.check("Host", translated(package / "DeviceTests", into / "DeviceTests"), into, *flags)


RESOURCES = "import Foundation\nextension Bundle { static let module = Bundle.main }\n"
"""What the package manager writes for a library with resources."""


def translated(folder: Path, into: Path, more: str = "") -> list[Path]:
    """Copy sources, with conditions that the command line can answer instead of the system."""
    into.mkdir()
    made = []
    for source in sorted(folder.rglob("*.swift")):
        text = source.read_text("utf-8")
        for asked, name in PLATFORMS.items():
            text = text.replace(asked, name)
        assert not re.search(r"#(?:else)?if.*\b(?:os|targetEnvironment)\(", text), source
        made.append(into / source.name)
        made[-1].write_text(text, "utf-8")
    if more:
        made.append(into / "Generated.swift")
        made[-1].write_text(more, "utf-8")
    return made
