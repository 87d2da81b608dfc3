import math

import pytest
import torch

from edgedistill.distill.losses.embeddings import embedding_distance_loss, embedding_loss, principal_directions
from edgedistill.errors import ShapeError


def test_closed_form() -> None:
    student = torch.tensor([[1.0, 0.0], [3.0, 4.0], [-2.0, 0.0]], dtype=torch.float64)
    teacher = torch.tensor([[5.0, 0.0], [0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    expected = torch.tensor((0 + (1 - 0.8) + 2) / 3, dtype=torch.float64)
    torch.testing.assert_close(embedding_loss(student, teacher), expected, rtol=1e-12, atol=0)


def test_is_half_the_squared_distance_of_unit_vectors() -> None:
    student, teacher = torch.randn(2, 7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    unit = [values / values.norm(dim=1, keepdim=True) for values in (student, teacher)]
    expected = (unit[0] - unit[1]).square().sum(1).mean() / 2
    torch.testing.assert_close(embedding_loss(student, teacher), expected, rtol=1e-12, atol=0)


def test_gradient_flows_into_the_student_alone() -> None:
    student, teacher = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True).unbind(0)
    student, teacher = student.detach().requires_grad_(), teacher.detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda values: embedding_loss(values, teacher), student)
    torch.autograd.backward(embedding_loss(student, teacher))
    assert teacher.grad is None
    assert math.isfinite(float(student.grad.norm()))  # type: ignore[union-attr] # it has one


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ShapeError):
        embedding_loss(torch.zeros(2, 3), torch.zeros(2, 4))


def test_distance_by_hand() -> None:
    student = torch.tensor([[1.0, 2.0], [0.0, 4.0]], dtype=torch.float64)
    teacher = torch.tensor([[1.0, 0.0], [3.0, 4.0]], dtype=torch.float64)
    assert float(embedding_distance_loss(student, teacher)) == pytest.approx(13 / 4, rel=1e-12)
    with pytest.raises(ShapeError):
        embedding_distance_loss(student, teacher[:, :1])


def test_principal_directions_keep_most_of_the_variance() -> None:
    draw = torch.Generator().manual_seed(0)
    spread = torch.tensor([0.1, 5.0, 0.2, 2.0])
    rows = torch.randn(500, 4, generator=draw) * spread + 7
    directions = principal_directions(rows, 2)
    torch.testing.assert_close(directions.T @ directions, torch.eye(2), rtol=0, atol=1e-6)
    assert directions.abs().argmax(0).tolist() == [1, 3]
    assert bool((directions[[1, 3], [0, 1]] > 0).all())
    _, _, wanted = torch.linalg.svd(rows - rows.mean(0))
    torch.testing.assert_close(directions.abs(), wanted[:2].T.abs(), rtol=1e-3, atol=1e-4)
    with pytest.raises(ShapeError, match="at least 5"):
        principal_directions(rows, 5)
