from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.distill.losses.hints import hint_loss
from edgedistill.errors import ShapeError


def features(seed: int) -> torch.Tensor:
    return torch.randn(3, 2, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_mean_of_squares_by_hand() -> None:
    student = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
    teacher = torch.tensor([[1.0, 0.0], [0.0, 5.0]], dtype=torch.float64)
    assert float(hint_loss(student, teacher)) == pytest.approx((0 + 4 + 9 + 1) / 4, rel=1e-12)


@given(seed=st.integers(0, 1000))
def test_zero_only_where_equal_and_order_does_not_matter(seed: int) -> None:
    student, teacher = features(seed), features(seed + 1)
    loss = float(hint_loss(student, teacher))
    assert float(hint_loss(teacher, teacher)) == 0.0
    assert loss > 0
    assert float(hint_loss(student.flip(0), teacher.flip(0))) == pytest.approx(loss, rel=1e-12)


def test_gradient_points_to_the_teacher_and_not_into_it() -> None:
    student, teacher = features(0).requires_grad_(), features(1).requires_grad_()
    torch.autograd.backward(hint_loss(student, teacher))
    wanted = 2 * (student - teacher).detach() / student.numel()
    torch.testing.assert_close(student.grad, wanted, rtol=1e-12, atol=0)
    assert teacher.grad is None


def test_nothing_is_broadcast() -> None:
    with pytest.raises(ShapeError, match=r"\(3, 2, 4, 4\) and \(3, 1, 4, 4\)"):
        hint_loss(features(0), features(0)[:, :1])
