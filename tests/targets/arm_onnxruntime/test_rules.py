"""Each rule: a program that breaks it, and one that does not."""

import torch
from small_models import images, program_of, residual
from torch import Tensor, nn
from torch.nn import functional

from edgedistill.quantize.spec import ActivationType, BiasType, QuantSpec, Symmetry
from edgedistill.targets.arm_onnxruntime.rules import broken_rules
from edgedistill.targets.base import Severity


class Island(nn.Module):
    """A convolution read by an operator that has no integer rule."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(functional.gelu(self.first(x))).mean((2, 3))  # type: ignore[no-any-return]


def found(model: nn.Module, spec: QuantSpec | None = None) -> dict[str, Severity]:
    return {issue.rule: issue.severity for issue in broken_rules(program_of(model, images(32), spec))}


def test_a_plain_network_breaks_none() -> None:
    assert found(residual()) == {}


def test_symmetric_activations_are_an_error() -> None:
    spec = QuantSpec(activation=ActivationType.INT8, symmetry=Symmetry.SYMMETRIC)
    assert found(residual(), spec)["ARM001"] is Severity.ERROR


def test_symmetric_activations_leave_relus_unabsorbed() -> None:
    spec = QuantSpec(activation=ActivationType.INT8, symmetry=Symmetry.SYMMETRIC)
    assert found(residual(), spec)["ARM004"] is Severity.WARNING


def test_float_biases_are_a_warning() -> None:
    assert found(residual(), QuantSpec(bias=BiasType.FLOAT)) == {"ARM002": Severity.WARNING}


def test_an_operator_without_a_rule_is_named_with_its_node() -> None:
    torch.manual_seed(0)
    issues = broken_rules(program_of(Island().eval(), images(32)))
    assert {(issue.rule, issue.node) for issue in issues} == {("ARM005", "gelu")}
    assert "aten.gelu" in issues[0].message
