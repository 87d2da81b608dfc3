import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.quantize.scales import activation_scale, snap, weight_scale
from edgedistill.quantize.spec import ActivationType, Granularity, QuantSpec, ScaleFormat, Symmetry

FP32 = QuantSpec(scale_format=ScaleFormat.FP32)
positive = st.floats(2.0**-13, 2.0**10, width=32)


def test_the_largest_weight_of_each_channel_has_code_127() -> None:
    weight = torch.tensor([[1.0, -2.54], [0.5, 0.127]])
    assert weight_scale(weight, FP32).tolist() == pytest.approx([0.02, 0.5 / 127])


def test_a_per_tensor_weight_has_one_scale() -> None:
    spec = QuantSpec(weights=Granularity.PER_TENSOR, scale_format=ScaleFormat.FP32)
    assert weight_scale(torch.tensor([[1.0, -2.54], [0.5, 0.127]]), spec).shape == ()


def test_a_channel_of_zeros_gets_a_scale_that_can_be_stored() -> None:
    assert weight_scale(torch.zeros(2, 3), QuantSpec()).tolist() == [2.0**-14] * 2


@given(positive)
def test_fp16_scales_are_the_nearest_fp16_number(scale: float) -> None:
    assert float(snap(torch.tensor(scale), ScaleFormat.FP16)) == float(np.float32(np.float16(np.float32(scale))))


@given(positive)
def test_power_of_two_scales_are_never_smaller(scale: float) -> None:
    held = float(snap(torch.tensor(scale), ScaleFormat.POWER_OF_TWO))
    assert math.log2(held).is_integer()
    assert scale <= held < 2 * scale * (1 + 1e-6)


def test_a_range_from_zero_puts_zero_on_the_lowest_code() -> None:
    assert activation_scale(0.0, 2.55, FP32) == (pytest.approx(0.01), 0)
    signed = QuantSpec(activation=ActivationType.INT8, scale_format=ScaleFormat.FP32)
    assert activation_scale(0.0, 2.55, signed) == (pytest.approx(0.01), -128)


def test_a_symmetric_range_has_zero_point_zero() -> None:
    spec = QuantSpec(activation=ActivationType.INT8, symmetry=Symmetry.SYMMETRIC, scale_format=ScaleFormat.FP32)
    assert activation_scale(-1.0, 0.5, spec) == (pytest.approx(1 / 127), 0)


@given(st.floats(-50, 50), st.floats(0, 50))
def test_zero_is_always_exactly_a_code(low: float, width: float) -> None:
    scale, zero_point = activation_scale(low, low + width, QuantSpec())
    assert scale > 0
    assert 0 <= zero_point <= 255


@pytest.mark.parametrize("scale_format", list(ScaleFormat))
@given(ceiling=st.floats(0.5, 16))
def test_no_code_stands_for_more_than_the_ceiling(scale_format: ScaleFormat, ceiling: float) -> None:
    spec = QuantSpec(scale_format=scale_format)
    scale, zero_point = activation_scale(0.0, ceiling, spec, ceiling=ceiling)
    assert zero_point == 0
    assert scale * 255 <= ceiling
