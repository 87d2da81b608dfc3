"""Functions of one code: no machine's last bit decides about a code."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_models import calibrated, images
from torch import Tensor, nn
from torch.nn import functional

from edgedistill.quantize.annotate import activation_quantizers
from edgedistill.quantize.margins import MARGIN_STEPS, in_no_doubt, keep_margins
from edgedistill.quantize.spec import QuantSpec, ScaleFormat


class Gated(nn.Module):
    """A function of one code between two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3)
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(functional.hardswish(self.first(x)))
        return self.head(functional.adaptive_avg_pool2d(x, 1).flatten(1))  # type: ignore[no-any-return]


def test_a_value_between_two_codes_is_in_doubt() -> None:
    zero_point = torch.tensor(0, dtype=torch.uint8)
    assert not in_no_doubt(torch.tensor([1.0, 2.5 + MARGIN_STEPS / 2]), torch.tensor(1.0), zero_point)
    assert in_no_doubt(torch.tensor([1.0, 2.5 + 2 * MARGIN_STEPS]), torch.tensor(1.0), zero_point)
    assert in_no_doubt(torch.tensor([-7.5, 300.5]), torch.tensor(1.0), zero_point)  # saturated in any case


@pytest.mark.parametrize("seed", range(3))
def test_scales_move_until_nothing_is_in_doubt_and_stay_near(seed: int) -> None:
    torch.manual_seed(seed)
    graph = calibrated(Gated().eval(), images(64))
    quantizers = activation_quantizers(graph)
    behind = {name: item for name, item in quantizers.items() if name.startswith("hardswish")}
    assert len(behind) == 1
    for quantizer in behind.values():
        quantizer.set_scale(2.0 ** round(math.log2(float(quantizer.scale))))
    before = {name: float(item.scale) for name, item in behind.items()}
    keep_margins(graph, {})
    for name, quantizer in behind.items():
        assert float(quantizer.scale) == pytest.approx(before[name], rel=0.03)
        assert float(quantizer.scale) == float(np.float16(float(quantizer.scale)))
    scale, zero_point = quantizers["conv2d_quantizer"].stored()
    values = functional.hardswish((torch.arange(256) - int(zero_point)).to(torch.float32) * scale)
    assert in_no_doubt(values, *quantizers["hardswish_quantizer"].stored())


def test_what_a_sum_of_codes_needs_is_kept() -> None:
    graph = calibrated(Gated().eval(), images(64))
    quantizer = activation_quantizers(graph)["hardswish_quantizer"]
    exponent = math.frexp(float(quantizer.scale))[1] - 7
    for multiple in range(65, 128, 2):
        quantizer.set_scale(math.ldexp(multiple, exponent))
        keep_margins(graph, {quantizer: (exponent, 2)})
        found = math.ldexp(float(quantizer.scale), -exponent)
        assert found.is_integer()
        assert int(found) % 2 == 1


def test_powers_of_two_stay() -> None:
    spec = replace(QuantSpec(), scale_format=ScaleFormat.POWER_OF_TWO)
    graph = calibrated(Gated().eval(), images(64), spec)
    for quantizer in activation_quantizers(graph).values():
        assert math.log2(float(quantizer.scale)).is_integer()
