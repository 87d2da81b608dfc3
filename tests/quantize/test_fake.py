import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.quantize.fake import ActivationQuantizer, BiasQuantizer, Mode, RoundAsOnnx, WeightQuantizer
from edgedistill.quantize.operators import DEQUANTIZE, QUANTIZE
from edgedistill.quantize.spec import BiasType, QuantSpec


@given(st.lists(st.floats(-30, 30, width=32), min_size=1, max_size=50), st.floats(-4, 0), st.floats(0, 4))
def test_the_simulation_is_bit_for_bit_what_the_stored_operators_compute(
    values: list[float], low: float, high: float
) -> None:
    quantizer = ActivationQuantizer(QuantSpec())
    quantizer.set_range(low, high)
    scale, zero_point = quantizer.stored()
    tensor = torch.tensor(values)
    stored = DEQUANTIZE(QUANTIZE(tensor, scale, zero_point, 1), scale, zero_point, 1)
    assert torch.equal(quantizer(tensor), stored)


def test_the_gradient_passes_inside_the_range_and_stops_outside() -> None:
    values = torch.tensor([-1.0, 0.3, 2.5, 9.0], requires_grad=True)
    RoundAsOnnx.apply(values, torch.tensor(0.01), torch.tensor(0.0), 0, 255).sum().backward()  # type: ignore[no-untyped-call]
    assert values.grad is not None
    assert values.grad.tolist() == [0.0, 1.0, 1.0, 0.0]


def test_weights_are_simulated_as_their_codes_are_stored() -> None:
    weight = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    quantizer = WeightQuantizer(QuantSpec())
    codes, scale = quantizer.codes_of(weight), quantizer.scale_of(weight)
    assert codes.dtype == torch.int8
    assert int(codes.abs().max()) == 127
    zero = torch.zeros_like(scale, dtype=torch.int8)
    assert torch.equal(quantizer(weight), DEQUANTIZE(codes, scale, zero, 0))


def test_a_bias_is_simulated_as_its_codes_are_stored_and_still_learns() -> None:
    source, weights = ActivationQuantizer(QuantSpec()), WeightQuantizer(QuantSpec())
    source.set_range(0.0, 6.0)
    weight = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    bias = torch.tensor([0.1, -0.2, 3.0, 0.0], requires_grad=True)
    quantizer = BiasQuantizer(QuantSpec(), source, weights)
    codes, scale = quantizer.codes_of(bias, weight), quantizer.scale_of(weight)
    assert torch.equal(scale, source.scale * weights.scale_of(weight))
    simulated = quantizer(bias, weight)
    stored = DEQUANTIZE(codes, scale, torch.zeros_like(codes), 0)
    # bias + (stored - bias) may round once more than stored itself
    torch.testing.assert_close(simulated.detach(), stored, rtol=2**-23, atol=0)
    simulated.sum().backward()
    assert bias.grad is not None
    assert bias.grad.tolist() == [1.0] * 4


def test_a_float_bias_is_left_alone() -> None:
    spec = QuantSpec(bias=BiasType.FLOAT)
    quantizer = BiasQuantizer(spec, ActivationQuantizer(spec), WeightQuantizer(spec))
    bias = torch.tensor([0.123])
    assert quantizer(bias, torch.ones(1, 1)) is bias


def test_an_observing_quantizer_changes_nothing_and_remembers_the_range() -> None:
    quantizer = ActivationQuantizer(QuantSpec())
    quantizer.mode = Mode.OBSERVE
    values = torch.tensor([-1.5, 0.25, 3.0])
    assert torch.equal(quantizer(values), values)
    assert (quantizer.histogram.minimum, quantizer.histogram.maximum) == (-1.5, 3.0)


@pytest.mark.parametrize(("low", "expected"), [(0.0, True), (-1.0, False)])
def test_a_relu_before_it_is_absorbed_only_if_the_lowest_code_is_zero(low: float, *, expected: bool) -> None:
    quantizer = ActivationQuantizer(QuantSpec())
    quantizer.set_range(low, 2.0)
    assert quantizer.clips_below_zero is expected
