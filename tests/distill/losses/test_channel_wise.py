from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.distill.losses.channel_wise import channel_wise_loss
from edgedistill.errors import InputError, ShapeError


def maps(seed: int) -> torch.Tensor:
    return torch.randn(2, 3, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_two_positions_by_hand() -> None:
    # at temperature 2 the student is even and the teacher has shares 1 / 4 and 3 / 4
    student = torch.zeros(1, 1, 1, 2, dtype=torch.float64)
    teacher = torch.tensor([[[[0.0, 2 * math.log(3)]]]], dtype=torch.float64)
    wanted = 4 * (math.log(0.25 / 0.5) / 4 + 3 * math.log(0.75 / 0.5) / 4)
    assert float(channel_wise_loss(student, teacher, temperature=2)) == pytest.approx(wanted, rel=1e-12)


@given(seed=st.integers(0, 1000), shift=st.floats(-5, 5), temperature=st.floats(0.5, 8))
def test_a_channel_may_be_shifted_and_all_channels_count_the_same(seed: int, shift: float, temperature: float) -> None:
    student, teacher = maps(seed), maps(seed + 1)
    loss = float(channel_wise_loss(student, teacher, temperature=temperature))
    assert loss > 0
    shifted = channel_wise_loss(student + shift * torch.arange(3.0)[:, None, None], teacher, temperature=temperature)
    assert float(shifted) == pytest.approx(loss, rel=1e-9)
    assert float(channel_wise_loss(teacher + shift, teacher)) == pytest.approx(0, abs=1e-12)
    each = [channel_wise_loss(student[:, [c]], teacher[:, [c]], temperature=temperature) for c in range(3)]
    assert float(sum(each)) / 3 == pytest.approx(loss, rel=1e-9)


def test_gradient_and_misfits() -> None:
    student, teacher = maps(0).requires_grad_(), maps(1).requires_grad_()
    torch.autograd.backward(channel_wise_loss(student, teacher))
    assert teacher.grad is None
    assert torch.autograd.gradcheck(channel_wise_loss, (student, teacher.detach()))
    with pytest.raises(ShapeError):
        channel_wise_loss(maps(0), maps(0)[:, :2])
    with pytest.raises(ShapeError, match="positions"):
        channel_wise_loss(maps(0)[..., 0, 0], maps(0)[..., 0, 0])
    with pytest.raises(InputError, match="temperature 0"):
        channel_wise_loss(maps(0), maps(0), temperature=0)
