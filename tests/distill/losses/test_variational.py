from __future__ import annotations

import math

import pytest
import torch

from edgedistill.distill.losses.variational import GaussianPrediction, variational_loss
from edgedistill.errors import ShapeError


def maps(seed: int, channels: int = 3) -> torch.Tensor:
    return torch.randn(2, channels, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_surprise_by_hand() -> None:
    predicted = torch.tensor([[[[1.0]], [[2.0]]]], dtype=torch.float64)
    teacher = torch.tensor([[[[3.0]], [[2.0]]]], dtype=torch.float64)
    variance = torch.tensor([2.0, 0.5], dtype=torch.float64)
    wanted = ((math.log(2) + 4 / 2) / 2 + math.log(0.5) / 2) / 2
    assert float(variational_loss(predicted, teacher, variance)) == pytest.approx(wanted, rel=1e-12)


def test_it_is_the_gaussian_likelihood_and_least_at_the_true_variance() -> None:
    predicted, teacher = maps(0), maps(1)
    variance = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    spread = variance.sqrt()[:, None, None].expand(3, 2, 2)
    likelihood = torch.distributions.Normal(predicted, spread).log_prob(teacher) + math.log(2 * math.pi) / 2
    assert float(variational_loss(predicted, teacher, variance)) == pytest.approx(-float(likelihood.mean()), rel=1e-12)
    best = (predicted - teacher).square().mean((0, 2, 3)).requires_grad_()
    (gradient,) = torch.autograd.grad(variational_loss(predicted, teacher, best), best)
    assert float(gradient.abs().max()) < 1e-12


def test_gradient_and_misfits() -> None:
    student, teacher, variance = maps(0).requires_grad_(), maps(1).requires_grad_(), torch.ones(3).double()
    torch.autograd.backward(variational_loss(student, teacher, variance))
    assert teacher.grad is None
    assert torch.autograd.gradcheck(variational_loss, (student, teacher.detach(), variance.requires_grad_()))
    with pytest.raises(ShapeError):
        variational_loss(maps(0), maps(0, 2), variance)
    with pytest.raises(ShapeError, match="variance"):
        variational_loss(maps(0), maps(0), variance[:2])


@pytest.mark.parametrize(("student", "teacher"), [((4, 3, 3), (6, 3, 3)), ((4,), (6,))])
def test_prediction_has_the_teachers_shape_and_starts_at_variance_five(
    student: tuple[int, ...], teacher: tuple[int, ...]
) -> None:
    prediction = GaussianPrediction(student, teacher)
    predicted, variance = prediction(torch.zeros(2, *student))
    assert predicted.shape == (2, *teacher)
    torch.testing.assert_close(variance, torch.full((6,), 5.0))
