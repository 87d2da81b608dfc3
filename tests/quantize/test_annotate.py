"""One small module per row of the pattern table."""

import pytest
import torch
from small_models import calibrated, images, program_of, residual, separable
from torch import Tensor, nn
from torch.nn import functional

from edgedistill.quantize.annotate import activation_quantizers, annotate, parameter_count
from edgedistill.quantize.capture import capture
from edgedistill.quantize.program import Arithmetic
from edgedistill.quantize.spec import QuantSpec


class Pattern(nn.Module):
    """A convolution before and after the operator under test."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.before = nn.Conv2d(1, 4, 3, padding=1)
        self.after = nn.Conv2d(8 if kind == "concat" else 4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.before(x)
        middle = {
            "relu": lambda: functional.relu(x),
            "relu6": lambda: functional.relu6(x),
            "add": lambda: x + x.flip(3),
            "concat": lambda: torch.cat([x, functional.relu(x)], 1),
            "max-pool": lambda: functional.max_pool2d(functional.relu(x), 2),
            "constant": lambda: x + 1.0,
            "gelu": lambda: functional.gelu(x),
        }[self.kind]()
        return self.after(middle)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("relu", ["x", "relu"]),
        ("relu6", ["x", "relu6"]),
        ("add", ["x", "conv2d", "flip", "add"]),
        ("concat", ["x", "conv2d", "relu", "cat"]),
        ("max-pool", ["x", "relu"]),
        ("constant", ["x", "conv2d", "add"]),
        ("gelu", ["x", "conv2d", "gelu"]),
    ],
)
def test_where_quantizers_stand(kind: str, expected: list[str]) -> None:
    graph = annotate(capture(Pattern(kind), images(2)), QuantSpec())
    assert [name.removesuffix("_quantizer") for name in activation_quantizers(graph)] == expected


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
