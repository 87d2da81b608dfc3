from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from edgedistill.distill.distillation_oriented import DistillationOriented, backpropagate

RATE, MOMENTUM, DELTA, DECAY = 0.1, 0.9, 0.075, 0.01


def parameter(*values: float) -> nn.Parameter:
    return nn.Parameter(torch.tensor(values, dtype=torch.float64))


def optimizer(*parameters: nn.Parameter, delta: float = DELTA, decay: float = DECAY) -> DistillationOriented:
    groups = [{"params": list(parameters), "weight_decay": decay}]
    return DistillationOriented(groups, RATE, momentum=MOMENTUM, delta=delta)


def step(chosen: DistillationOriented, loss: torch.Tensor, task: torch.Tensor | None) -> None:
    chosen.zero_grad()
    backpropagate(loss, task, chosen)
    chosen.step()


def test_two_steps_by_hand() -> None:
    weight = parameter(2.0)
    chosen = optimizer(weight)
    position, task_velocity, distillation_velocity = 2.0, 0.0, 0.0
    for _ in range(3):
        task, distillation = 3 * weight.sum(), weight.square().sum()
        task_velocity = (MOMENTUM - DELTA) * task_velocity + 3 + DECAY * position
        distillation_velocity = (MOMENTUM + DELTA) * distillation_velocity + 2 * position
        position -= RATE * (task_velocity + distillation_velocity)
        step(chosen, torch.stack([task, distillation]).sum(), task)
        assert weight.item() == pytest.approx(position, rel=1e-12)


def test_with_no_difference_it_is_plain_momentum_and_projectors_always_are() -> None:
    weights = [parameter(1.0, -2.0), parameter(0.5)]
    twins = copy.deepcopy(weights)
    plain = torch.optim.SGD(twins, RATE, momentum=MOMENTUM, weight_decay=DECAY)
    chosen = optimizer(*weights, delta=0.0)
    for _ in range(4):
        task = weights[0].square().sum()
        step(chosen, task + (weights[0].sum() * weights[1]).sum(), task)
        plain.zero_grad()
        (twins[0].square().sum() + (twins[0].sum() * twins[1]).sum()).backward()
        plain.step()
        for weight, twin in zip(weights, twins, strict=True):
            torch.testing.assert_close(weight, twin, rtol=1e-12, atol=0)
    projector = parameter(1.0)
    alone = optimizer(projector, delta=0.09, decay=0.0)
    for _ in range(2):
        step(alone, projector.sum(), None)
    assert projector.item() == pytest.approx(1 - RATE - RATE * (1 + MOMENTUM), rel=1e-12)


def test_a_scaled_loss_in_two_parts_is_as_the_whole() -> None:
    weights = [parameter(2.0), parameter(2.0)]
    whole, parts = (optimizer(weight) for weight in weights)
    for _ in range(2):
        task = 3 * weights[0].sum()
        step(whole, task + weights[0].square().sum(), task)
        parts.zero_grad()
        for _ in range(2):
            task = 3 * weights[1].sum()
            backpropagate((task + weights[1].square().sum()) * 0.5, task, parts)
        parts.step()
    assert weights[1].item() == pytest.approx(weights[0].item(), rel=1e-12)


def test_it_goes_on_from_its_state() -> None:
    weight = parameter(2.0)
    chosen = optimizer(weight)
    step(chosen, weight.square().sum() + weight.sum(), None)
    task = weight.sum()
    step(chosen, weight.square().sum() + task, task)
    twin = nn.Parameter(weight.detach().clone())
    again = optimizer(twin)
    again.load_state_dict(copy.deepcopy(chosen.state_dict()))
    for moved, by in ((weight, chosen), (twin, again)):
        task = moved.sum()
        step(by, moved.square().sum() + task, task)
    assert torch.equal(weight, twin)


def test_other_optimizers_take_the_gradient_as_it_is() -> None:
    weight = parameter(2.0)
    backpropagate(weight.square().sum(), weight.sum(), torch.optim.SGD([weight], RATE))
    assert weight.grad is not None
    assert weight.grad.item() == 4.0
