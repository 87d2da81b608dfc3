from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from edgedistill.distill.losses.review import AttentionFusion, Review, hierarchical_context_loss, review_loss
from edgedistill.errors import ShapeError


def maps(seed: int, channels: int = 2, side: int = 4) -> torch.Tensor:
    return torch.randn(3, channels, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_a_constant_difference_counts_the_same_at_every_level() -> None:
    features = maps(0, side=8)
    assert float(hierarchical_context_loss(features + 3, features)) == pytest.approx(9, rel=1e-12)


def test_levels_below_the_height_by_hand() -> None:
    # at height 2 only the level 1x1 is added: half as heavy, and blind to what averages out
    student = torch.tensor([[[[1.0, -1.0], [1.0, -1.0]]]], dtype=torch.float64)
    teacher = torch.zeros_like(student)
    assert float(hierarchical_context_loss(student, teacher)) == pytest.approx(1 / 1.5, rel=1e-12)
    student, teacher = maps(0, side=4), maps(1, side=4)
    parts = [functional.mse_loss(student, teacher)]
    parts += [
        functional.mse_loss(functional.adaptive_avg_pool2d(student, n), functional.adaptive_avg_pool2d(teacher, n))
        for n in (2, 1)
    ]
    wanted = (parts[0] + parts[1] / 2 + parts[2] / 4) / 1.75
    torch.testing.assert_close(hierarchical_context_loss(student, teacher), wanted, rtol=1e-12, atol=0)


def test_gradient_and_misfits() -> None:
    student, teacher = maps(0).requires_grad_(), maps(1).requires_grad_()
    torch.autograd.backward(hierarchical_context_loss(student, teacher))
    assert teacher.grad is None
    assert torch.autograd.gradcheck(hierarchical_context_loss, (student, teacher.detach()))
    with pytest.raises(ShapeError):
        hierarchical_context_loss(maps(0), maps(0, 3))
    with pytest.raises(ShapeError, match="channels, height, width"):
        hierarchical_context_loss(maps(0)[0], maps(0)[0])
    for shapes in (([(2, 4, 4)], []), ([(2, 4)], [(2, 4)])):
        with pytest.raises(ShapeError, match="review"):
            Review(*shapes)


def test_every_level_has_its_teachers_shape_and_learns_from_above() -> None:
    torch.manual_seed(0)
    shapes = [(2, 8, 8), (4, 4, 4), (6, 2, 2)]
    teachers = [(3, 8, 8), (5, 5, 5), (7, 2, 2)]
    review = Review(shapes, teachers)
    features = [torch.randn(2, *shape, requires_grad=True) for shape in shapes]
    reviewed = review(features)
    assert [tuple(level.shape[1:]) for level in reviewed] == teachers
    lowest = torch.autograd.grad(reviewed[0].square().sum(), features, retain_graph=True)
    assert all(bool(gradient.abs().sum() > 0) for gradient in lowest)
    highest = torch.autograd.grad(reviewed[2].square().sum(), features, allow_unused=True, retain_graph=True)
    assert highest[:2] == (None, None)
    targets = [torch.zeros(2, *shape) for shape in teachers]
    torch.autograd.backward(review_loss(reviewed, targets))
    assert all(parameter.grad is not None for parameter in review.parameters())


def test_fusion_shares_two_levels_by_attention() -> None:
    torch.manual_seed(0)
    fusion = AttentionFusion(2, 3, (4, 4, 4), fuses=True).eval()
    features, above = torch.randn(2, 2, 4, 4), torch.randn(2, 3, 2, 2)
    _, fused = fusion(features, above)
    narrow = fusion.narrow(features)
    wide = above.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert fusion.attention is not None
    shares = fusion.attention(torch.cat([narrow, wide], 1))
    torch.testing.assert_close(fused, narrow * shares[:, :1] + wide * shares[:, 1:])
