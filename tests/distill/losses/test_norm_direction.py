from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.distill.losses.norm_direction import norm_direction_loss
from edgedistill.errors import ShapeError

TARGETS = torch.tensor([1, 0, 2, 1])


def embeddings(seed: int, *, rows: int = 4, width: int = 5) -> torch.Tensor:
    return torch.randn(rows, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


MEANS = embeddings(99, rows=3)


def test_by_hand() -> None:
    means = torch.tensor([[0.0, 7.0], [3.0, 4.0]], dtype=torch.float64)
    student = torch.tensor([[3.0, 4.0], [0.0, 2.0], [6.0, 8.0]], dtype=torch.float64)
    teacher = torch.tensor([[0.0, 1.0], [8.0, 0.0], [3.0, 0.0]], dtype=torch.float64)
    # across: 3/5 of its length is lost; half as long as it might be, 2 of 8; longer than the teacher, and right
    wanted = ((1 - 4 / 5) + (1 - 2 / 8) + 0) / 3
    found = norm_direction_loss(student, teacher, means, torch.tensor([0, 0, 1]))
    assert float(found) == pytest.approx(wanted, rel=1e-12)


@given(seed=st.integers(0, 1000), scale=st.floats(0.01, 100))
def test_range_and_what_does_not_matter(seed: int, scale: float) -> None:
    student, teacher = embeddings(seed), embeddings(seed + 1)
    loss = float(norm_direction_loss(student, teacher, MEANS, TARGETS))
    assert 0 < loss < 2
    # the size of a class's mean, and a common scale of all embeddings
    assert float(norm_direction_loss(student, teacher, scale * MEANS, TARGETS)) == pytest.approx(loss, rel=1e-9)
    both = norm_direction_loss(scale * student, scale * teacher, MEANS, TARGETS)
    assert float(both) == pytest.approx(loss, rel=1e-9)
    order = torch.randperm(4, generator=torch.Generator().manual_seed(seed))
    found = norm_direction_loss(student[order], teacher[order], MEANS, TARGETS[order])
    assert float(found) == pytest.approx(loss, rel=1e-12)


def test_zero_where_direction_is_right_and_length_enough() -> None:
    right = torch.nn.functional.normalize(MEANS[TARGETS], dim=1)
    teacher = embeddings(0)
    long = right * teacher.norm(dim=1, keepdim=True)
    assert float(norm_direction_loss(1.5 * long, teacher, MEANS, TARGETS)) == pytest.approx(0, abs=1e-12)
    assert float(norm_direction_loss(long / 2, teacher, MEANS, TARGETS)) == pytest.approx(0.5, rel=1e-9)


def test_a_short_student_grows_and_a_long_one_only_turns() -> None:
    teacher = embeddings(1)
    for factor, grows in ((0.1, True), (10.0, False)):
        student = (factor * (teacher + 0.3 * embeddings(2))).requires_grad_()
        means = student.detach()[:3] + 0.1 * embeddings(3, rows=3)
        torch.autograd.backward(norm_direction_loss(student, teacher, means, torch.tensor([0, 1, 2, 0])))
        assert student.grad is not None
        along = -(student.grad * student.detach()).sum(1)[:3]  # towards longer, where the step goes
        assert bool((along > 1e-6).all()) is grows


def test_gradient_is_right_and_the_student_s_alone() -> None:
    student, teacher, means = embeddings(4).requires_grad_(), embeddings(5).requires_grad_(), MEANS.clone()
    means.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: norm_direction_loss(x, teacher, means, TARGETS), student)
    torch.autograd.backward(norm_direction_loss(student, teacher, means, TARGETS))
    assert teacher.grad is None
    assert means.grad is None


def test_nothing_and_no_mean_are_finite() -> None:
    student = torch.zeros(4, 5, requires_grad=True)
    value = norm_direction_loss(student, torch.zeros(4, 5), torch.zeros(3, 5), TARGETS)
    torch.autograd.backward(value)
    assert float(value.detach()) == 1.0
    assert student.grad is not None
    assert math.isfinite(float(student.grad.norm()))


def test_misfits_are_refused() -> None:
    with pytest.raises(ShapeError, match="student embeddings"):
        norm_direction_loss(embeddings(0)[0], embeddings(0)[0], MEANS, TARGETS)
    with pytest.raises(ShapeError, match=r"\(4, 5\) and \(4, 6\)"):
        norm_direction_loss(embeddings(0), embeddings(0, width=6), MEANS, TARGETS)
    with pytest.raises(ShapeError, match=r"class means: shape \(3, 4\); wanted \(classes, 5\)"):
        norm_direction_loss(embeddings(0), embeddings(1), MEANS[:, :4], TARGETS)
    with pytest.raises(ShapeError, match=r"targets: shape \(2,\); wanted \(4,\)"):
        norm_direction_loss(embeddings(0), embeddings(1), MEANS, TARGETS[:2])
