from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.distill.losses.soft_targets import soft_target_loss
from edgedistill.errors import InputError, ShapeError

RTOL = 1e-12


def logits(seed: int, *, rows: int = 5, classes: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(rows, classes, dtype=torch.float64, generator=generator)


def test_two_classes_by_hand() -> None:
    # teacher (3/4, 1/4), student (1/2, 1/2) at temperature 1
    teacher = torch.tensor([[math.log(3.0), 0.0]], dtype=torch.float64)
    student = torch.zeros(1, 2, dtype=torch.float64)
    wanted = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert float(soft_target_loss(student, teacher, temperature=1)) == pytest.approx(wanted, rel=RTOL)


def test_temperature_divides_logits_and_multiplies_by_its_square() -> None:
    student, teacher = logits(0), logits(1)
    wanted = 16 * float(soft_target_loss(student / 4, teacher / 4, temperature=1))
    assert float(soft_target_loss(student, teacher, temperature=4)) == pytest.approx(wanted, rel=RTOL)


def test_mean_over_the_batch_of_sums_over_classes() -> None:
    student, teacher = logits(2), logits(3)
    total = 0.0
    for s, t in zip(student.tolist(), teacher.tolist(), strict=True):
        q = [math.exp(v / 2) / sum(math.exp(w / 2) for w in s) for v in s]
        p = [math.exp(v / 2) / sum(math.exp(w / 2) for w in t) for v in t]
        total += 4 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    found = float(soft_target_loss(student, teacher, temperature=2))
    assert found == pytest.approx(total / 5, rel=RTOL)


@given(seed=st.integers(0, 1000), temperature=st.floats(0.5, 20))
def test_zero_where_equal_and_positive_elsewhere(seed: int, temperature: float) -> None:
    student, teacher = logits(seed), logits(seed + 1)
    assert float(soft_target_loss(teacher, teacher, temperature=temperature)) == 0.0
    assert float(soft_target_loss(student, teacher, temperature=temperature)) > 0.0


@given(seed=st.integers(0, 1000))
def test_order_of_samples_and_shift_of_logits_do_not_matter(seed: int) -> None:
    student, teacher = logits(seed), logits(seed + 1)
    wanted = float(soft_target_loss(student, teacher, temperature=3))
    order = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    assert float(soft_target_loss(student[order], teacher[order], temperature=3)) == pytest.approx(wanted, rel=1e-9)
    assert float(soft_target_loss(student + 7, teacher - 5, temperature=3)) == pytest.approx(wanted, rel=1e-9)


def test_gradient_is_temperature_times_difference_of_distributions() -> None:
    student, teacher = logits(4).requires_grad_(), logits(5).requires_grad_()
    torch.autograd.backward(soft_target_loss(student, teacher, temperature=4))
    wanted = 4 * (torch.softmax(student.detach() / 4, 1) - torch.softmax(teacher.detach() / 4, 1)) / 5
    torch.testing.assert_close(student.grad, wanted, rtol=RTOL, atol=1e-15)
    assert teacher.grad is None


def test_shapes_and_temperature_are_checked() -> None:
    with pytest.raises(ShapeError, match=r"\(5, 4\) and \(5, 3\)"):
        soft_target_loss(logits(0), logits(0, classes=3), temperature=1)
    with pytest.raises(ShapeError, match=r"wanted \(batch, classes\)"):
        soft_target_loss(logits(0)[0], logits(0)[0], temperature=1)
    with pytest.raises(InputError, match="not positive"):
        soft_target_loss(logits(0), logits(1), temperature=0)
