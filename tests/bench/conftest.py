"""Small ONNX models to measure, and recordings whose samples are given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


@pytest.fixture
def matmul(tmp_path: Path) -> Path:
    """Return a model that multiplies (n, 8) inputs by a constant (8, 4)."""
    weights = onnx.numpy_helper.from_array(np.ones((8, 4), np.float32), "weights")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["input", "weights"], ["output"])],
        "matmul",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 8])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", 4])],
        [weights],
    )
    path = tmp_path / "matmul.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.fixture
def document_of() -> Callable[..., dict[str, object]]:
    """Return a function that makes a runner's JSON document: one list of samples for each process, in nanoseconds."""

    def make(*processes: Sequence[int], **changes: object) -> dict[str, object]:
        listed = processes or ([1_000_000, 1_100_000],)
        document = {
            "schema": "edgedistill.bench/1",
            "started": "2026-11-24T02:40:00Z",
            "artifact": {
                "name": "small",
                "target": "arm-onnxruntime",
                "profile": "raspberry-pi-5",
                "format": "onnx",
                "precision": "int8",
                "model_sha256": "0" * 64,
                "size_bytes": 4096,
            },
            "runtime": {"name": "onnxruntime", "version": "1.32.0", "provider": "CPUExecutionProvider", "threads": 1},
            "device": {"kind": "arm-linux", "execution": "device", "name": "ssh://pi@desk", "machine": "aarch64"},
            "workload": {"batch": 1, "input": "real", "shape": [1, 8], "scope": "invoke+copies"},
            "protocol": {"runner": "a test", "min_samples": 1024, "min_seconds": 60.0, "clock": "monotonic_ns"},
            "verified": {"golden_samples": 12, "largest_steps": 0.0, "max_steps": 1.0},
            "processes": [
                {"load_ns": 5_000_000, "first_ns": 2_000_000, "samples_ns": [int(value) for value in samples]}
                for samples in listed
            ],
        }
        return {**document, **changes}

    return make


@pytest.fixture
def document(document_of: Callable[..., dict[str, object]]) -> dict[str, object]:
    """Return the JSON document of a small recording."""
    return document_of()
