from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.distill.losses.correlation import correlation_loss, correlations
from edgedistill.errors import InputError, ShapeError

SEEDS = st.integers(0, 1000)


def logits(seed: int, *, rows: int = 6, classes: int = 4) -> torch.Tensor:
    return 2 * torch.randn(rows, classes, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def dist(student: torch.Tensor, teacher: torch.Tensor, **options: float) -> torch.Tensor:
    return correlation_loss(student, teacher, **{"beta": 1.0, "gamma": 1.0, "temperature": 1.0, **options})


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_equals_numpy_s_correlation(temperature: float) -> None:
    student, teacher = logits(0), logits(1)
    p, q = ((values / temperature).softmax(1).numpy() for values in (student, teacher))
    rows = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(p, q, strict=True)])
    columns = np.mean([1 - np.corrcoef(a, b)[0, 1] for a, b in zip(p.T, q.T, strict=True)])
    found = float(dist(student, teacher, beta=2.0, gamma=3.0, temperature=temperature))
    assert found == pytest.approx(temperature**2 * (2 * rows + 3 * columns), rel=1e-5)


def test_correlations_by_hand() -> None:
    first = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 0.0, 0.0]], dtype=torch.float64)
    second = torch.tensor([[2.0, 4.0, 6.0], [3.0, 2.0, 1.0], [5.0, 5.0, 5.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
    assert correlations(first, second).tolist() == pytest.approx([1.0, -1.0, 0.0, -0.5], abs=1e-7)


@given(seed=SEEDS)
def test_nearly_zero_where_equal_and_within_its_range(seed: int) -> None:
    student, teacher = logits(seed), logits(seed + 1)
    assert float(dist(teacher, teacher)) == pytest.approx(0, abs=1e-5)
    assert 0 < float(dist(student, teacher)) < 4


@given(seed=SEEDS, shift=st.floats(-50, 50))
def test_shift_and_order_of_samples_and_classes_do_not_matter(seed: int, shift: float) -> None:
    student, teacher = logits(seed), logits(seed + 1)
    wanted = float(dist(student, teacher))
    assert float(dist(student + shift, teacher - shift)) == pytest.approx(wanted, rel=1e-6)
    rows = torch.randperm(6, generator=torch.Generator().manual_seed(seed))
    classes = torch.randperm(4, generator=torch.Generator().manual_seed(seed))
    assert float(dist(student[rows][:, classes], teacher[rows][:, classes])) == pytest.approx(wanted, rel=1e-9)


def test_a_linear_map_of_the_probabilities_changes_nothing() -> None:
    # equation 5 of the paper: a student that is half the teacher and half uniform is as good as the teacher
    teacher = logits(2)
    softened = (0.5 * teacher.softmax(1) + 0.5 / 4).log()
    assert float(dist(softened, teacher)) == pytest.approx(0, abs=1e-5)


def test_gradient_is_right_and_not_the_teacher_s() -> None:
    student, teacher = logits(4).requires_grad_(), logits(5).requires_grad_()
    assert torch.autograd.gradcheck(lambda values: dist(values, teacher), student)
    torch.autograd.backward(dist(student, teacher))
    assert teacher.grad is None


def test_finite_where_nothing_varies() -> None:
    for student, teacher in (
        (torch.zeros(6, 4), logits(1).float()),
        (1e4 * logits(2).sign().float(), torch.ones(6, 4)),
    ):
        student.requires_grad_()
        value = dist(student, teacher)
        torch.autograd.backward(value)
        assert math.isfinite(float(value.detach()))
        assert student.grad is not None
        assert torch.isfinite(student.grad).all()


def test_misfits_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"\(6, 4\) and \(6, 3\)"):
        dist(logits(0), logits(1, classes=3))
    with pytest.raises(InputError, match="not positive"):
        dist(logits(0), logits(1), temperature=0.0)
