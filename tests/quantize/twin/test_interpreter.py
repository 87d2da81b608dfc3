"""The integer twin against ONNX Runtime, bit for bit, and against integers by hand."""

import platform
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import images, program_of, residual, separable
from torch import Tensor, nn
from torch.nn import functional

from edgedistill.evaluate.onnx_runtime import OnnxRuntimeExecutor
from edgedistill.export.onnx_writer import onnx_from_program
from edgedistill.quantize.spec import Arithmetic
from edgedistill.quantize.twin.exact import EXACT_FLOAT32
from edgedistill.quantize.twin.interpreter import IntegerInterpreter

EXACT_OPTIONS = {"session.x64quantprecision": "1"} if platform.machine() == "x86_64" else {}


class MixedNet(nn.Module):
    """What the families leave out: max-pool, mean over axes, an add without ReLU, a dilated grouped convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=2)
        self.head = nn.Linear(8, 5, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.first(x)), 2)
        x = x + self.second(x)
        return self.head(x.mean((2, 3)))  # type: ignore[no-any-return]


class FloatIsland(nn.Module):
    """An operator without an integer rule between two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3)
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(functional.gelu(self.first(x)))
        return self.head(x.mean((2, 3)))  # type: ignore[no-any-return]


@pytest.mark.parametrize("make", [residual, separable])
def test_families_equal_the_runtime_bit_for_bit(make: object, tmp_path: Path) -> None:
    inputs = images(64)
    program = program_of(make(), inputs)  # type: ignore[operator]
    onnx_from_program(program, tmp_path / "model.onnx")
    runtime = OnnxRuntimeExecutor(tmp_path / "model.onnx", options=EXACT_OPTIONS).run(inputs.numpy() * 1.5)
    np.testing.assert_array_equal(program.run(inputs.numpy() * 1.5), runtime)


def test_other_operators_equal_the_runtime_bit_for_bit(tmp_path: Path) -> None:
    torch.manual_seed(0)
    inputs = images(64)
    program = program_of(MixedNet().eval(), inputs)
    onnx_from_program(program, tmp_path / "model.onnx")
    runtime = OnnxRuntimeExecutor(tmp_path / "model.onnx", options=EXACT_OPTIONS).run(inputs.numpy())
    np.testing.assert_array_equal(program.run(inputs.numpy()), runtime)


def test_float_arithmetic_differs_by_less_than_the_codes_explain() -> None:
    inputs = images(64)
    program = program_of(residual(), inputs)
    exact = program.run(inputs.numpy())
    simulated = program.run(inputs.numpy(), arithmetic=Arithmetic.FLOAT)
    step = (exact.max() - exact.min()) / 255
    assert abs(exact - simulated).max() < 2 * step
    assert (exact != simulated).any()


def test_a_linear_layer_by_hand() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(8, 6)
    program = program_of(nn.Linear(6, 3), inputs)
    tensors = program.tensors()
    source, weight, bias = tensors["quantize"], tensors["dequantize_1"], tensors["dequantize_2"]
    assert weight.codes is not None
    assert bias.codes is not None
    codes = np.clip(np.rint(inputs.numpy() / source.scale.numpy()) + int(source.zero_point), 0, 255).astype(np.int64)
    total = (codes - int(source.zero_point)) @ weight.codes.numpy().astype(np.int64).T + bias.codes.numpy()
    expected = total.astype(np.float32) * (source.scale * weight.scale).numpy()
    np.testing.assert_array_equal(program.run(inputs.numpy()), expected)


def test_an_operator_without_a_rule_is_computed_in_float() -> None:
    torch.manual_seed(0)
    inputs = images(16)
    program = program_of(FloatIsland().eval(), inputs)
    exact = program.run(inputs.numpy())
    simulated = program.run(inputs.numpy(), arithmetic=Arithmetic.FLOAT)
    np.testing.assert_allclose(exact, simulated, atol=2 * float(exact.max() - exact.min()) / 255)


def test_codes_of_every_activation_are_given_by_name() -> None:
    inputs = images(4)
    program = program_of(residual(), inputs)
    codes = IntegerInterpreter(program.graph).codes(inputs)
    assert set(codes) == {name for name, tensor in program.tensors().items() if tensor.codes is None}
    assert all(value.dtype == torch.uint8 for value in codes.values())


def test_sums_beyond_float32_are_still_exact() -> None:
    wide = 8 * EXACT_FLOAT32 // (127 * 255)
    model = nn.Linear(wide, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.where(torch.arange(wide) % 3 == 0, -1.0, 1.0).expand(2, wide))
    inputs = torch.linspace(0, 1, 4 * wide).view(4, wide)
    program = program_of(model, inputs)
    source = program.tensors()["quantize"]
    codes = np.rint(inputs.numpy() / source.scale.numpy()).clip(0, 255).astype(np.int64)
    weight = program.tensors()["dequantize_1"]
    assert weight.codes is not None
    total = codes @ weight.codes.numpy().astype(np.int64).T
    assert abs(total).max() > EXACT_FLOAT32
    expected = total.astype(np.float32) * (source.scale * weight.scale).numpy()
    np.testing.assert_array_equal(program.run(inputs.numpy()), expected)
