"""`edgedistill bench` on built artifacts and on stored measurements; no time is asserted."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from small_artifact import small_artifact

from edgedistill.bench.measurement import Measurement, measurement_from_file
from edgedistill.bench.results import measurements_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Ended

    Call = Callable[..., Ended]

SHORT = ("--seconds", 0, "--samples", 100, "--processes", 2)


@pytest.fixture(autouse=True)
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEDISTILL_RESULTS", str(tmp_path / "results"))
    return tmp_path / "results"


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return small_artifact(tmp_path / "artifact")


def recorded(**changes: object) -> dict[str, object]:
    samples = (1e6 * np.exp(np.random.default_rng(0).normal(0, 0.01, 400))).astype(int).tolist()
    document = {
        "schema": "edgedistill.bench/1",
        "started": "2026-11-24T02:40:00Z",
        "artifact": {"name": "shapes", "format": "mlpackage", "model_sha256": "0" * 64, "size_bytes": 4096},
        "runtime": {"name": "coreml", "version": "9", "provider": "cpuAndNeuralEngine"},
        "device": {"kind": "ios", "execution": "device", "name": "phone", "model": "iPhone17,1"},
        "workload": {"batch": 1, "input": "real", "shape": [1, 8], "scope": "invoke"},
        "protocol": {"runner": "a test", "min_samples": 400, "min_seconds": 0.0, "clock": "mach_continuous_time"},
        "verified": {"golden_samples": 12, "largest_steps": 0.0, "max_steps": 1.0},
        "processes": [{"load_ns": 5_000_000, "first_ns": 2_000_000, "samples_ns": samples}] * 3,
    }
    return {**document, **changes}


def test_an_artifact_is_measured_here_and_kept(edgedistill: Call, artifact: Path, results: Path) -> None:
    ended = edgedistill("bench", artifact, *SHORT)
    assert ended.exit_code == 0, ended.stderr
    ((path, measurement),) = measurements_in(results)
    assert ended.stdout.splitlines()[-1] == f"kept: {path}"
    assert "arm-onnxruntime/raspberry-pi-5 on local: ONNX Runtime" in ended.stdout
    assert "doubt: quick: 200 samples in" in ended.stdout
    assert (measurement.recording.device.name, measurement.recording.device.execution) == ("local", "host")


def test_its_json_has_everything_but_the_samples(edgedistill: Call, artifact: Path) -> None:
    ended = edgedistill("bench", artifact, *SHORT, "--json")
    (found,) = ended.document()["measurements"]
    assert ended.document()["failed"] == []
    assert "processes" not in found["recording"]
    assert measurement_from_file(artifact.parent / found["file"]).id == found["id"]


def test_an_artifact_of_a_run_is_added_to_its_summary_and_page(
    edgedistill: Call, tmp_path: Path, results: Path
) -> None:
    run = tmp_path / "run"
    (run / "artifacts").mkdir(parents=True)
    artifact = small_artifact(run / "artifacts" / "small")
    names = ("name", "recipe", "classes", "versions", "machine", "ladder", "artifacts", "parity", "gates", "stages")
    empty: dict[str, object] = {name: [] for name in names}
    empty |= {"name": "small", "recipe": {}, "versions": {}, "machine": {}}
    (run / "summary.json").write_text(json.dumps(empty))
    (run / "report.html").write_text("old")
    assert edgedistill("bench", artifact, *SHORT).exit_code == 0
    (path,) = (run / "bench" / "devices").iterdir()
    ((_, kept),) = measurements_in(results)
    assert measurement_from_file(path) == kept
    summary = json.loads((run / "summary.json").read_text())
    records = [*summary["latency"], *summary["unsteady"]]
    assert [record["measurement_file"] for record in records] == [path.relative_to(run).as_posix()]
    assert "INT8 artifact, raspberry-pi-5" in (run / "report.html").read_text()


def test_two_artifacts_take_turns(edgedistill: Call, artifact: Path, tmp_path: Path) -> None:
    other = small_artifact(tmp_path / "other")
    ended = edgedistill("bench", "--against", other, artifact, "--seconds", 0, "--processes", 3, "--json")
    assert ended.exit_code == 0, ended.stderr
    (found,) = ended.document()["comparisons"]
    assert (found["device"], found["processes"], found["quads"]) == ("local", 3, 6)
    low, high = found["ratio_ci99"]
    assert low <= found["ratio"] <= high


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("--sustained", "--processes", 3), "--sustained: more than one process"),
        (("--affinity", "big"), "--affinity: 'big'; wanted numbers of CPUs: 4,5"),
        (("--device", "nowhere"), "device 'nowhere': not in devices.toml"),
    ],
)
def test_what_cannot_be_is_said(edgedistill: Call, artifact: Path, arguments: tuple[object, ...], found: str) -> None:
    ended = edgedistill("bench", artifact, *arguments)
    assert ended.exit_code == 2
    assert found in ended.stderr


def test_a_changed_artifact_is_not_measured(edgedistill: Call, artifact: Path) -> None:
    (artifact / "labels.txt").write_text("a\nb\nd\n")
    ended = edgedistill("bench", artifact, *SHORT)
    assert ended.exit_code == 2
    assert "'labels.txt' is not the file that was built" in ended.stderr


def test_a_recipe_is_still_a_recipe(edgedistill: Call, tmp_path: Path) -> None:
    ended = edgedistill("bench", tmp_path / "missing.yaml")
    assert ended.exit_code == 2
    assert "missing.yaml" in ended.stderr


def test_a_phones_log_is_taken_in(edgedistill: Call, tmp_path: Path, results: Path) -> None:
    log = tmp_path / "console.log"
    log.write_text(f"2026-11-24 02:40:00 Bench[71:1] {json.dumps(recorded())}\nother line\n")
    ended = edgedistill("bench", "import", log)
    assert ended.exit_code == 0, ended.stderr
    assert "shapes on phone: Core ML 9, cpuAndNeuralEngine, iPhone17,1" in ended.stdout
    assert [item.recording.device.kind for _, item in measurements_in(results)] == ["ios"]


def test_what_a_jetson_printed_is_told_apart_and_says_which_precision_to_ship(
    edgedistill: Call, tmp_path: Path, results: Path
) -> None:
    runtime = {"name": "tensorrt", "version": "10.3.0", "provider": "gpu"}
    device = {"kind": "jetson", "execution": "device", "name": "orin"}
    beside = {"ship": "fp16", "int8_ms": [1.2, 1.2, 1.2], "fp16_ms": [1.0, 1.0, 1.0]}
    listed = [
        recorded(
            runtime=runtime,
            device=device,
            artifact={**recorded()["artifact"], "precision": precision},
            protocol={**recorded()["protocol"], "clock": clock},
            precisions=beside if (precision, clock) == ("int8", "monotonic_ns") else None,
        )
        for precision in ("int8", "fp16")
        for clock in ("monotonic_ns", "cuda_event")
    ]
    (tmp_path / "result.json").write_text(json.dumps({"ok": True, "result": listed}))
    ended = edgedistill("bench", "import", tmp_path / "result.json")
    assert ended.exit_code == 0, ended.stderr
    for name in ("shapes on", "shapes (FP16) on", "shapes (GPU time) on", "shapes (FP16, GPU time) on"):
        assert ended.stdout.count(f"{name} orin: TensorRT 10.3.0") == 1
    assert ended.stdout.count("On orin (device): ship FP16: INT8 took 1.2 times as long") == 1
    assert len(list(measurements_in(results))) == 4


def test_a_simulators_log_is_kept_as_what_it_is(edgedistill: Call, tmp_path: Path, results: Path) -> None:
    log = tmp_path / "console.log"
    device = {"kind": "ios", "execution": "emulated", "name": "simulator"}
    log.write_text(json.dumps(recorded(device=device)))
    ended = edgedistill("bench", "import", log)
    assert ended.exit_code == 0
    assert ended.stdout.endswith("(emulated: a rehearsal, no latency)\n")
    assert list(measurements_in(results)) == []
    assert "p50" not in ended.stdout


def test_what_is_no_recording_is_refused(edgedistill: Call, tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("nothing here")
    ended = edgedistill("bench", "import", tmp_path / "a.log")
    assert ended.exit_code == 2
    assert "no line with a JSON document of schema edgedistill.bench/1" in ended.stderr


def test_stored_measurements_are_compared(edgedistill: Call, tmp_path: Path, results: Path) -> None:
    slower = recorded(artifact={**recorded()["artifact"], "name": "slow"})
    slower["processes"] = [
        {**process, "samples_ns": [int(1.2 * value) for value in process["samples_ns"]]}
        for process in slower["processes"]
    ]
    for name, document in (("fast", recorded()), ("slow", slower)):
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
        assert edgedistill("bench", "import", tmp_path / f"{name}.json").exit_code == 0
    fast, slow = sorted(results.rglob("*.json"))
    ended = edgedistill("bench", "compare", fast, slow)
    assert (
        "slow on phone against shapes on phone: slower, ratio 1.2000 (99 % interval 1.2000\N{EN DASH}1.2000)"
        in ended.stdout
    )
    assert "not measured in turns" in ended.stdout
    listed = edgedistill("bench", "compare", slow, fast, "--json").document()
    assert [item["recording"]["artifact"]["name"] for item in listed] == ["shapes", "slow"]
    assert listed[0]["against_first"]["verdict"] == "faster"
    assert edgedistill("bench", "compare", results).exit_code == 0


def test_an_empty_folder_has_nothing_to_compare(edgedistill: Call, tmp_path: Path) -> None:
    ended = edgedistill("bench", "compare", tmp_path)
    assert ended.exit_code == 2
    assert "no measurement in those folders" in ended.stderr


def test_what_is_stored_is_typed_as_real() -> None:
    assert Measurement.model_fields["recording"].annotation.model_fields["device"].annotation.__name__ == "RealDevice"


PHONE = "ios:00008110-000A1B2C3D4E5F60"
SCRIPT = """#!/bin/sh
echo "$@" > "$(dirname "$0")/arguments"
env | grep EDGEDISTILL_S > "$(dirname "$0")/environment"
cat "$(dirname "$0")/output"
exit $(cat "$(dirname "$0")/code")
"""


@pytest.fixture
def xcode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand for a Mac with Xcode: a script that says and returns what its folder holds."""
    folder = tmp_path / "xcode"
    folder.mkdir()
    (folder / "xcodebuild").write_text(SCRIPT, "utf-8")
    (folder / "xcodebuild").chmod(0o755)
    (folder / "code").write_text("0", "utf-8")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("DEVELOPMENT_TEAM", "ABCDE12345")
    monkeypatch.setattr("sys.platform", "darwin")
    return folder


