"""The module's runner as a program in an artifact's folder, against stand-ins for TensorRT 8.6, 10.3 and 11.4.

Neither TensorRT nor a GPU has a part in it: what is shown is how the runner behaves, and that it calls no function and
gives no option that its TensorRT does not have.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from small_models import images, program_of, residual
from target_contract import package

from edgedistill.bench.on_device import Settings, bench_command
from edgedistill.bench.reading import recordings_from_text
from edgedistill.targets.base import profile_named
from edgedistill.targets.registry import target_named

if TYPE_CHECKING:
    from collections.abc import Callable

    Answer = tuple[dict[str, Any], int]
    Run = Callable[..., Answer]

FAKES = Path(__file__).parent / "fakes"
VERSIONS = ("8.6.2", "10.3.0.30", "11.4.1.2")
QUICK = ("--processes", "2", "--samples", "40")
QUICKEST = ("--processes", "1", "--samples", "10")


@pytest.fixture(scope="module")
def cudart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler to build the stand-in for the CUDA runtime with")
    library = tmp_path_factory.mktemp("cuda") / "libcudart.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, FAKES / "cudart.c"], check=True)
    return library


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = target_named("jetson-tensorrt")
    profile = profile_named(target, "orin-nano")
    program = program_of(residual(), images(32), target.quant_spec(profile))
    return target.build(program, profile, package=package(), into=tmp_path_factory.mktemp("jetson") / "a").folder


@pytest.fixture
def run(artifact: Path, cudart: Path, tmp_path: Path) -> Run:
    """Run a command of the artifact's runner under a version and a fault, with engines kept in a folder of the test."""

    def started(*arguments: str, version: str = "10.3.0.30", fault: str = "", cache: Path | None = None) -> Answer:
        environment = {
            "PATH": f"{FAKES / 'programs'}:{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(tmp_path),
            "PYTHONPATH": str(FAKES),
            "EDGEDISTILL_CUDART": str(cudart),
            "EDGEDISTILL_ENGINES": str(cache or tmp_path / "engines"),
            "FAKE_TENSORRT": version,
            "FAKE_FAULT": fault,
            "ORT_DISABLE_TELEMETRY": "1",
        }
        measures = arguments[0] in ("bench", "all") and "--trtexec" not in arguments
        named = ["--trtexec", str(FAKES / "programs" / "trtexec")] if measures else []
        command = [sys.executable, str(artifact / "runner.py"), *arguments, *named]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.stdout.count("\n") == 1, done.stdout + done.stderr
        return json.loads(done.stdout), done.returncode

    return started


@pytest.mark.parametrize("version", VERSIONS)
def test_verify_builds_both_engines_and_finds_every_layer_in_int8(run: Run, version: str) -> None:
    document, code = run("verify", version=version)
    assert code == 0, document
    result = document["result"]
    assert [engine["precision"] for engine in result["engines"]] == ["int8", "fp16"]
    form = "model_tensorrt8.onnx" if version.startswith("8") else "model.onnx"
    assert result["engines"][0]["form"] == form
    assert result["layers"] == {"int8": 10, "expected": 10, "float": {}}
    assert result["golden"]["int8"]["golden_samples"] == 6
    assert document["runtime"]["tensorrt"] == version


@pytest.mark.parametrize("version", VERSIONS)
def test_all_measures_both_precisions_and_says_which_to_ship(run: Run, version: str) -> None:
    document, code = run("all", *QUICK, version=version)
    assert code == 0, document
    recordings = recordings_from_text(json.dumps(document), thing="answer")
    kinds = [(item.artifact.precision, item.workload.scope, item.protocol.clock) for item in recordings]
    assert kinds == [
        ("int8", "invoke+copies", "monotonic_ns"),
        ("int8", "invoke", "cuda_event"),
        ("fp16", "invoke+copies", "monotonic_ns"),
        ("fp16", "invoke", "cuda_event"),
    ]
    assert all(len(process.samples_ns) == 40 for item in recordings for process in item.processes)
    assert all(item.verified is not None for item in recordings)
    advised = document["advice"]
    assert advised["ship"] in ("int8", "fp16", "either")
    own = recordings[0].precisions
    assert own is not None
    assert (own.ship, list(own.int8_ms), list(own.fp16_ms)) == tuple(advised[k] for k in ("ship", "int8_ms", "fp16_ms"))
    assert [item.precisions for item in recordings[1:]] == [None] * 3
    assert [one["n"] for one in document["trtexec"]] == [200, 200]
    assert document["trtexec"][0]["compute_ms"]["p50"] == pytest.approx(1.04)
    assert document["trtexec"][0]["latency_ms"]["p50"] == pytest.approx(1.24)
    assert document["trtexec"][0]["slowest_layers"][0]["name"] == 'conv2d "quoted"'
    assert any("nothing measured here is a Jetson's" in warning for warning in document["warnings"])


