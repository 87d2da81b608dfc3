from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.distill.losses.relational import angle_cosines, angle_loss, distance_loss, scaled_distances
from edgedistill.errors import ShapeError


def features(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


TRIANGLE = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]], dtype=torch.float64)  # sides 3, 4, 5


def test_distances_of_a_triangle() -> None:
    wanted = torch.tensor([[0.0, 3, 4], [3, 0, 5], [4, 5, 0]], dtype=torch.float64) / 4
    torch.testing.assert_close(scaled_distances(TRIANGLE), wanted, rtol=1e-12, atol=0)
    line = torch.tensor([[0.0], [1.0], [2.0]], dtype=torch.float64)  # 1, 2, 1: mean 4 / 3
    differences = [3 / 4 - 3 / 4, 1 - 6 / 4, 5 / 4 - 3 / 4]  # all within the quadratic part of the Huber loss
    expected = 2 * sum(difference**2 / 2 for difference in differences) / 9
    assert float(distance_loss(line, TRIANGLE)) == pytest.approx(expected, rel=1e-12)


def test_angles_of_a_triangle() -> None:
    cosines = angle_cosines(TRIANGLE)
    assert float(cosines[0, 1, 2]) == pytest.approx(0, abs=1e-12)  # the right angle is at the first
    assert float(cosines[1, 0, 2]) == pytest.approx(3 / 5, rel=1e-12)
    assert float(cosines[2, 0, 1]) == pytest.approx(4 / 5, rel=1e-12)
    equilateral = torch.tensor([[0.0, 0.0], [2.0, 0.0], [1.0, math.sqrt(3)]], dtype=torch.float64)
    differences = [0.5, 0.1, 0.3]
    wanted = 2 * sum(difference**2 / 2 for difference in differences) / 27
    assert float(angle_loss(equilateral, TRIANGLE)) == pytest.approx(wanted, rel=1e-12)


@given(seed=st.integers(0, 1000), scale=st.floats(0.1, 10))
def test_moving_turning_and_scaling_all_samples_does_not_matter(seed: int, scale: float) -> None:
    student, teacher = features(seed, 4, 3), features(seed + 1, 4, 5)
    rotation, _ = torch.linalg.qr(features(seed + 2, 3, 3))
    moved = scale * student @ rotation + features(seed + 3, 3)
    for loss in (distance_loss, angle_loss):
        assert float(loss(moved, teacher)) == pytest.approx(float(loss(student, teacher)), rel=1e-6)
        assert float(loss(moved, student)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("loss", [distance_loss, angle_loss])
def test_gradient_and_misfits(loss: object) -> None:
    student, teacher = features(0, 4, 3).requires_grad_(), features(1, 4, 6).requires_grad_()
    torch.autograd.backward(loss(student, teacher))
    assert teacher.grad is None
    assert torch.autograd.gradcheck(loss, (student, teacher.detach()))
    with pytest.raises(ShapeError, match="of one batch"):
        loss(features(0, 4, 3), features(0, 5, 3))


def test_equal_samples_have_a_finite_gradient() -> None:
    student = torch.ones(3, 2, dtype=torch.float64, requires_grad=True)
    torch.autograd.backward(distance_loss(student, TRIANGLE) + angle_loss(student, TRIANGLE))
    assert student.grad is not None
    assert bool(student.grad.isfinite().all())
