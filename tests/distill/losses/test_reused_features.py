from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from edgedistill.distill.losses.reused_features import reused_feature_loss
from edgedistill.errors import ShapeError


def maps(seed: int, side: int, channels: int = 3) -> torch.Tensor:
    return torch.randn(2, channels, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_mean_of_squares_at_the_coarser_resolution() -> None:
    student, teacher = maps(0, 2), maps(1, 4)
    wanted = (student - functional.adaptive_avg_pool2d(teacher, 2)).square().mean()
    torch.testing.assert_close(reused_feature_loss(student, teacher), wanted, rtol=1e-12, atol=0)
    assert float(reused_feature_loss(teacher, teacher)) == 0.0


def test_gradient_and_misfits() -> None:
    student, teacher = maps(0, 2).requires_grad_(), maps(1, 2).requires_grad_()
    torch.autograd.backward(reused_feature_loss(student, teacher))
    assert teacher.grad is None
    with pytest.raises(ShapeError):
        reused_feature_loss(maps(0, 2), maps(1, 2, channels=4))
    with pytest.raises(ShapeError):
        reused_feature_loss(maps(0, 2)[:, :, 0, 0], maps(1, 2)[:, :, 0, 0])