def test_it_measures_as_edgedistill_bench_asks(run: Run) -> None:
    asked = Settings(processes=2, seconds=0.4, samples=21, max_seconds=9.0, rest_seconds=0.01, affinity=(0,))
    words = bench_command(asked, name="ssh://orin", emulated=False)
    document, code = run(*words, "--samples", "1", "--trtexec", "no")
    assert code == 0, document
    own = recordings_from_text(json.dumps(document), thing="answer")[0]
    assert own.device.name == "ssh://orin"
    assert all(process.affinity == (0,) for process in own.processes)
    assert all(len(process.samples_ns) > 11 for process in own.processes), "0.2 s are more than 11 samples"
    protocol = own.protocol
    assert (protocol.min_samples, protocol.min_seconds, protocol.max_seconds) == (22, 0.4, 18.0)


def test_a_cpu_that_is_none_is_told(run: Run) -> None:
    document, code = run("bench", *QUICKEST, "--affinity", "one", "--trtexec", "no")
    assert code != 0
    assert "wanted are numbers of CPUs" in document["error"]["message"]


def test_a_module_without_trtexec_is_measured_all_the_same(artifact: Path, cudart: Path, tmp_path: Path) -> None:
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "PYTHONPATH": str(FAKES),
        "EDGEDISTILL_CUDART": str(cudart),
        "FAKE_TENSORRT": "10.3.0.30",
    }
    command = [sys.executable, str(artifact / "runner.py"), "all", *QUICKEST]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    document = json.loads(done.stdout)
    assert done.returncode == 0, document
    assert document["trtexec"] == []
    assert any("trtexec's own numbers were not measured" in warning for warning in document["warnings"])
    told = done.stderr.splitlines()
    assert told[0] == "engine for INT8: takes minutes where none is kept yet"
    assert "process 1 of 1 of each precision" in told
    assert told[-2].startswith("median of INT8")
    assert told[-1] == "all: done"
    done = subprocess.run([*command, "--trtexec", "gone"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "result" not in json.loads(done.stdout), "what is named and missing is told before anything is measured"
    assert done.stderr.splitlines()[-1].startswith("all: FAILED: trtexec not found (gone)")


@pytest.mark.parametrize("version", VERSIONS)
def test_trtexec_builds_with_the_options_of_its_version(run: Run, version: str) -> None:
    program = str(FAKES / "programs" / "trtexec")
    document, code = run("verify", "--builder", "trtexec", "--trtexec", program, version=version)
    assert code == 0, document
    plan = Path(document["result"]["engines"][0]["plan"]).read_bytes()
    assert json.loads(plan.split(b"\n", 2)[1])["by"] == "trtexec"


def test_an_engine_is_built_once(run: Run) -> None:
    first, _ = run("verify")
    again, _ = run("verify")
    assert [engine["cached"] for engine in first["result"]["engines"]] == [False, False]
    assert [engine["cached"] for engine in again["result"]["engines"]] == [True, True]


def test_another_tensorrt_builds_another_engine(run: Run) -> None:
    run("verify", version="10.3.0.30")
    document, _ = run("verify", version="10.3.0.31")
    assert [engine["cached"] for engine in document["result"]["engines"]] == [False, False]


FAULTS = [
    ("parse", 4, "the parser refuses 'model.onnx': Assertion failed: shiftIsAllZeros"),
    ("build", 4, "Could not find any implementation for node conv2d"),
    ("deserialize", 4, "the engine cannot be read here: Version tag does not match"),
    ("enqueue", 4, "TensorRT did not take the inference"),
    ("memory", 4, "cudaMalloc: error 2 (out of memory)"),
    ("golden", 3, "golden outputs (int8) differ by up to"),
    ("float-layer", 3, "10 layer(s) run in float, not in INT8: conv2d (fp16)"),
]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("fault", "code", "message"), FAULTS)
def test_each_fault_ends_with_a_clear_answer_before_any_latency(
    run: Run, fault: str, code: int, message: str, version: str
) -> None:
    document, found = run("bench", *QUICKEST, version=version, fault=fault)
    assert found == code, document
    assert not document["ok"]
    assert (
        message.replace("model.onnx", "model_tensorrt8.onnx" if version.startswith("8") else "model.onnx")
        in (document["error"]["message"])
    )
    assert "result" not in document


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("trtexec-timeout", "trtexec gave no answer after 1 s"),
        ("trtexec-exit", "trtexec ended with 1: [E] Error[2]: [engine.cpp::deserializeEngine] CUDA out of memory"),
        ("trtexec-truncated", "'times.json' is cut short or no JSON"),
        ("trtexec-no-file", "trtexec wrote no 'times.json'"),
    ],
)
def test_a_failure_of_trtexec_is_told_beside_what_was_measured(
    run: Run, fault: str, message: str, version: str
) -> None:
    document, code = run("bench", *QUICKEST, "--timeout", "1", version=version, fault=fault)
    assert code == 4, document
    assert message in document["error"]["message"]
    assert len(recordings_from_text(json.dumps(document), thing="answer")) == 4
    assert document["trtexec"] == []