@pytest.fixture
def swift_artifact(artifact: Path) -> Path:
    (artifact / "SmallModel" / "DeviceTests" / "DeviceTests.xcodeproj").mkdir(parents=True)
    return artifact


def test_a_phone_is_measured_by_xcodebuild(edgedistill: Call, swift_artifact: Path, xcode: Path, results: Path) -> None:
    lines = [f"EDGEDISTILL_BENCH {json.dumps(recorded())}", "Test Suite 'All tests' passed"]
    (xcode / "output").write_text("\n".join(lines), "utf-8")
    ended = edgedistill("bench", swift_artifact, "--device", PHONE, "--processes", 2, "--samples", 101)
    assert ended.exit_code == 0, ended.stderr
    ((_, measurement),) = measurements_in(results)
    assert measurement.recording.device.kind == "ios"
    arguments = (xcode / "arguments").read_text("utf-8")
    assert f"-destination platform=iOS,id={PHONE.removeprefix('ios:')}" in arguments
    assert "-test-iterations 2 -test-repetition-relaunch-enabled YES" in arguments
    assert "DEVELOPMENT_TEAM=ABCDE12345" in arguments
    assert "TEST_RUNNER_EDGEDISTILL_SAMPLES=51" in (xcode / "environment").read_text("utf-8")


