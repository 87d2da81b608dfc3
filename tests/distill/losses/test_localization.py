from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.distill.losses.localization import localization_loss
from edgedistill.distill.losses.soft_targets import soft_target_loss
from edgedistill.errors import InputError, ShapeError


def edges(seed: int, *, boxes: int = 3, positions: int = 6) -> torch.Tensor:
    return 3 * torch.randn(boxes, 4, positions, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_one_edge_by_hand() -> None:
    teacher, student = torch.zeros(1, 4, 2, dtype=torch.float64), torch.zeros(1, 4, 2, dtype=torch.float64)
    teacher[0, 2, 0] = math.log(3.0)  # (3/4, 1/4) against (1/2, 1/2); the other edges are equal
    wanted = (0.75 * math.log(1.5) + 0.25 * math.log(0.5)) / 4
    assert float(localization_loss(student, teacher, temperature=1)) == pytest.approx(wanted, rel=1e-12)


@given(seed=st.integers(0, 1000), temperature=st.floats(0.5, 20))
def test_is_the_soft_target_loss_of_every_edge(seed: int, temperature: float) -> None:
    student, teacher = edges(seed), edges(seed + 1)
    wanted = float(soft_target_loss(student.reshape(12, 6), teacher.reshape(12, 6), temperature=temperature))
    assert float(localization_loss(student, teacher, temperature=temperature)) == pytest.approx(wanted, rel=1e-9)
    assert float(localization_loss(teacher, teacher, temperature=temperature)) == 0.0


def test_weights_are_shares() -> None:
    student, teacher = edges(0), edges(1)
    alone = [float(localization_loss(student[box : box + 1], teacher[box : box + 1])) for box in range(3)]
    found = float(localization_loss(student, teacher, box_weights=torch.tensor([1.0, 0.0, 3.0])))
    assert found == pytest.approx((alone[0] + 3 * alone[2]) / 4, rel=1e-6)
    equal = float(localization_loss(student, teacher, box_weights=torch.full((3,), 0.2)))
    assert equal == pytest.approx(float(localization_loss(student, teacher)), rel=1e-6)


def test_no_box_costs_nothing() -> None:
    student = edges(0).requires_grad_()
    for value in (
        localization_loss(student, edges(1), box_weights=torch.zeros(3)),
        localization_loss(student[:0], edges(1)[:0]),
    ):
        student.grad = None
        torch.autograd.backward(value)
        assert float(value.detach()) == 0.0
        assert student.grad is not None
        assert float(student.grad.abs().max()) == 0.0


def test_gradient_is_right_and_the_student_s_alone() -> None:
    student, teacher = edges(2, boxes=2, positions=3).requires_grad_(), edges(3, boxes=2, positions=3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: localization_loss(x, teacher), student)
    torch.autograd.backward(localization_loss(student, teacher))
    assert teacher.grad is None


def test_finite_at_extreme_logits() -> None:
    student = (1e4 * torch.sign(edges(4))).float().requires_grad_()
    value = localization_loss(student, (-1e4 * torch.sign(edges(4))).float(), temperature=1)
    torch.autograd.backward(value)
    assert torch.isfinite(value)
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


def test_misfits_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"wanted \(boxes, 4, positions\)"):
        localization_loss(edges(0)[:, :3], edges(0)[:, :3])
    with pytest.raises(ShapeError, match="equal shapes"):
        localization_loss(edges(0), edges(0, positions=5))
    with pytest.raises(ShapeError, match=r"box weights: shape \(2,\); wanted \(3,\)"):
        localization_loss(edges(0), edges(1), box_weights=torch.ones(2))
    with pytest.raises(InputError, match="not positive"):
        localization_loss(edges(0), edges(1), temperature=0)