@pytest.mark.parametrize("fault", ["trtexec-exit", "trtexec-truncated", "trtexec-no-file"])
def test_a_failed_build_of_trtexec_leaves_no_engine(run: Run, fault: str, tmp_path: Path) -> None:
    program = str(FAKES / "programs" / "trtexec")
    document, code = run("verify", "--builder", "trtexec", "--trtexec", program, fault=fault)
    assert code == 4, document
    assert not list((tmp_path / "engines").glob("*.plan"))


def test_a_clock_that_falls_is_told(run: Run) -> None:
    document, code = run("bench", "--processes", "1", "--samples", "1500", "--trtexec", "no", fault="throttle")
    assert code == 0, document
    assert "throttled: gpu fell from 1020 to 612 MHz" in document["warnings"]
    (trace,) = [
        trace
        for trace in recordings_from_text(json.dumps(document), thing="answer")[0].processes[0].traces
        if trace.sensor == "gpu" and trace.quantity == "frequency_mhz"
    ]
    assert (max(trace.values), min(trace.values)) == (1020.0, 612.0)


def test_power_mode_and_clocks_are_told_and_not_changed(run: Run) -> None:
    document, _ = run("verify")
    assert document["device"]["power_mode"] == "15W (id 0)"


@pytest.mark.parametrize(
    ("option", "message"),
    [(("--power-mode", "2"), "nvpmodel -m 2 ended with 1"), (("--fix-clocks",), "jetson_clocks ended with 1")],
)
def test_what_needs_root_says_so(run: Run, option: tuple[str, ...], message: str) -> None:
    document, code = run("bench", *QUICKEST, *option)
    assert code == 2
    assert message in document["error"]["message"]
    assert "it needs root" in document["error"]["message"]


def test_a_folder_that_may_not_be_written_to_is_named(run: Run, tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("")
    document, code = run("verify", cache=place / "engines")
    assert code == 2
    assert "cannot be written to" in document["error"]["message"]


def test_an_engine_cut_short_is_told(run: Run, tmp_path: Path) -> None:
    run("verify")
    for plan in (tmp_path / "engines").glob("*.plan"):
        plan.write_bytes(plan.read_bytes()[:5])
    document, code = run("verify")
    assert code == 4
    assert "the engine cannot be read here" in document["error"]["message"]


def test_outputs_and_classes_of_samples(run: Run, artifact: Path, tmp_path: Path) -> None:
    golden = np.load(artifact / "golden.npz")
    np.save(tmp_path / "inputs.npy", golden["inputs"])
    np.save(tmp_path / "raw.npy", golden["raw"])
    document, code = run("run", "--inputs", str(tmp_path / "inputs.npy"), "--outputs", str(tmp_path / "outputs.npy"))
    assert code == 0, document
    assert np.load(tmp_path / "outputs.npy").argmax(1).tolist() == golden["outputs"].argmax(1).tolist()
    document, code = run("predict", "--raw", str(tmp_path / "raw.npy"))
    assert [one["index"] for one in document["result"]["predictions"]] == golden["outputs"].argmax(1).tolist()


def test_another_shape_is_refused(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "inputs.npy", np.zeros((2, 1, 4, 4), np.float32))
    document, code = run("run", "--inputs", str(tmp_path / "inputs.npy"), "--outputs", str(tmp_path / "o.npy"))
    assert code == 2
    assert "inputs: found float32 (2, 1, 4, 4)" in document["error"]["message"]


def test_a_changed_file_stops_everything(run: Run, artifact: Path) -> None:
    path = artifact / "labels.txt"
    content = path.read_bytes()
    try:
        path.write_bytes(content.swapcase())
        document, code = run("bench", *QUICKEST)
    finally:
        path.write_bytes(content)
    assert code == 3
    assert "'labels.txt' has another sha256" in document["error"]["message"]


def test_a_module_without_tensorrt_is_told_where_it_comes_from(artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "tensorrt.py").write_text("raise ImportError('libnvinfer.so.10: cannot open shared object file')\n")
    command = [sys.executable, str(artifact / "runner.py"), "verify"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "python3-libnvinfer" in json.loads(done.stdout)["error"]["message"]