@pytest.mark.parametrize(
    ("output", "code", "exit_code", "said"),
    [
        ("error: device is locked", 65, 4, "xcodebuild ended with 65: error: device is locked"),
        ("XCTAssertTrue failed - all: differs; no latency is reported", 65, 3, "golden samples on"),
        ("Test Suite passed", 0, 2, "no line with a JSON document"),
        ('EDGEDISTILL_BENCH {"schema": "edgedistill.bench/1"}', 0, 2, "Field required"),
    ],
)
def test_what_xcodebuild_says_instead_is_told(
    edgedistill: Call, swift_artifact: Path, xcode: Path, output: str, code: int, exit_code: int, said: str
) -> None:
    (xcode / "output").write_text(output, "utf-8")
    (xcode / "code").write_text(str(code), "utf-8")
    ended = edgedistill("bench", swift_artifact, "--device", PHONE)
    assert ended.exit_code == exit_code
    assert said in ended.stderr


def test_elsewhere_than_on_a_mac_the_way_is_told(edgedistill: Call, swift_artifact: Path) -> None:
    ended = edgedistill("bench", swift_artifact, "--device", PHONE)
    assert ended.exit_code == 2
    assert "wanted a Mac with Xcode" in ended.stderr
    assert "bench import" in ended.stderr


def test_a_phone_without_a_team_or_an_identifier_is_refused(
    edgedistill: Call, swift_artifact: Path, xcode: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert xcode.is_dir()
    assert "no identifier" in edgedistill("bench", swift_artifact, "--device", "ios:-x").stderr
    monkeypatch.delenv("DEVELOPMENT_TEAM")
    assert "no DEVELOPMENT_TEAM" in edgedistill("bench", swift_artifact, "--device", PHONE).stderr


def test_an_artifact_for_a_board_goes_to_no_phone(edgedistill: Call, artifact: Path) -> None:
    assert "no Swift package" in edgedistill("bench", artifact, "--device", PHONE).stderr
