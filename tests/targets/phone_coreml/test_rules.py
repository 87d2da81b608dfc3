"""Each rule: a program that breaks it."""

import copy

import pytest
import torch
from small_models import images, program_of, residual
from torch import Tensor, nn
from torch.nn import functional

from edgedistill.quantize.program import QuantizedProgram
from edgedistill.quantize.spec import BiasType, QuantSpec, ScaleFormat
from edgedistill.targets.base import Severity, profile_named
from edgedistill.targets.phone_coreml import convert
from edgedistill.targets.phone_coreml.rules import broken_rules
from edgedistill.targets.registry import target_named


def found(program: QuantizedProgram) -> dict[str, str]:
    return {issue.rule: issue.message for issue in broken_rules(program)}


def changed(program: QuantizedProgram, ending: str, change: object) -> QuantizedProgram:
    """Return the program with the first buffer of that name changed."""
    exported = copy.deepcopy(program.exported)
    name = next(name for name in exported.state_dict if name.endswith(ending))
    exported.state_dict[name].copy_(change(exported.state_dict[name]))  # type: ignore[operator]
    return QuantizedProgram(exported, program.spec)


def test_a_plain_network_breaks_none(program: QuantizedProgram) -> None:
    assert found(program) == {}


def test_a_scale_below_what_fp16_holds_in_full_is_named(program: QuantizedProgram) -> None:
    broken = changed(program, "images_scale", lambda scale: scale * 0 + 2.0**-15)
    assert "below 2^-14" in found(broken)["COREML001"]


def test_a_scale_that_fp16_does_not_hold_is_named() -> None:
    program = program_of(residual(), images(16), QuantSpec(bias=BiasType.FP16, scale_format=ScaleFormat.FP32))
    assert found(program)["COREML001"] == "a scale that fp16 does not hold"


def test_a_bias_that_fp16_does_not_hold_is_named(program: QuantizedProgram) -> None:
    broken = changed(program, "bias", lambda bias: bias * 0 + 0.1)
    assert found(broken)["COREML002"] == "a bias that fp16 does not hold"


def test_a_bias_beyond_fp16_is_named(program: QuantizedProgram) -> None:
    broken = changed(program, "bias", lambda bias: bias * 0 + 70_000.0)
    assert found(broken)["COREML002"] == "a bias that fp16 does not hold"


def test_a_bias_of_codes_is_named() -> None:
    assert "int32 codes" in found(program_of(residual(), images(16), QuantSpec()))["COREML002"]


class Odd(nn.Module):
    """Ends with an operator that Core ML does not have."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.special.i0(x).mean((2, 3))


def test_an_operator_without_a_counterpart_is_named() -> None:
    issues = [issue for issue in broken_rules(program_of(Odd(), images(8))) if issue.rule == "COREML005"]
    assert issues[0].severity is Severity.ERROR
    assert "i0" in issues[0].message


class Pooled(nn.Module):
    """Takes images of any width."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).mean((2, 3))  # type: ignore[no-any-return]


def test_an_axis_without_a_fixed_length_is_named() -> None:
    dynamic = torch.export.Dim.DYNAMIC
    exported = torch.export.export(Pooled().eval(), (images(2),), dynamic_shapes=({0: dynamic, 3: dynamic},))
    assert "axis 3" in found(QuantizedProgram(exported, QuantSpec()))["COREML004"]


class Folded(nn.Module):
    """Makes a tensor of six axes."""

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(-1, 1, 2, 8, 2, 8).sum((1, 2, 3, 4))


def test_six_axes_are_named() -> None:
    assert "6 axes" in found(program_of(Folded(), images(8)))["COREML006"]


class Long(nn.Module):
    """Has an axis of 25,600 elements."""

    def forward(self, x: Tensor) -> Tensor:
        return x.repeat(1, 100, 1, 1).flatten(1)[:, :5]


def test_a_long_axis_is_a_warning() -> None:
    issues = {issue.rule: issue.severity for issue in broken_rules(program_of(Long(), images(8)))}
    assert issues.get("COREML007") is Severity.WARNING


class Hyperbolic(nn.Module):
    """Has an operator that Core ML has and whose computation nobody could check here."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sinh(self.first(x)).mean((2, 3))


class Bare(Hyperbolic):
    """Pools without a stride, which coremltools wants."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.max_pool2d(self.first(x), 2).mean((2, 3))


def test_an_operation_that_could_not_be_checked_is_named_before_anything_is_trained() -> None:
    target = target_named("phone-coreml")
    profile = profile_named(target, "iphone-15-pro")
    issues = target.check(program_of(Hyperbolic(), images(8), target.quant_spec(profile)), profile)
    assert [issue.rule for issue in issues] == ["COREML008"]
    assert "no rule for sinh" in issues[0].message


def test_what_the_converter_refuses_is_named_before_anything_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert, "completed", copy.deepcopy)
    target = target_named("phone-coreml")
    profile = profile_named(target, "iphone-15-pro")
    program = program_of(Bare(), images(8), target.quant_spec(profile))
    assert "max_pool2d" in target.check(program, profile)[0].message
