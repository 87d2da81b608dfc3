from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from edgedistill.distill.losses.branches import Branch, one_hot_targets, target_enhanced_loss
from edgedistill.errors import InputError, ShapeError


def logits(seed: int) -> torch.Tensor:
    return torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


TARGETS = torch.eye(4, dtype=torch.float64)[[0, 3, 1]]


def test_two_classes_by_hand() -> None:
    student = torch.zeros(1, 2, dtype=torch.float64)
    teacher = torch.tensor([[math.log(3), 0.0]], dtype=torch.float64)
    target = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    wanted = ((1.75**1.5 - 1) + 0.25**1.5) * math.log(2)
    assert float(target_enhanced_loss(student, teacher, target, exponent=1.5)) == pytest.approx(wanted, rel=1e-12)


@given(seed=st.integers(0, 1000))
def test_exponent_one_is_the_cross_entropy_and_more_weighs_the_true_class(seed: int) -> None:
    student, teacher = logits(seed), logits(seed + 1)
    wanted = functional.cross_entropy(student, functional.softmax(teacher, 1))
    torch.testing.assert_close(target_enhanced_loss(student, teacher, TARGETS), wanted, rtol=1e-12, atol=0)
    own = student.clone().requires_grad_()
    (plain,) = torch.autograd.grad(target_enhanced_loss(own, teacher, TARGETS), own)
    (enhanced,) = torch.autograd.grad(target_enhanced_loss(own, teacher, TARGETS, exponent=1.5), own)
    assert bool(((enhanced - plain)[TARGETS.bool()] < 0).all())


def test_gradient_and_misfits() -> None:
    student, teacher = logits(0).requires_grad_(), logits(1).requires_grad_()
    torch.autograd.backward(target_enhanced_loss(student, teacher, TARGETS))
    assert teacher.grad is None
    with pytest.raises(ShapeError):
        target_enhanced_loss(logits(0), logits(0)[:, :2], TARGETS)
    with pytest.raises(InputError, match="exponent"):
        target_enhanced_loss(logits(0), logits(0), TARGETS, exponent=0.5)
    with pytest.raises(ShapeError, match="branch"):
        Branch((1, 2, 3, 4), classes=2)


@pytest.mark.parametrize("shape", [(3, 32, 32), (3, 7, 5), (5, 1, 16), (6, 8), (8,)])
def test_a_branch_leads_any_features_to_logits(shape: tuple[int, ...]) -> None:
    assert Branch(shape, classes=4)(torch.randn(2, *shape)).shape == (2, 4)


def test_targets_are_shares_and_nothing_where_unknown() -> None:
    labels, mixed = torch.tensor([0, 1, -1]), torch.tensor([2, 1, 0])
    found = one_hot_targets(labels, mixed, torch.tensor([0.25, 0.5, 0.0]), classes=3)
    assert found.tolist() == [[0.75, 0, 0.25], [0, 1, 0], [0, 0, 0]]
