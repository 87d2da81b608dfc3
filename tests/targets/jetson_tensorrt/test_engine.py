"""The build half of the module's runner, run for real by NVIDIA's TensorRT-RTX, without a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from quantized_graphs import Style, two_convolutions

from edgedistill.targets.jetson_tensorrt.device.answer import TensorRtError
from edgedistill.targets.jetson_tensorrt.device.engine import engine_key, plan_from_onnx
from edgedistill.targets.jetson_tensorrt.device.trtexec import Options

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

FORM = {"file": "model.onnx", "precision": "int8", "typing": "strong", "calibration": None}


@pytest.fixture
def trt() -> ModuleType:
    return pytest.importorskip("tensorrt_rtx", reason="the extra `jetson` is not installed")


def without_driver(trt: ModuleType) -> Any:  # noqa: ANN401 - a callable for a configuration of TensorRT's
    def configure(config: Any) -> None:  # noqa: ANN401 - as above
        config.num_compute_capabilities = 1
        config.set_compute_capability(trt.ComputeCapability.SM86, 0)

    return configure


def test_a_plan_comes_out(trt: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(two_convolutions(Style(half=False)).SerializeToString())
    plan = plan_from_onnx(trt, path, FORM, Options(workspace_mb=64), configure=without_driver(trt))
    assert len(plan) > 1000


def test_what_the_parser_says_is_told(trt: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(two_convolutions(Style(zero_point=3)).SerializeToString())
    with pytest.raises(TensorRtError, match=r"the parser refuses 'model\.onnx': .*zero point"):
        plan_from_onnx(trt, path, FORM, Options(workspace_mb=64), configure=without_driver(trt))


def test_everything_a_plan_depends_on_is_in_its_name() -> None:
    facts = {"onnx_sha256": "a", "tensorrt": "10.3.0", "l4t": "36.4.3", "options": {"dla_core": None}}
    names = {engine_key({**facts, name: "other"}) for name in facts} | {engine_key(facts)}
    assert len(names) == len(facts) + 1
