from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.distill.losses.inversion import squared_norm, statistics_loss, total_variation
from edgedistill.errors import ShapeError


def maps(seed: int) -> torch.Tensor:
    return torch.randn(3, 2, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_statistics_by_hand() -> None:
    features = torch.tensor([[1.0, 0.0], [3.0, 4.0]], dtype=torch.float64)  # means 2, 2; variances 2, 8
    mean, var = torch.tensor([2.0, -1.0], dtype=torch.float64), torch.tensor([2.0, 4.0], dtype=torch.float64)
    assert float(statistics_loss(features, mean, var)) == pytest.approx(3 + 4, rel=1e-12)


def test_statistics_are_those_that_batch_norm_keeps() -> None:
    norm = torch.nn.BatchNorm2d(2, momentum=1.0).double()
    norm(maps(0))
    assert float(statistics_loss(maps(0), norm.running_mean, norm.running_var)) == pytest.approx(0, abs=1e-14)


@given(seed=st.integers(0, 1000))
def test_statistics_know_no_order_and_are_zero_only_where_equal(seed: int) -> None:
    features = maps(seed)
    rows = features.transpose(0, 1).flatten(1)
    mean, var = rows.mean(1), rows.var(1)
    assert float(statistics_loss(features, mean, var)) == 0
    other = float(statistics_loss(features, mean + 1, var))
    assert other == pytest.approx(2**0.5, rel=1e-12)
    assert float(statistics_loss(features.flip(0, 3), mean + 1, var)) == pytest.approx(other, rel=1e-12)


def test_the_gradient_at_zero_is_zero_and_none_flows_into_the_layer() -> None:
    features = maps(0).requires_grad_()
    rows = features.detach().transpose(0, 1).flatten(1)
    mean = rows.mean(1).requires_grad_()
    torch.autograd.backward(statistics_loss(features, mean, rows.var(1)))
    assert mean.grad is None
    assert float(features.grad.abs().max()) == 0


@pytest.mark.parametrize(
    ("features", "channels"), [(torch.zeros(3, 2, 4), 3), (torch.zeros(3), 3), (torch.zeros(1, 2), 2)]
)
def test_statistics_of_another_shape(features: torch.Tensor, channels: int) -> None:
    with pytest.raises(ShapeError, match="statistics loss"):
        statistics_loss(features, torch.zeros(channels), torch.ones(channels))


def test_total_variation_by_hand() -> None:
    image = torch.tensor([[1.0, 2.0], [4.0, 8.0]], dtype=torch.float64).reshape(1, 1, 2, 2)
    assert float(total_variation(image)) == pytest.approx((3 + 6) / 2 + (1 + 4) / 2, rel=1e-12)


@given(seed=st.integers(0, 1000), factor=st.floats(0.5, 4))
def test_total_variation_scales_and_does_not_see_a_constant(seed: int, factor: float) -> None:
    found = float(total_variation(maps(seed)))
    assert float(total_variation(factor * maps(seed) + 3)) == pytest.approx(factor * found, rel=1e-12)
    assert float(total_variation(torch.full((1, 1, 3, 3), 7.0))) == 0


@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 1, 1, 4)])
def test_total_variation_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="total variation"):
        total_variation(torch.zeros(shape))


def test_squared_norm_by_hand() -> None:
    assert float(squared_norm(torch.tensor([[3.0, 4.0]], dtype=torch.float64))) == pytest.approx(12.5, rel=1e-12)
