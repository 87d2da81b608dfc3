from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.distill.losses.decoupled import decoupled_loss, normalized_loss
from edgedistill.distill.losses.soft_targets import soft_target_loss
from edgedistill.errors import InputError, ShapeError

RTOL = 1e-12
TARGETS = torch.tensor([2, 0, 1, 3, 2])
SEEDS = st.integers(0, 1000)


def logits(seed: int, *, rows: int = 5, classes: int = 4) -> torch.Tensor:
    return 3 * torch.randn(rows, classes, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def dkd(student: torch.Tensor, teacher: torch.Tensor, **options: float) -> torch.Tensor:
    return decoupled_loss(student, teacher, TARGETS, **{"alpha": 1.0, "beta": 8.0, "temperature": 4.0, **options})


def nkd(student: torch.Tensor, teacher: torch.Tensor, **options: float) -> torch.Tensor:
    return normalized_loss(student, teacher, TARGETS, **{"gamma": 1.5, "temperature": 1.0, **options})


# teacher (1/2, 1/4, 1/4), student (1/4, 1/4, 1/2), class 0
TEACHER = torch.tensor([[0.5, 0.25, 0.25]], dtype=torch.float64).log()
STUDENT = torch.tensor([[0.25, 0.25, 0.5]], dtype=torch.float64).log()


def test_dkd_by_hand() -> None:
    of_class = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    of_others = 0.5 * math.log(0.5 / (1 / 3)) + 0.5 * math.log(0.5 / (2 / 3))
    found = decoupled_loss(STUDENT, TEACHER, torch.tensor([0]), alpha=2, beta=3, temperature=1)
    assert float(found) == pytest.approx(2 * of_class + 3 * of_others, rel=RTOL)


def test_nkd_by_hand() -> None:
    of_class = -0.5 * math.log(0.25)
    of_others = -0.5 * math.log(1 / 3) - 0.5 * math.log(2 / 3)
    found = normalized_loss(STUDENT, TEACHER, torch.tensor([0]), gamma=3, temperature=1)
    assert float(found) == pytest.approx(of_class + 3 * of_others, rel=RTOL)


def test_nkd_s_temperature_is_that_of_the_other_classes_alone() -> None:
    student, teacher = logits(0), logits(1)
    of_class = float(nkd(student, teacher, gamma=0.0))
    own = teacher.softmax(1).gather(1, TARGETS[:, None]) * student.log_softmax(1).gather(1, TARGETS[:, None])
    assert of_class == pytest.approx(-float(own.mean()), rel=RTOL)
    hot = float(nkd(student, teacher, gamma=1.0, temperature=3.0)) - of_class
    divided = float(nkd(student / 3, teacher / 3, gamma=1.0)) - float(nkd(student / 3, teacher / 3, gamma=0.0))
    assert hot == pytest.approx(9 * divided, rel=1e-10)


@given(seed=SEEDS, temperature=st.floats(0.5, 20))
def test_dkd_with_the_teacher_s_share_of_the_others_is_the_soft_target_loss(seed: int, temperature: float) -> None:
    # equation 6 of the paper: KD = TCKD + (1 - p_t) NCKD
    student, teacher = logits(seed), logits(seed + 1)
    total = 0.0
    for row in range(len(student)):
        one, other, target = student[row : row + 1], teacher[row : row + 1], TARGETS[row : row + 1]
        share = 1 - float((other / temperature).softmax(1)[0, target])
        total += float(decoupled_loss(one, other, target, alpha=1, beta=share, temperature=temperature))
    wanted = float(soft_target_loss(student, teacher, temperature=temperature))
    assert total / len(student) == pytest.approx(wanted, rel=1e-9)


@given(seed=SEEDS)
def test_dkd_is_zero_where_equal_and_positive_elsewhere(seed: int) -> None:
    student, teacher = logits(seed), logits(seed + 1)
    assert float(dkd(teacher, teacher)) == 0.0
    assert float(dkd(student, teacher)) > 0.0


@given(seed=SEEDS)
def test_nkd_among_the_others_is_least_where_equal(seed: int) -> None:
    student, teacher = logits(seed), logits(seed + 1)
    own = teacher.scatter(1, TARGETS[:, None], student.gather(1, TARGETS[:, None]))  # the others are the teacher's

    def among_others(values: torch.Tensor) -> float:
        return float(nkd(values, teacher, gamma=1.0)) - float(nkd(values, teacher, gamma=0.0))

    assert among_others(own) < among_others(student)


@given(seed=SEEDS, shift=st.floats(-50, 50))
def test_shift_and_order_do_not_matter(seed: int, shift: float) -> None:
    student, teacher = logits(seed), logits(seed + 1)
    for loss in (dkd, nkd):
        wanted = float(loss(student, teacher))
        assert float(loss(student + shift, teacher - shift)) == pytest.approx(wanted, rel=1e-8)
    order = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    found = decoupled_loss(student[order], teacher[order], TARGETS[order], alpha=1, beta=8, temperature=4)
    assert float(found) == pytest.approx(float(dkd(student, teacher)), rel=1e-10)


@pytest.mark.parametrize("loss", [dkd, nkd])
def test_gradient_is_right_and_not_the_teacher_s(loss: object) -> None:
    assert callable(loss)
    student, teacher = logits(4).requires_grad_(), logits(5).requires_grad_()
    assert torch.autograd.gradcheck(lambda values: loss(values, teacher), student)
    torch.autograd.backward(loss(student, teacher))
    assert teacher.grad is None


def test_a_step_against_the_gradient_goes_towards_the_teacher() -> None:
    student, teacher = logits(6).requires_grad_(), logits(7)
    before = dkd(student, teacher)
    torch.autograd.backward(before)
    assert student.grad is not None
    assert float(dkd(student.detach() - 1e-3 * student.grad, teacher)) < float(before.detach())


@pytest.mark.parametrize("size", [1e4, 6e4])
@pytest.mark.parametrize("loss", [dkd, nkd])
def test_finite_at_extreme_logits(loss: object, size: float) -> None:
    assert callable(loss)
    student = (size * torch.sign(logits(8))).float().requires_grad_()
    value = loss(student, (-size * torch.sign(logits(8))).float())
    torch.autograd.backward(value)
    assert torch.isfinite(value)
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


def test_two_classes_have_nothing_among_the_others() -> None:
    student, teacher, targets = logits(0, classes=2), logits(1, classes=2), torch.tensor([0, 1, 1, 0, 0])
    without = decoupled_loss(student, teacher, targets, alpha=1, beta=0, temperature=2)
    assert float(decoupled_loss(student, teacher, targets, alpha=1, beta=8, temperature=2)) == float(without)
    assert float(without) == pytest.approx(float(soft_target_loss(student, teacher, temperature=2)), rel=RTOL)


def test_misfits_are_refused() -> None:
    with pytest.raises(ShapeError, match="at least 2 classes"):
        dkd(logits(0, classes=1), logits(1, classes=1))
    with pytest.raises(ShapeError, match=r"targets: shape \(5,\); wanted \(4,\)"):
        dkd(logits(0, rows=4), logits(1, rows=4))
    with pytest.raises(ShapeError, match=r"\(5, 4\) and \(5, 3\)"):
        nkd(logits(0), logits(1, classes=3))
    with pytest.raises(InputError, match="not positive"):
        dkd(logits(0), logits(1), temperature=0.0)
