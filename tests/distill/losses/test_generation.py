from __future__ import annotations

import pytest
import torch
from torch import nn

from edgedistill.distill.losses.generation import MaskedGeneration, generation_loss
from edgedistill.errors import ShapeError


def test_a_sum_over_elements_and_a_mean_over_samples() -> None:
    generated = torch.tensor([[[[1.0, 2.0]]], [[[0.0, 5.0]]]], dtype=torch.float64)
    teacher = torch.zeros(2, 1, 1, 2, dtype=torch.float64, requires_grad=True)
    loss = generation_loss(generated.requires_grad_(), teacher)
    assert float(loss.detach()) == pytest.approx((1 + 4 + 25) / 2, rel=1e-12)
    torch.autograd.backward(loss)
    assert teacher.grad is None
    with pytest.raises(ShapeError):
        generation_loss(generated, teacher[:, :, :, :1])


class Seen(nn.Module):
    """Keeps what it is given."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        self.features = features
        return features


def test_whole_positions_are_masked_at_the_given_rate_and_anew_each_time() -> None:
    module = MaskedGeneration(nn.Identity(), (4, 16, 16), masked=0.25)
    module.generation = Seen()
    torch.manual_seed(0)
    module(torch.ones(20, 4, 16, 16))
    first = module.generation.features
    assert bool((first == first[:, :1]).all())
    assert float((first == 0).float().mean()) == pytest.approx(0.25, abs=0.03)
    module(torch.ones(20, 4, 16, 16))
    assert not torch.equal(first, module.generation.features)
    torch.manual_seed(0)
    module(torch.ones(20, 4, 16, 16))
    assert torch.equal(first, module.generation.features)


def test_it_aligns_first() -> None:
    module = MaskedGeneration(nn.Conv2d(2, 4, 1), (4, 3, 3))
    assert module(torch.ones(2, 2, 3, 3)).shape == (2, 4, 3, 3)
