"""One small module per row of the pattern table."""

import pytest
import torch
from small_models import calibrated, images, program_of, residual, separable
from torch import Tensor, nn
from torch.nn import functional

from edgedistill.quantize.annotate import activation_quantizers, annotate, parameter_count
from edgedistill.quantize.capture import capture
from edgedistill.quantize.spec import ActivationType, Arithmetic, BiasType, Placement, QuantSpec, Symmetry

FUSED = QuantSpec(
    activation=ActivationType.INT8, symmetry=Symmetry.SYMMETRIC, bias=BiasType.FP16, placement=Placement.INPUTS
)


class Pattern(nn.Module):
    """A convolution before and after the operator under test."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.before = nn.Conv2d(1, 4, 3, padding=1)
        self.after = nn.Conv2d(8 if kind.startswith("concat") else 4, 4, 3, padding=1)
        self.up = nn.ConvTranspose2d(4, 4, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.before(x)
        middle = {
            "relu": lambda: functional.relu(x),
            "relu6": lambda: functional.relu6(x),
            "add": lambda: x + x.flip(3),
            "concat": lambda: torch.cat([x, functional.relu(x)], 1),
            "concat of one kind": lambda: _twice(functional.relu(x)),
            "chunk": lambda: torch.cat(x.chunk(2, 1)[::-1], 1),
            "nearest": lambda: functional.interpolate(x, scale_factor=2.0, mode="nearest"),
            "bilinear": lambda: functional.interpolate(x, scale_factor=2.0, mode="bilinear"),
            "pad on one side": lambda: functional.pad(x, (1, 0, 1, 0)),
            "transposed": lambda: self.up(x),
            "gate": lambda: x * torch.sigmoid(x),
            "silu": lambda: functional.silu(x),
            "hard-swish": lambda: functional.hardswish(x),
            "leaky": lambda: functional.leaky_relu(x),
            "average": lambda: functional.avg_pool2d(x, 2),
            "max-pool": lambda: functional.max_pool2d(functional.relu(x), 2),
            "constant": lambda: x + 1.0,
            "gelu": lambda: functional.gelu(x),
        }[self.kind]()
        return self.after(middle)  # type: ignore[no-any-return]


def _twice(x: Tensor) -> Tensor:
    return torch.cat([x, functional.max_pool2d(x, 1)], 1)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("relu", ["x", "relu", "conv2d_1"]),
        ("relu6", ["x", "relu6", "conv2d_1"]),
        ("add", ["x", "conv2d", "flip", "add", "conv2d_1"]),
        ("concat", ["x", "conv2d", "relu", "cat", "conv2d_1"]),
        ("concat of one kind", ["x", "relu", "conv2d_1"]),
        ("max-pool", ["x", "relu", "conv2d_1"]),
        ("constant", ["x", "conv2d", "add", "conv2d_1"]),
        ("gelu", ["x", "conv2d", "gelu", "conv2d_1"]),
        ("chunk", ["x", "conv2d", "conv2d_1"]),
        ("nearest", ["x", "conv2d", "conv2d_1"]),
        ("bilinear", ["x", "conv2d", "upsample_bilinear2d", "conv2d_1"]),
        ("pad on one side", ["x", "conv2d", "conv2d_1"]),
        ("transposed", ["x", "conv2d", "conv2d_2", "conv2d_1"]),
        ("gate", ["x", "conv2d", "sigmoid", "mul", "conv2d_1"]),
        ("silu", ["x", "conv2d", "sigmoid", "mul", "conv2d_1"]),
        ("hard-swish", ["x", "conv2d", "hardswish", "conv2d_1"]),
        ("leaky", ["x", "conv2d", "leaky_relu", "conv2d_1"]),
        ("average", ["x", "conv2d", "avg_pool2d", "conv2d_1"]),
    ],
)
def test_where_quantizers_stand(kind: str, expected: list[str]) -> None:
    graph = annotate(capture(Pattern(kind), images(2)), QuantSpec())
    assert [name.removesuffix("_quantizer") for name in activation_quantizers(graph)] == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("relu", ["x", "relu"]),
        ("relu6", ["x", "relu6"]),
        ("concat", ["x", "conv2d"]),  # one scale for all its inputs
        ("max-pool", ["x", "relu"]),
        ("constant", ["x", "add"]),
        ("gelu", ["x", "gelu"]),
    ],
)
def test_what_is_fused_to_a_sum_of_products_stays_in_float(kind: str, expected: list[str]) -> None:
    graph = annotate(capture(Pattern(kind), images(2)), FUSED)
    assert [name.removesuffix("_quantizer") for name in activation_quantizers(graph)] == expected


class Block(nn.Module):
    """Two residual blocks: one with a convolution on its skip branch, one without; then what reads the sum."""

    def __init__(self, *, read_as_codes: bool) -> None:
        super().__init__()
        self.first, self.second, self.skip, self.third = (nn.Conv2d(4 if i else 1, 4, 1) for i in range(4))
        self.skip = nn.Conv2d(1, 4, 1)
        self.read_as_codes = read_as_codes

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.skip(x) + self.second(functional.relu(self.first(x))))
        z = y + self.third(y)
        return z.mean((2, 3)) if self.read_as_codes else functional.gelu(z)


def test_a_sum_of_two_convolutions_rounds_the_one_computed_first_and_a_skip_input_is_rounded() -> None:
    graph = annotate(capture(Block(read_as_codes=True), images(2)), FUSED)
    assert [name.removesuffix("_quantizer") for name in activation_quantizers(graph)] == [
        "x",
        "conv2d",  # of the skip branch
        "relu",
        "relu_1",
        "add_1",
    ]


def test_a_sum_that_is_read_in_float_is_not_rounded() -> None:
    graph = annotate(capture(Block(read_as_codes=False), images(2)), FUSED)
    assert "add_1_quantizer" not in activation_quantizers(graph)


def test_a_bias_of_fp16_is_the_same_in_simulation_program_and_fp16() -> None:
    inputs = images(32)
    program = program_of(residual(), inputs, FUSED)
    with torch.no_grad():
        simulated = calibrated(residual(), inputs, FUSED)(inputs).numpy()
    assert program.spec.arithmetic is Arithmetic.FLOAT
    assert abs(simulated - program.run(inputs.numpy())).max() < 1e-6
    biases = [value for name, value in program.graph.state_dict().items() if name.endswith("_bias")]
    assert len(biases) == 10
    for bias in biases:
        assert torch.equal(bias, bias.half().float())


def test_every_weight_and_bias_has_a_quantizer_and_the_result_none() -> None:
    graph = annotate(capture(residual(), images(2)), QuantSpec())
    names = [str(node.target) for node in graph.graph.nodes if node.op == "call_module"]
    assert sum(name.endswith("_weight_quantizer") for name in names) == 10
    assert sum(name.endswith("_bias_quantizer") for name in names) == 10
    assert "linear_quantizer" not in names


def test_a_clamp_keeps_its_ceiling() -> None:
    graph = calibrated(separable(), images(16))
    ceilings = {quantizer.ceiling for quantizer in activation_quantizers(graph).values()}
    assert ceilings == {None, 6.0}


def test_folded_parameters_are_counted_once() -> None:
    graph = capture(nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4)), images(2))
    assert parameter_count(graph) == 4 * 9 + 4


def test_the_simulation_equals_the_program_in_float() -> None:
    inputs = images(32)
    graph = calibrated(residual(), inputs)
    program = program_of(residual(), inputs)
    with torch.no_grad():
        simulated = graph(inputs).numpy()
    difference = abs(simulated - program.run(inputs.numpy(), arithmetic=Arithmetic.FLOAT)).max()
    assert difference < 1e-5
