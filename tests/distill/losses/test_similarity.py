from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.distill.losses.similarity import similarity_preserving_loss
from edgedistill.errors import ShapeError


def features(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_two_samples_by_hand() -> None:
    student = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)  # similarities: the identity
    teacher = torch.tensor([[1.0], [1.0]], dtype=torch.float64)  # all 1, rows scaled to 1 / sqrt(2)
    half = 1 / math.sqrt(2)
    wanted = (2 * (1 - half) ** 2 + 2 * half**2) / 4
    assert float(similarity_preserving_loss(student, teacher)) == pytest.approx(wanted, rel=1e-12)


@given(seed=st.integers(0, 1000), scale=st.floats(0.1, 10))
def test_rotation_and_scale_of_the_features_do_not_matter(seed: int, scale: float) -> None:
    student, teacher = features(seed, 5, 3), features(seed + 1, 5, 2, 2, 2)
    rotation, _ = torch.linalg.qr(features(seed + 2, 3, 3))
    loss = float(similarity_preserving_loss(student, teacher))
    assert loss > 0
    assert float(similarity_preserving_loss(scale * student @ rotation, teacher)) == pytest.approx(loss, rel=1e-9)
    assert float(similarity_preserving_loss(student @ rotation, student)) == pytest.approx(0, abs=1e-20)


def test_gradient_and_misfits() -> None:
    student, teacher = features(0, 4, 3).requires_grad_(), features(1, 4, 6).requires_grad_()
    torch.autograd.backward(similarity_preserving_loss(student, teacher))
    assert teacher.grad is None
    assert torch.autograd.gradcheck(similarity_preserving_loss, (student, teacher.detach()))
    with pytest.raises(ShapeError, match="of one batch"):
        similarity_preserving_loss(features(0, 4, 3), features(0, 5, 3))
