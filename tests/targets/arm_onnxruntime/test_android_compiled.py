"""The Android module in a real Kotlin compiler, and on a Java machine; Android itself is a stand-in here (`jvm/`)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import kotlin_compiler
import pytest
from kotlin_compiler import Compiled, compiled
from small_models import images, program_of, residual
from target_contract import package

from edgedistill.bench.reading import recordings_from_text
from edgedistill.targets.app_files import resize_fixture
from edgedistill.targets.arm_onnxruntime.android import AndroidModule
from edgedistill.targets.base import profile_named
from edgedistill.targets.registry import target_named

if TYPE_CHECKING:
    from pathlib import Path

MISSING = kotlin_compiler.missing()
pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)
needs_runtime = pytest.mark.skipif(
    kotlin_compiler.onnxruntime_jar() is None,
    reason="ONNXRUNTIME_JAR is not set: com.microsoft.onnxruntime:onnxruntime of Maven Central",
)
FORMS = [(task, kind) for task in ("classification", "embedding") for kind in ("image", "array", "text")]
PACKAGE = "dev.edgedistill"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the module of a small model."""
    target = target_named("arm-onnxruntime")
    profile = profile_named(target, "android-big-core")
    program = program_of(residual(), images(64), target.quant_spec(profile))
    artifact = target.build(program, profile, package=package(), into=tmp_path_factory.mktemp("android") / "a")
    return artifact.folder / "android" / "small"


@pytest.fixture(scope="module")
def classes(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """Compile the small model's module, and the sources of every task and kind of sample."""
    folder = tmp_path_factory.mktemp("forms")
    modules = [AndroidModule(f"{task}-{kind}", folder, "model.onnx") for task, kind in FORMS]
    for module, (task, kind) in zip(modules, FORMS, strict=True):
        module.write_sources(task=task, kind=kind)
    return compiled([small, *(module.folder for module in modules)], folder / "classes")


def test_every_form_compiles_without_a_warning(classes: Compiled) -> None:
    for task, kind in FORMS:
        folder = classes.folder / "main" / "dev" / "edgedistill" / f"{task}_{kind}"
        assert (folder / ("Classifier.class" if task == "classification" else "Embedder.class")).is_file()


def test_the_compiler_sees_what_is_wrong(small: Path, tmp_path: Path) -> None:
    broken = tmp_path / "src" / "main" / "kotlin" / "Broken.kt"
    broken.parent.mkdir(parents=True)
    broken.write_text("public fun unused(): Int {\n    val nobody = 1\n    return 2\n}\n", "utf-8")
    with pytest.raises(AssertionError, match="nobody"):
        compiled([small, tmp_path], tmp_path / "classes")


def test_the_unit_tests_pass(classes: Compiled, small: Path) -> None:
    resources = small / "src" / "test" / "resources"
    assert json.loads((resources / "resize.json").read_text("utf-8")) == resize_fixture()
    names = ["small.PixelsTest", "small.PredictionTest", "embedding_array.EmbedderTest"]
    printed = classes.junit([f"{PACKAGE}.{name}" for name in names], resources=resources)
    assert "OK (10 tests)" in printed


@needs_runtime
@pytest.mark.parametrize("compressed", ["false", "true"])
def test_the_real_runtime_gives_the_golden_outputs(classes: Compiled, small: Path, compressed: str) -> None:
    properties = {"assets": str(small / "src" / "main" / "assets"), "compressed": compressed}
    printed = classes.junit([f"{PACKAGE}.small.GoldenTest"], resources=small, properties=properties)
    assert "OK (" in printed


@needs_runtime
def test_another_model_of_the_same_size_is_refused(classes: Compiled, small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    for file in (small / "src" / "main" / "assets" / "small").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    content = bytearray((folder / "model.onnx").read_bytes())
    content[-1] ^= 1
    (folder / "model.onnx").write_bytes(content)
    with pytest.raises(AssertionError, match=r"is not the file that model\.json tells of"):
        classes.junit([f"{PACKAGE}.small.GoldenTest"], resources=small, properties={"assets": str(tmp_path)})


@needs_runtime
def test_the_reduced_model_takes_the_place_of_the_model(classes: Compiled, small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    for file in (*(small / "src" / "main" / "assets" / "small").glob("*.bin"), *(small / "reduced").iterdir()):
        (folder / file.name).write_bytes(file.read_bytes())
    printed = classes.junit([f"{PACKAGE}.small.GoldenTest"], resources=small, properties={"assets": str(tmp_path)})
    assert "OK (" in printed


@needs_runtime
@pytest.mark.parametrize("sdk", ["24", "35"])
def test_the_benchmarks_log_is_read_and_is_no_latency(classes: Compiled, small: Path, sdk: str) -> None:
    assets = str(small / "src" / "main" / "assets")
    properties = {"assets": assets, "sdk": sdk, "argument.samples": "700", "argument.threads": "1"}
    printed = classes.junit([f"{PACKAGE}.small.LatencyBenchmark"], resources=small, properties=properties)
    log = printed[printed.index('{"schema"') :]
    (recording,) = recordings_from_text(log.replace("\n", ""), thing="log")
    assert recording.device.execution == "emulated"
    assert recording.verified is not None
    assert recording.verified.largest_steps <= recording.verified.max_steps
    assert len(recording.processes[0].samples_ns) == 700
    assert {trace.quantity for trace in recording.processes[0].traces} == (
        {"temperature_c"} if sdk == "24" else {"temperature_c", "thermal_state"}
    )
