from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.distill.losses.soft_targets import (
    multi_temperature_loss,
    soft_target_loss,
    standardized,
    transformed_teacher_loss,
)
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


# --- standardized logits


def test_standardized_by_hand() -> None:
    # mean 2, deviation sqrt((1 + 0 + 1) / 2) = 1
    found = standardized(torch.tensor([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]], dtype=torch.float64))
    assert found.flatten().tolist() == pytest.approx([-1, 0, 1, 0, 0, 0], abs=1e-6)


@given(seed=st.integers(0, 1000), shift=st.floats(-50, 50), scale=st.floats(0.1, 10))
def test_standardized_logits_know_no_shift_and_no_scale(seed: int, shift: float, scale: float) -> None:
    student, teacher = logits(seed), logits(seed + 1)
    wanted = float(soft_target_loss(standardized(student), standardized(teacher), temperature=2))
    moved = standardized(scale * student + shift)
    assert float(soft_target_loss(moved, standardized(teacher), temperature=2)) == pytest.approx(wanted, rel=1e-4)
    own = standardized(scale * teacher + shift)
    assert float(soft_target_loss(own, standardized(teacher), temperature=2)) == pytest.approx(0, abs=1e-9)


def test_standardized_gradient_is_right_and_finite_for_constant_logits() -> None:
    teacher = standardized(logits(1))
    student = logits(0).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: soft_target_loss(standardized(x), teacher, temperature=2), student)
    constant = torch.full((5, 4), 3.0, dtype=torch.float64, requires_grad=True)
    torch.autograd.backward(soft_target_loss(standardized(constant), teacher, temperature=2))
    assert constant.grad is not None
    assert torch.isfinite(constant.grad).all()
    with pytest.raises(ShapeError, match="logits"):
        standardized(logits(0)[0])


# --- several temperatures


def test_several_temperatures_are_the_mean_of_each() -> None:
    student, teacher = logits(0), logits(1)
    each = [float(soft_target_loss(student, teacher, temperature=t)) for t in (2.0, 5.0, 11.0)]
    found = float(multi_temperature_loss(student, teacher, temperatures=(2.0, 5.0, 11.0)))
    assert found == pytest.approx(sum(each) / 3, rel=RTOL)
    one = float(multi_temperature_loss(student, teacher, temperatures=(5.0,)))
    assert one == pytest.approx(each[1], rel=RTOL)
    assert float(multi_temperature_loss(teacher, teacher, temperatures=(2.0, 5.0))) == 0.0


def test_several_temperatures_are_at_least_one_and_positive() -> None:
    with pytest.raises(InputError, match="temperatures: none; wanted at least one"):
        multi_temperature_loss(logits(0), logits(1), temperatures=())
    with pytest.raises(InputError, match="not positive"):
        multi_temperature_loss(logits(0), logits(1), temperatures=(4.0, 0.0))


# --- the transformed teacher


def test_transformed_teacher_by_hand() -> None:
    # teacher (4/5, 1/5) to the power 1/2: (2, 1) / sqrt(5), normalised (2/3, 1/3); student (1/2, 1/2)
    teacher = torch.tensor([[math.log(4.0), 0.0]], dtype=torch.float64)
    student = torch.zeros(1, 2, dtype=torch.float64)
    wanted = 3 / math.sqrt(5) * (2 / 3 * math.log(4 / 3) + 1 / 3 * math.log(2 / 3))
    assert float(transformed_teacher_loss(student, teacher, power=0.5)) == pytest.approx(wanted, rel=RTOL)


@given(seed=st.integers(0, 1000), power=st.floats(0.05, 1))
def test_transformed_teacher_is_zero_where_the_student_has_its_distribution(seed: int, power: float) -> None:
    student, teacher = logits(seed), logits(seed + 1)
    assert float(transformed_teacher_loss(power * teacher, teacher, power=power)) == pytest.approx(0, abs=1e-12)
    assert float(transformed_teacher_loss(student, teacher, power=power)) > 0
    shifted = float(transformed_teacher_loss(student - 3, teacher + 9, power=power))
    assert shifted == pytest.approx(float(transformed_teacher_loss(student, teacher, power=power)), rel=1e-9)


def test_transformed_teacher_with_power_1_is_the_soft_target_loss() -> None:
    student, teacher = logits(0), logits(1)
    wanted = float(soft_target_loss(student, teacher, temperature=1))
    assert float(transformed_teacher_loss(student, teacher, power=1)) == pytest.approx(wanted, rel=1e-10)


def test_transformed_teacher_weighs_unsure_samples_more() -> None:
    # between 1, of a teacher that is sure, and classes^(1 - power), of one that knows nothing
    sure, unsure = torch.tensor([[60.0, 0.0, 0.0, 0.0]]), torch.zeros(1, 4)
    student, power = torch.tensor([[0.0, 1.0, 2.0, 3.0]]), 0.25

    def divergence(teacher: torch.Tensor) -> float:
        return float(soft_target_loss(student, power * teacher, temperature=1))

    assert float(transformed_teacher_loss(student, sure, power=power)) == pytest.approx(divergence(sure), rel=1e-4)
    found = float(transformed_teacher_loss(student, unsure, power=power))
    assert found == pytest.approx(4**0.75 * divergence(unsure), rel=1e-5)


def test_transformed_teacher_s_gradient_and_arguments() -> None:
    student, teacher = logits(4).requires_grad_(), logits(5).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: transformed_teacher_loss(x, teacher, power=0.2), student)
    torch.autograd.backward(transformed_teacher_loss(student, teacher, power=0.2))
    assert teacher.grad is None
    with pytest.raises(InputError, match="power 0: not positive"):
        transformed_teacher_loss(logits(0), logits(1), power=0)
    with pytest.raises(ShapeError, match=r"\(5, 4\) and \(5, 3\)"):
        transformed_teacher_loss(logits(0), logits(0, classes=3), power=0.5)


@pytest.mark.parametrize("size", [1e4, 6e4])
def test_all_are_finite_at_extreme_logits(size: float) -> None:
    teacher = (size * torch.sign(logits(7))).float()
    for loss in (
        lambda x: soft_target_loss(x, teacher, temperature=1),
        lambda x: soft_target_loss(standardized(x), standardized(teacher), temperature=2),
        lambda x: multi_temperature_loss(x, teacher, temperatures=(1.0, 4.0)),
        lambda x: transformed_teacher_loss(x, teacher, power=0.1),
    ):
        student = (-teacher).requires_grad_()
        value = loss(student)
        torch.autograd.backward(value)
        assert torch.isfinite(value)
        assert student.grad is not None
        assert torch.isfinite(student.grad).all()
