"""The contract of a target, for the two forms that a weight has in a package."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import images, program_of, residual
from target_contract import TargetContract, package
from torch import Tensor, nn

from edgedistill.data.preprocessing import ArrayPreprocessing, TextPreprocessing
from edgedistill.errors import DataError, GateError
from edgedistill.quantize.program import QuantizedProgram
from edgedistill.quantize.spec import Arithmetic, BiasType, QuantSpec, ScaleFormat
from edgedistill.targets.base import Artifact, profile_named
from edgedistill.targets.folder import model_bytes, open_artifact
from edgedistill.targets.phone_coreml.convert import model_from_program
from edgedistill.targets.phone_coreml.deployment import deployment_of
from edgedistill.targets.phone_coreml.executors import InterpretedPackage
from edgedistill.targets.phone_coreml.interpreter import Precision
from edgedistill.targets.phone_coreml.package import write_package
from edgedistill.targets.phone_coreml.read_back import quantized_tensors
from edgedistill.targets.phone_coreml.saved import package_bytes, read_package
from edgedistill.targets.registry import target_named


class TestSince17(TargetContract):
    target_name = "phone-coreml"
    profile_name = "iphone-15-pro"
    arithmetic = Arithmetic.FLOAT

    def test_the_package_says_which_system_it_needs_and_what_it_was_made_from(
        self, artifact: Artifact, program: QuantizedProgram
    ) -> None:
        model = read_package(artifact.folder / artifact.model)
        assert model.specification == 8
        assert model.metadata["edgedistill.program"] == program.fingerprint
        assert not any("date" in key for key in model.metadata)

    def test_it_has_named_inputs_and_outputs_and_labels(self, artifact: Artifact) -> None:
        model = read_package(artifact.folder / artifact.model)
        assert [(item.name, item.dtype, item.shape) for item in model.inputs] == [("image", "FLOAT32", (1, 1, 16, 16))]
        assert set(model.outputs) == {"logits", "classLabel", "classLabel_probs"}
        classify = model.operations[-1]
        assert classify.kind == "classify"
        assert classify.arguments["classes"] == tuple("abcde")
        logits = next(item for item in model.operations if item.name == "logits")
        assert logits.outputs[0].dtype == "FLOAT32"

    def test_what_lies_between_is_fp16(self, artifact: Artifact) -> None:
        model = read_package(artifact.folder / artifact.model)
        assert {item.outputs[0].dtype for item in model.operations if item.kind == "conv"} == {"FLOAT16"}
        assert {item.outputs[0].dtype for item in model.operations if item.kind in ("sub", "real_div")} == {"FLOAT32"}

    def test_its_size_is_that_of_the_package(self, artifact: Artifact) -> None:
        assert model_bytes(artifact) == package_bytes(artifact.folder / artifact.model)


class TestSince18(TargetContract):
    target_name = "phone-coreml"
    profile_name = "iphone-15-pro-ios18"
    arithmetic = Arithmetic.FLOAT

    def test_weights_are_blockwise(self, artifact: Artifact) -> None:
        model = read_package(artifact.folder / artifact.model)
        assert model.specification == 9
        assert "constexpr_blockwise_shift_scale" in {item.kind for item in model.operations}


class Table(nn.Module):
    """Looks tokens up, and averages what it finds."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.last = nn.Embedding(50, 8), nn.Linear(8, 5)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.last(self.table(tokens).mean(1))  # type: ignore[no-any-return]


