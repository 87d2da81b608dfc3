from pathlib import Path

import onnx
import pytest
from small_models import images, program_of, residual
from target_contract import TargetContract, package

from edgedistill.errors import GateError
from edgedistill.quantize.spec import ActivationType, Arithmetic, QuantSpec, Symmetry
from edgedistill.targets.base import Artifact, profile_named
from edgedistill.targets.registry import target_named


class TestArmOnnxRuntime(TargetContract):
    target_name = "arm-onnxruntime"
    profile_name = "raspberry-pi-4"
    arithmetic = Arithmetic.INTEGER

    def test_the_model_is_one_file_without_external_data(self, artifact: Artifact) -> None:
        model = onnx.load(artifact.folder / artifact.model, load_external_data=False)
        assert not any(item.external_data for item in model.graph.initializer)


def test_a_program_that_breaks_an_error_rule_is_not_built(tmp_path: Path) -> None:
    target = target_named("arm-onnxruntime")
    spec = QuantSpec(activation=ActivationType.INT8, symmetry=Symmetry.SYMMETRIC)
    program = program_of(residual(), images(16), spec)
    profile = profile_named(target, "raspberry-pi-4")
    with pytest.raises(GateError, match="ARM001"):
        target.build(program, profile, package=package(), into=tmp_path / "a")
    assert not (tmp_path / "a").exists()
