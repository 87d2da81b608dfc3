"""A small artifact of the target arm-onnxruntime, as its writer lays it out."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from edgedistill.bench import measuring, sensors
from edgedistill.data import arrays
from edgedistill.data.preprocessing import ArrayPreprocessing
from edgedistill.targets.arm_onnxruntime import device

if TYPE_CHECKING:
    from types import ModuleType

RUNNER = Path(device.__file__).parent / "runner.py"
PREPROCESSING = ArrayPreprocessing(shape=(8,), mean=(0.5,), std=(2.0,)).model_dump(mode="json")
STEP = 0.125


def quantized_model(path: Path) -> None:
    """Write a QDQ model: (n, 8) float32 -> Gemm with int8 weights -> (n, 3), on a grid of 0.125."""
    rng = np.random.default_rng(0)
    constants = {
        "input_scale": np.float32(1 / 64),
        "input_zero": np.uint8(128),
        "weights": rng.integers(-127, 128, (8, 3), np.int8),
        "weights_scale": np.float32(1 / 32),
        "weights_zero": np.int8(0),
        "output_scale": np.float32(STEP),
        "output_zero": np.uint8(128),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["input", "input_scale", "input_zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "input_scale", "input_zero"], ["d"]),
        helper.make_node("DequantizeLinear", ["weights", "weights_scale", "weights_zero"], ["w"]),
        helper.make_node("MatMul", ["d", "w"], ["m"]),
        helper.make_node("QuantizeLinear", ["m", "output_scale", "output_zero"], ["r"]),
        helper.make_node("DequantizeLinear", ["r", "output_scale", "output_zero"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "gemm",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 8])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def outputs_of(path: Path, inputs: np.ndarray) -> np.ndarray:
    settings = onnxruntime.SessionOptions()
    settings.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    return session.run(None, {"input": inputs})[0]


def seal(folder: Path, **changes: object) -> None:
    """Write the manifest over the files that are there."""
    files = {
        path.name: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "size_bytes": path.stat().st_size}
        for path in sorted(folder.iterdir())
        if path.name != "manifest.json" and path.is_file()
    }
    document = {
        "schema": "edgedistill.artifact/1",
        "name": "small",
        "target": "arm-onnxruntime",
        "profile": "raspberry-pi-5",
        "model": "model.onnx",
        "precision": "int8",
        "opset": 17,
        "input": {"name": "input", "shape": [None, 8], "dtype": "float32"},
        "output": {"name": "output", "shape": [None, 3], "dtype": "float32", "step": STEP},
        "classes": ["a", "b", "c"],
        "preprocessing": PREPROCESSING,
        "session_options": {},
        "session_options_by_machine": {"x86_64": {"session.x64quantprecision": "1"}},
        "quantization": {},
        "files": files,
        "golden": {"n": 12, "max_steps": 1.0},
    }
    (folder / "manifest.json").write_text(json.dumps({**document, **changes}))


def small_artifact(folder: Path) -> Path:
    """Write an artifact into a new folder, and return the folder."""
    folder.mkdir()
    quantized_model(folder / "model.onnx")
    raw = np.random.default_rng(1).normal(0, 2, (12, 8)).astype(np.float32)
    write_golden(folder, raw)
    (folder / "labels.txt").write_text("a\nb\nc\n")
    own = [RUNNER.with_name(name) for name in ("runner.py", "answers.py", "timing.py")]
    for place in (*own, measuring.__file__, sensors.__file__, arrays.__file__):
        shutil.copy(place, folder)
    seal(folder)
    return folder


def write_golden(folder: Path, raw: np.ndarray, *, add: float = 0.0) -> None:
    inputs = arrays.preprocess(raw, PREPROCESSING)
    outputs = outputs_of(folder / "model.onnx", inputs) + np.float32(add)
    np.savez(folder / "golden.npz", raw=raw, inputs=inputs, outputs=outputs)


def loaded(artifact: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location("runner_of_an_artifact", artifact / "runner.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def program(artifact: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the artifact's folder, with an environment that says nothing and a home to look into."""
    environment = {"HOME": str(artifact.parent), "PATH": "/usr/bin:/bin"}
    command = (sys.executable, *arguments)
    return subprocess.run(command, cwd=artifact, env=environment, capture_output=True, text=True, check=False)
