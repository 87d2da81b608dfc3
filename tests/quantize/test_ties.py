"""No sum of two codes is a tie, so every runtime's way of adding gives the same code."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from small_models import calibrated, images, residual, separable
from torch import Tensor, nn

from edgedistill.quantize.annotate import activation_quantizers, annotate
from edgedistill.quantize.capture import capture
from edgedistill.quantize.fake import ActivationQuantizer
from edgedistill.quantize.spec import QuantSpec, ScaleFormat
from edgedistill.quantize.ties import avoid_ties

F32 = np.float32


class Sum(nn.Module):
    """Two convolutions and their sum, read by a third."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.after = (nn.Conv2d(1, 1, 1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.first(x) + self.second(x))  # type: ignore[no-any-return]


def summed(ranges: list[tuple[float, float]], spec: QuantSpec | None = None) -> list[ActivationQuantizer]:
    """Return the quantizers of the two inputs and the output of a sum, with ties avoided."""
    graph = annotate(capture(Sum(), images(2)), spec or QuantSpec())
    quantizers = activation_quantizers(graph)
    chosen = [quantizers[f"{name}_quantizer"] for name in ("conv2d", "conv2d_1", "add")]
    quantizers["x_quantizer"].set_range(-1, 1)
    for quantizer, (low, high) in zip(chosen, ranges, strict=True):
        quantizer.set_range(low, high)
    avoid_ties(graph)
    return chosen


def every_sum(quantizers: list[ActivationQuantizer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all pairs of shifted codes as a column and a row."""
    first, second = (np.arange(256, dtype=np.int64) - int(item.zero_point) for item in quantizers[:2])
    return first[:, None], second[None, :]


def exact(quantizers: list[ActivationQuantizer]) -> NDArray[np.int64]:
    first, second = every_sum(quantizers)
    a, b, c = (float(item.scale) for item in quantizers)
    return np.clip(np.rint((first * a + second * b) / c) + int(quantizers[2].zero_point), 0, 255).astype(np.int64)


def on_x86(quantizers: list[ActivationQuantizer]) -> NDArray[np.int64]:
    """Add as ONNX Runtime's SSE kernel does: float32, all zero points in one constant, half to even at the end."""
    a, b, c = (F32(float(item.scale)) for item in quantizers)
    zero_a, zero_b, zero_c = (F32(float(item.zero_point)) for item in quantizers)
    codes = np.arange(256, dtype=F32)
    fixed = F32(zero_c - F32(F32(a / c * zero_a) + F32(b / c * zero_b)))
    total = (fixed + codes[:, None] * F32(a / c)) + codes[None, :] * F32(b / c)
    return np.clip(np.rint(total), 0, 255).astype(np.int64)


def on_arm(quantizers: list[ActivationQuantizer]) -> NDArray[np.int64]:
    """Add as ONNX Runtime's NEON kernel does: 22-bit multipliers, half away from zero."""
    a, b, c = (F32(float(item.scale)) for item in quantizers)
    shift = 21 - (math.frexp(float(max(a / c, b / c)))[1] - 1)
    first, second = every_sum(quantizers)
    total = first * round(float(a / c) * 2**shift) + second * round(float(b / c) * 2**shift)
    half = 1 << (shift - 1)
    rounded = np.where(total >= 0, (total + half) >> shift, -((-total + half) >> shift))
    return np.clip(rounded + int(quantizers[2].zero_point), 0, 255)


RANGES = [
    [(-2.0, 3.0), (-1.0, 4.0), (-2.5, 6.0)],
    [(0.0, 6.0), (-3.0, 3.0), (-2.0, 8.0)],
    [(-0.37, 0.91), (-1.7, 1.3), (-1.9, 2.1)],
    [(-5.0, 5.0), (-0.9, 0.6), (-5.5, 5.2)],
    [(0.0, 1.0), (0.0, 1.0), (0.0, 2.0)],
]


@pytest.mark.parametrize("ranges", RANGES)
def test_no_sum_is_a_tie_and_both_kernels_give_the_exact_code(ranges: list[tuple[float, float]]) -> None:
    quantizers = summed(ranges)
    first, second = every_sum(quantizers)
    a, b, c = (float(item.scale) for item in quantizers)
    doubled = 2 * (first * a + second * b) / c  # exact: fp16 scales times small integers fit float64
    assert not ((doubled % 2) == 1).any()
    np.testing.assert_array_equal(on_x86(quantizers), exact(quantizers))
    np.testing.assert_array_equal(on_arm(quantizers), exact(quantizers))


def test_without_it_the_two_kernels_disagree() -> None:
    quantizers = summed(RANGES[4])
    for quantizer, scale in zip(quantizers, (2.0**-8, 2.0**-8, 2.0**-7), strict=True):
        quantizer.set_scale(scale)
    assert (on_x86(quantizers) != on_arm(quantizers)).mean() > 0.1


@pytest.mark.parametrize("ranges", RANGES)
def test_scales_stay_near_what_calibration_chose_and_stay_fp16(ranges: list[tuple[float, float]]) -> None:
    for quantizer, (low, high) in zip(summed(ranges), ranges, strict=True):
        scale = float(quantizer.scale)
        assert scale == pytest.approx((high - low) / 255, rel=0.01)
        assert scale == float(np.float16(scale))


@pytest.mark.parametrize("make", [residual, separable])
def test_a_second_pass_finds_nothing_to_change(make: object) -> None:
    graph = calibrated(make(), images(64))  # type: ignore[operator]
    before = {name: float(item.scale) for name, item in activation_quantizers(graph).items()}
    avoid_ties(graph)
    after = {name: float(item.scale) for name, item in activation_quantizers(graph).items()}
    assert before == after


def test_powers_of_two_are_left_alone() -> None:
    spec = QuantSpec(scale_format=ScaleFormat.POWER_OF_TWO)
    for quantizer in summed(RANGES[0], spec):
        assert math.log2(float(quantizer.scale)).is_integer()


def test_a_clamp_s_ceiling_is_kept() -> None:
    graph = calibrated(separable(), images(64))
    for quantizer in activation_quantizers(graph).values():
        if quantizer.ceiling is not None:
            assert float(quantizer.scale) * 255 <= quantizer.ceiling
