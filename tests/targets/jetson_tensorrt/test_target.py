from pathlib import Path

import numpy as np
import onnx
import pytest
from small_models import images, program_of, residual
from target_contract import TargetContract, package

from edgedistill.errors import GateError, UnsupportedError
from edgedistill.evaluate.executor import Execution
from edgedistill.quantize.program import QuantizedProgram
from edgedistill.quantize.spec import Arithmetic, QuantSpec
from edgedistill.targets.base import Artifact, Inspects, Target, profile_named
from edgedistill.targets.folder import open_artifact
from edgedistill.targets.registry import target_named


class TestJetsonTensorRt(TargetContract):
    target_name = "jetson-tensorrt"
    profile_name = "orin-nano"
    arithmetic = Arithmetic.FLOAT

    def test_each_form_is_one_file_of_a_fixed_batch_without_external_data(self, artifact: Artifact) -> None:
        _, manifest = open_artifact(artifact.folder)
        assert [form["file"] for form in manifest["forms"]] == ["model.onnx", "model_fp16.onnx", "model_tensorrt8.onnx"]
        for form in manifest["forms"]:
            model = onnx.load(artifact.folder / form["file"], load_external_data=False)
            assert not any(item.external_data for item in model.graph.initializer)
            assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1
            names = [node.name for node in model.graph.node]
            assert len(set(names)) == len(names)
            assert {item["name"] for item in manifest["expected_int8"]} <= set(names)

    def test_what_is_not_quantized_is_typed_fp16(self, artifact: Artifact) -> None:
        model = onnx.load(artifact.folder / "model.onnx")
        assert model.opset_import[0].version == 19
        types = {item.data_type for item in model.graph.initializer}
        proto = onnx.TensorProto
        assert types == {proto.INT8, proto.INT64, proto.FLOAT16, proto.FLOAT}
        floats = [item.name for item in model.graph.initializer if item.data_type == onnx.TensorProto.FLOAT]
        assert floats == ["images_scale"]  # of the float32 input

    def test_the_form_without_q_and_dq_classifies_alike(self, artifact: Artifact) -> None:
        golden = np.load(artifact.folder / "golden.npz")
        assert golden["outputs_fp16"].argmax(1).tolist() == golden["outputs"].argmax(1).tolist()

    def test_every_product_is_expected_in_int8(self, artifact: Artifact) -> None:
        _, manifest = open_artifact(artifact.folder)
        assert len(manifest["expected_int8"]) == 10
        assert all(item["multiply_accumulates"] > 0 for item in manifest["expected_int8"])

    def test_its_executors_say_that_they_are_interpretations(self, target: Target, artifact: Artifact) -> None:
        executors = target.executors(artifact)
        assert [executor.name for executor in executors] == ["literal-float32", "literal-fp16"]
        assert all(executor.execution is Execution.INTERPRETED for executor in executors)
        assert all("not TensorRT" in executor.label for executor in executors)

    def test_the_real_builder_puts_every_product_in_int8(self, target: Target, artifact: Artifact) -> None:
        pytest.importorskip("tensorrt_rtx", reason="the extra `jetson` is not installed")
        assert isinstance(target, Inspects)
        (found,) = target.inspections(artifact)
        assert found.passed
        assert found.details["int8_share_of_multiply_accumulates"] == 1.0
        assert "not for the Jetson" in found.label


def program(spec: QuantSpec | None = None) -> QuantizedProgram:
    return program_of(residual(), images(16), spec)


def test_a_program_of_another_spec_is_not_built(tmp_path: Path) -> None:
    target = target_named("jetson-tensorrt")
    with pytest.raises(GateError, match="TRT"):
        target.build(program(), profile_named(target, "agx-orin"), package=package(), into=tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_xavier_is_refused_with_the_reason() -> None:
    with pytest.raises(UnsupportedError, match=r"JetPack 5\.1"):
        profile_named(target_named("jetson-tensorrt"), "xavier")
