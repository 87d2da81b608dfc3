from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.distill.losses.encoders import (
    attention_loss,
    attention_scores,
    hidden_state_loss,
    relation_heads,
    relation_loss,
)
from edgedistill.errors import ShapeError

MASK = torch.tensor([[True, True, True, False], [True, True, False, False]])


def states(seed: int, width: int = 4) -> torch.Tensor:
    return torch.randn(2, 4, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_relations_of_two_tokens_by_hand() -> None:
    # the student's tokens relate evenly; the teacher's first one to itself with odds 3, the second evenly
    student = torch.zeros(1, 2, 1, dtype=torch.float64)
    teacher = torch.tensor([[[math.sqrt(math.log(3))], [0.0]]], dtype=torch.float64)
    first = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    loss = relation_loss(student, teacher, torch.ones(1, 2, dtype=torch.bool), heads=1)
    assert float(loss) == pytest.approx(first / 2, rel=1e-12)


@given(seed=st.integers(0, 500), heads=st.sampled_from([1, 2, 4]))
def test_padding_and_unlike_widths_do_not_matter(seed: int, heads: int) -> None:
    student, teacher = states(seed), states(seed + 1, 8)
    loss = float(relation_loss(student, teacher, MASK, heads=heads))
    assert loss > 0
    noise = torch.where(MASK[:, :, None], student, states(seed + 2))
    assert float(relation_loss(noise, teacher, MASK, heads=heads)) == pytest.approx(loss, rel=1e-12)
    assert float(relation_loss(teacher, teacher, MASK, heads=heads)) == pytest.approx(0, abs=1e-15)
    rotation, _ = torch.linalg.qr(torch.randn(4 // heads, 4 // heads, dtype=torch.float64))
    turned = (student.unflatten(2, (heads, -1)) @ rotation).flatten(2)
    assert float(relation_loss(turned, teacher, MASK, heads=heads)) == pytest.approx(loss, rel=1e-9)


def test_relation_heads_divide_both_widths_and_leave_eight_numbers() -> None:
    assert relation_heads(384, 768) == 48
    assert relation_heads(64, 384) == 8
    assert relation_heads(64, 100) == 4
    assert relation_heads(4, 4) == 1


def test_attention_scores_equal_torchs_attention() -> None:
    queries, keys, values = states(0), states(1), states(2)
    split = [part.unflatten(2, (2, 2)).transpose(1, 2) for part in (queries, keys, values)]
    wanted = torch.nn.functional.scaled_dot_product_attention(*split)
    found = torch.softmax(attention_scores(queries, keys, heads=2), 3) @ split[2]
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-14)


def test_attention_loss_counts_pairs_of_tokens_only() -> None:
    student, teacher = (torch.randn(2, 2, 4, 4, dtype=torch.float64) for _ in range(2))
    wanted = torch.cat(
        [(student - teacher)[0, :, :3, :3].reshape(2, -1), (student - teacher)[1, :, :2, :2].reshape(2, -1)], 1
    )
    found = attention_loss(student, teacher, MASK)
    torch.testing.assert_close(found, wanted.square().mean(), rtol=1e-12, atol=0)
    mean = attention_loss(student, teacher[:, :1], MASK)
    torch.testing.assert_close(mean, attention_loss(student.mean(1, keepdim=True), teacher[:, :1], MASK))


def test_hidden_states_by_hand_and_padding_left_out() -> None:
    student, teacher = states(0), states(1)
    known = torch.cat([(student - teacher)[0, :3], (student - teacher)[1, :2]])
    torch.testing.assert_close(hidden_state_loss(student, teacher, MASK), known.square().mean(), rtol=1e-12, atol=0)
    assert float(hidden_state_loss(teacher, teacher, MASK)) == 0.0


def test_gradients_and_misfits() -> None:
    student, teacher = states(0).requires_grad_(), states(1).requires_grad_()
    losses = (
        relation_loss(student, teacher, MASK, heads=2),
        hidden_state_loss(student, teacher, MASK),
        attention_loss(attention_scores(student, student, heads=2), attention_scores(teacher, teacher, heads=2), MASK),
    )
    for loss in losses:
        torch.autograd.backward(loss)
    assert teacher.grad is None
    fixed = teacher.detach()
    assert torch.autograd.gradcheck(lambda own: relation_loss(own, fixed, MASK, heads=2), (states(2).requires_grad_(),))
    with pytest.raises(ShapeError, match="divides the width"):
        relation_loss(states(0), states(1), MASK, heads=3)
    with pytest.raises(ShapeError, match="same tokens"):
        relation_loss(states(0), states(1)[:, :3], MASK, heads=2)
    with pytest.raises(ShapeError):
        hidden_state_loss(states(0), states(1, 8), MASK)
    with pytest.raises(ShapeError):
        attention_scores(states(0), states(1, 8), heads=2)