@pytest.mark.parametrize("profile", ["iphone-15-pro", "iphone-15-pro-ios18"])
def test_a_table_of_embeddings_keeps_its_zero_point(profile: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    target, tokens = target_named("phone-coreml"), torch.randint(0, 50, (16, 6), dtype=torch.int32)
    device = profile_named(target, profile)
    program = program_of(Table().eval(), tokens, target.quant_spec(device))
    text = dataclasses.replace(package(), preprocessing=TextPreprocessing(tokenizer="none", max_length=6))
    model = model_from_program(program, deployment=deployment_of(device), package=text)
    write_package(model, tmp_path / "m.mlpackage", metadata={})
    read, stored = quantized_tensors(read_package(tmp_path / "m.mlpackage")), program.tensors()
    assert any(item.codes is not None and item.codes.dtype == torch.uint8 for item in stored.values())
    for name, tensor in stored.items():
        np.testing.assert_array_equal(read[name].zero_point, tensor.zero_point.numpy(), strict=True)
    found = InterpretedPackage(tmp_path / "m.mlpackage", Precision.FP32).run(tokens.numpy())
    np.testing.assert_allclose(found, program.run(tokens.numpy()), atol=1e-5)


class Encoder(nn.Module):
    """Two layers of attention over token ids."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(32, 4, 64, 0.0, "gelu", batch_first=True, norm_first=False)
        self.table, self.layers = nn.Embedding(50, 32), nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.layers(self.table(tokens)).mean(1)  # type: ignore[no-any-return]


def test_an_encoder_computes_what_the_program_computes_far_below_a_step(tmp_path: Path) -> None:
    torch.manual_seed(0)
    target, tokens = target_named("phone-coreml"), torch.randint(0, 50, (64, 12), dtype=torch.int32)
    device = profile_named(target, "iphone-15-pro")
    program = program_of(Encoder().eval(), tokens, target.quant_spec(device))
    text = TextPreprocessing(tokenizer="none", max_length=12)
    model = model_from_program(
        program,
        deployment=deployment_of(device),
        package=dataclasses.replace(package(), preprocessing=text, task="embedding", classes=()),
    )
    write_package(model, tmp_path / "m.mlpackage", metadata={})
    reference = program.run(tokens.numpy())
    found = InterpretedPackage(tmp_path / "m.mlpackage", Precision.FP32).run(tokens.numpy())
    step = float(np.ptp(reference)) / 255
    assert np.abs(found - reference).max() < step / 1000


def test_another_process_writes_the_same_bytes(artifact: Artifact, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; sys.path[:0] = sys.argv[2:];"
        "from conftest import SPEC, built; from small_models import images, program_of, residual;"
        "built(program_of(residual(), images(64), SPEC), 'iphone-15-pro', Path(sys.argv[1]))"
    )
    here = Path(__file__).parent
    folders = [str(here), str(here.parents[1] / "support")]
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    command = [sys.executable, "-c", script, str(tmp_path / "b"), *folders]
    subprocess.run(command, check=True, env=environment, capture_output=True)
    again, _ = open_artifact(tmp_path / "b")
    assert again.files == artifact.files


def test_labels_that_do_not_match_are_named(program: QuantizedProgram, tmp_path: Path) -> None:
    target = target_named("phone-coreml")
    wrong = dataclasses.replace(package(), classes=("a", "b"))
    with pytest.raises(DataError, match=r"2 names for a program with outputs of shape \(1, 5\)"):
        target.build(program, profile_named(target, "iphone-12"), package=wrong, into=tmp_path / "a")


def test_a_program_that_breaks_a_rule_is_not_built(tmp_path: Path) -> None:
    target = target_named("phone-coreml")
    program = program_of(residual(), images(16), QuantSpec(bias=BiasType.FP16, scale_format=ScaleFormat.FP32))
    with pytest.raises(GateError, match=r"COREML001, quantize: a scale that fp16 does not hold"):
        target.build(program, profile_named(target, "iphone-12"), package=package(), into=tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_an_array_comes_normalised(program: QuantizedProgram, tmp_path: Path) -> None:
    target = target_named("phone-coreml")
    raw = images(6).numpy()
    array = dataclasses.replace(
        package(), preprocessing=ArrayPreprocessing(shape=(1, 16, 16), std=(2.0,)), golden_raw=raw
    )
    artifact = target.build(program, profile_named(target, "ipad-m4"), package=array, into=tmp_path / "a")
    model = read_package(artifact.folder / artifact.model)
    assert model.inputs[0].name == "input"
    assert "real_div" not in {item.kind for item in model.operations}
    inputs = np.load(artifact.folder / "golden.npz")["inputs"]
    np.testing.assert_array_equal(inputs, raw / 2)
    fp32, _ = target.executors(artifact)
    np.testing.assert_allclose(fp32.run(inputs), program.run(inputs), atol=0.01)
