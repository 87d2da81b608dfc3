import copy
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from small_models import images, program_of, residual, separable
from torch import Tensor, nn

from edgedistill.errors import ModelError
from edgedistill.evaluate.onnx_runtime import OnnxRuntimeExecutor
from edgedistill.evaluate.torch_executors import ModuleExecutor
from edgedistill.export.onnx_writer import INPUT, OPSET, onnx_from_module, onnx_from_program
from edgedistill.export.read_back import quantized_tensors
from edgedistill.quantize.spec import Arithmetic


class Untranslatable(nn.Module):
    """Uses an operator that ONNX has no counterpart for."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).kthvalue(1).values[:, None]


class EqualLayers(nn.Module):
    """Three layers with the same weights: one module called thrice, or copies of it."""

    def __init__(self, *, tied: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        first = nn.Linear(16, 16)
        self.layers = nn.ModuleList(first if tied else copy.deepcopy(first) for _ in range(3))
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = x.mean((1, 2))
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.head(x)  # type: ignore[no-any-return]


def test_an_fp32_module_computes_the_same(tmp_path: Path) -> None:
    model, inputs = residual(), images(9).numpy()
    onnx_from_module(model, images(2), tmp_path / "model.onnx")
    runtime = OnnxRuntimeExecutor(tmp_path / "model.onnx").run(inputs)
    np.testing.assert_allclose(runtime, ModuleExecutor(model).run(inputs), rtol=1e-3, atol=1e-4)


def test_the_file_states_its_opset_and_has_a_dynamic_batch(tmp_path: Path) -> None:
    onnx_from_program(program_of(residual(), images(8)), tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    assert [(item.domain, item.version) for item in model.opset_import] == [("", OPSET)]
    shape = model.graph.input[0].type.tensor_type.shape.dim
    assert model.graph.input[0].name == INPUT
    assert shape[0].dim_param
    assert [axis.dim_value for axis in shape[1:]] == [1, 16, 16]


def test_the_reference_evaluator_reads_it_as_the_program_does_in_float(tmp_path: Path) -> None:
    inputs = images(6)
    program = program_of(residual(), inputs)
    onnx_from_program(program, tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    model.opset_import[0].version = 19  # the evaluator has no DequantizeLinear of opset 18; 19 computes the same
    reference = ReferenceEvaluator(model).run(None, {INPUT: inputs.numpy()})[0]
    ours = program.run(inputs.numpy(), arithmetic=Arithmetic.FLOAT)
    np.testing.assert_allclose(reference, ours, atol=2 * float(ours.max() - ours.min()) / 255)


def test_everything_is_read_back_bit_for_bit(tmp_path: Path) -> None:
    program = program_of(separable(), images(8))
    onnx_from_program(program, tmp_path / "model.onnx")
    read, stored = quantized_tensors(tmp_path / "model.onnx"), program.tensors()
    assert set(read) == set(stored)
    for name, tensor in stored.items():
        codes, scale, zero_point = read[name]
        np.testing.assert_array_equal(scale, tensor.scale.numpy(), strict=True)
        np.testing.assert_array_equal(zero_point, tensor.zero_point.numpy(), strict=True)
        if tensor.codes is not None:
            np.testing.assert_array_equal(codes, tensor.codes.numpy(), strict=True)


@pytest.mark.parametrize("tied", [True, False])
def test_equal_layers_keep_tensors_of_their_own(tmp_path: Path, *, tied: bool) -> None:
    model, inputs = EqualLayers(tied=tied).eval(), images(32)
    program = program_of(model, inputs)
    onnx_from_program(program, tmp_path / "model.onnx")
    read, stored = quantized_tensors(tmp_path / "model.onnx"), program.tensors()
    assert set(read) == set(stored)
    for name, tensor in stored.items():
        if tensor.codes is not None:
            np.testing.assert_array_equal(read[name][0], tensor.codes.numpy(), strict=True)
    runtime = OnnxRuntimeExecutor(tmp_path / "model.onnx", options={"session.x64quantprecision": "1"})
    np.testing.assert_array_equal(runtime.run(inputs.numpy()), program.run(inputs.numpy()))


def test_weights_are_stored_as_int8_and_biases_as_int32(tmp_path: Path) -> None:
    onnx_from_program(program_of(residual(), images(8)), tmp_path / "model.onnx")
    model = onnx.load(tmp_path / "model.onnx")
    large = {item.data_type for item in model.graph.initializer if len(item.dims) > 1}
    assert large == {onnx.TensorProto.INT8}


def test_the_same_program_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        onnx_from_program(program_of(residual(), images(8)), tmp_path / name)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.onnx", "b.onnx"]


def test_an_operator_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"export to ONNX: torch\.onnx says"):
        onnx_from_module(Untranslatable(), images(2), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
