from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from edgedistill.distill.losses.labels import mixed_label_loss
from edgedistill.errors import ShapeError

LOGITS = [[0.0, math.log(3.0)], [math.log(4.0), 0.0]]


def tensors(mix: list[float]) -> tuple[torch.Tensor, ...]:
    logits = torch.tensor(LOGITS, dtype=torch.float64)
    return logits, torch.tensor([1, 1]), torch.tensor([0, 1]), torch.tensor(mix, dtype=torch.float64)


def test_by_hand() -> None:
    # sample 0: 0.7 of class 1 at 3/4 and 0.3 of class 0 at 1/4; sample 1: class 1 at 1/5 twice
    wanted = (-0.7 * math.log(0.75) - 0.3 * math.log(0.25) - math.log(0.2)) / 2
    assert float(mixed_label_loss(*tensors([0.3, 0.6]))) == pytest.approx(wanted, rel=1e-12)


def test_no_mix_is_cross_entropy_and_a_whole_mix_is_that_of_the_other_labels() -> None:
    logits, labels, mixed, _ = tensors([0, 0])
    assert float(mixed_label_loss(*tensors([0, 0]))) == pytest.approx(
        float(functional.cross_entropy(logits, labels)), rel=1e-12
    )
    assert float(mixed_label_loss(*tensors([1, 1]))) == pytest.approx(
        float(functional.cross_entropy(logits, mixed)), rel=1e-12
    )


def test_equals_cross_entropy_with_mixed_distributions_gradient_included() -> None:
    logits, labels, mixed, mix = tensors([0.3, 0.6])
    wanted_logits = logits.clone().requires_grad_()
    logits.requires_grad_()
    distribution = (1 - mix)[:, None] * functional.one_hot(labels, 2) + mix[:, None] * functional.one_hot(mixed, 2)
    torch.autograd.backward(mixed_label_loss(logits, labels, mixed, mix))
    torch.autograd.backward(functional.cross_entropy(wanted_logits, distribution))
    torch.testing.assert_close(logits.grad, wanted_logits.grad, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("place", [1, 2, 3])
def test_shapes_are_checked(place: int) -> None:
    arguments = list(tensors([0, 0]))
    arguments[place] = arguments[place][:1]
    with pytest.raises(ShapeError, match=r"wanted \(2,\)"):
        mixed_label_loss(*arguments)
    with pytest.raises(ShapeError, match="logits"):
        mixed_label_loss(arguments[0][0], *arguments[1:])
