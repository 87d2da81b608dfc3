from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.distill.losses.attention_transfer import attention_map, attention_transfer_loss
from edgedistill.errors import ShapeError


def maps(seed: int, channels: int = 2, side: int = 4) -> torch.Tensor:
    return torch.randn(3, channels, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_two_positions_by_hand() -> None:
    # one channel: squares 9 and 16 of length 25·..., against all attention on the first
    student = torch.tensor([[[[3.0, 4.0]]]], dtype=torch.float64)
    teacher = torch.tensor([[[[2.0, 0.0]], [[1.0, 0.0]]]], dtype=torch.float64)
    length = (9**2 + 16**2) ** 0.5
    wanted = ((9 / length - 1) ** 2 + (16 / length) ** 2) / 2
    assert float(attention_transfer_loss(student, teacher)) == pytest.approx(wanted, rel=1e-12)


@given(seed=st.integers(0, 1000), scale=st.floats(0.1, 10))
def test_scale_sign_and_channel_order_do_not_matter(seed: int, scale: float) -> None:
    student, teacher = maps(seed), maps(seed + 1, 5)
    loss = float(attention_transfer_loss(student, teacher))
    assert loss > 0
    assert float(attention_transfer_loss(-scale * student.flip(1), teacher)) == pytest.approx(loss, rel=1e-9)
    assert float(attention_transfer_loss(scale * teacher, teacher)) == pytest.approx(0, abs=1e-20)


def test_the_finer_map_is_averaged_first_and_tokens_count_as_positions() -> None:
    coarse = torch.nn.functional.adaptive_avg_pool2d(maps(1, side=8), 4)
    assert torch.equal(attention_transfer_loss(maps(0), maps(1, side=8)), attention_transfer_loss(maps(0), coarse))
    assert torch.equal(attention_transfer_loss(maps(1, side=8), maps(0)), attention_transfer_loss(coarse, maps(0)))
    tokens = maps(0).flatten(2).transpose(1, 2)
    torch.testing.assert_close(attention_map(tokens), attention_map(maps(0)), rtol=1e-12, atol=0)


def test_no_gradient_into_the_teacher_and_misfits_are_refused() -> None:
    student, teacher = maps(0).requires_grad_(), maps(1).requires_grad_()
    torch.autograd.backward(attention_transfer_loss(student, teacher))
    assert teacher.grad is None
    assert torch.autograd.gradcheck(attention_transfer_loss, (maps(2, side=2).requires_grad_(), maps(3, side=2)))
    for other in (maps(0).flatten(2), maps(0)[:2]):
        with pytest.raises(ShapeError):
            attention_transfer_loss(maps(0), other)
