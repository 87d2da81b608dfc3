from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from edgedistill.distill.balance import EVERY_STEPS, FURTHEST, GradientBalance
from edgedistill.distill.history import StepInfo
from edgedistill.distill.objective import DistillObjective
from edgedistill.distill.teacher_cache import SoftTargets, teach
from edgedistill.recipe import Distill

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.distill.conftest import NoiseSet, SmallNet

    Sets = Callable[..., NoiseSet]
    Nets = Callable[..., SmallNet]

INDICES = np.array([3, 1, 17, 8])


def pull(first: float, second: float) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Return two losses of two weights, whose gradients are (first, 0) and (3, 4) times second."""
    weights = [torch.zeros((), requires_grad=True), torch.zeros((), requires_grad=True)]
    return [first * weights[0], second * (3 * weights[0] + 4 * weights[1])], weights


def test_factors_by_hand() -> None:
    balance = GradientBalance(2, reference=0)
    assert balance.factors() == [1.0, 1.0]
    balance.measure(*pull(2.0, 0.1))
    assert balance.factors() == pytest.approx([1.0, 2 / 0.5], rel=1e-6)
    other = GradientBalance(2, reference=1)
    other.measure(*pull(2.0, 0.1))
    assert other.factors() == pytest.approx([0.5 / 2, 1.0], rel=1e-6)


def test_norms_are_averaged_over_measurements() -> None:
    balance = GradientBalance(2, reference=0)
    balance.measure(*pull(1.0, 1.0))
    balance.measure(*pull(1.0, 2.0))
    # 0.9 of the first to 1 of the second: (0.9 · 5 + 10) / 1.9
    assert balance.factors()[1] == pytest.approx(1.9 / (0.9 * 5 + 10), rel=1e-6)


def test_nothing_to_compare_changes_nothing_and_factors_are_limited() -> None:
    for losses in ((0.0, 1.0), (1.0, 0.0)):
        balance = GradientBalance(2, reference=0)
        balance.measure(*pull(*losses))
        assert balance.factors() == [1.0, 1.0]
    for size, factor in ((1e-9, FURTHEST), (1e9, 1 / FURTHEST)):
        balance = GradientBalance(2, reference=0)
        balance.measure(*pull(1.0, size))
        assert balance.factors() == [1.0, pytest.approx(factor)]
    balance = GradientBalance(2, reference=0)
    losses, weights = pull(1.0, 1.0)
    balance.measure([losses[0], torch.ones(())], weights)  # a term that depends on nothing
    assert balance.factors() == [1.0, 1.0]


def test_when_it_measures() -> None:
    due = [step for step in range(4 * EVERY_STEPS) if GradientBalance.is_due(step)]
    assert due == [*range(EVERY_STEPS), EVERY_STEPS, 2 * EVERY_STEPS, 3 * EVERY_STEPS]


@pytest.fixture
def transfer_set(noise_set: Sets) -> NoiseSet:
    return noise_set(20, view_count=2)


@pytest.fixture
def soft_targets(transfer_set: NoiseSet, small_net: Nets, tmp_path: Path) -> SoftTargets:
    teacher = small_net(6, seed=1, stride=2)
    return teach(teacher, transfer_set, key="k", folder=tmp_path, views_needed=2, layers=("stages.1",))


def gradient(objective: DistillObjective, net: SmallNet, transfer_set: NoiseSet) -> torch.Tensor:
    batch = transfer_set.batch(INDICES, view=1)
    net.zero_grad()
    torch.autograd.backward(objective(net, torch.from_numpy(batch.inputs), batch, INDICES, 1))
    return torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])


def objective_of(outputs: SoftTargets, **settings: object) -> DistillObjective:
    return DistillObjective(outputs, Distill.model_validate(settings), student_features={"stages.1": (6, 6, 6)})


def test_each_term_pulls_as_its_weight_says(transfer_set: NoiseSet, small_net: Nets, soft_targets: SoftTargets) -> None:
    net = small_net(6).eval()
    soft, dist = {"weight": 0.5, "temperature": 4}, {"method": "dist", "options": {"temperature": 2}}
    only_soft = gradient(objective_of(soft_targets, label_weight=0, soft_targets=soft), net, transfer_set)
    both = objective_of(
        soft_targets, label_weight=0, soft_targets=soft, losses=({**dist, "weight": 2},), balance="gradient-norm"
    )
    rest = gradient(both, net, transfer_set) - only_soft
    # soft targets are as they were, at weight 0.5; the other is 2 / 0.5 as long
    assert float(rest.norm()) == pytest.approx(4 * float(only_soft.norm()), rel=1e-3)


def test_a_term_s_own_scale_does_not_matter(transfer_set: NoiseSet, small_net: Nets, soft_targets: SoftTargets) -> None:
    net = small_net(6).eval()

    def with_scale(scale: float) -> torch.Tensor:
        losses = ({"method": "dist", "options": {"beta": scale, "gamma": scale}},)
        return gradient(objective_of(soft_targets, losses=losses, balance="gradient-norm"), net, transfer_set)

    torch.testing.assert_close(with_scale(1.0), with_scale(100.0), rtol=1e-3, atol=1e-6)


def test_averages_are_checkpointed_and_only_measured_when_due(
    transfer_set: NoiseSet, small_net: Nets, soft_targets: SoftTargets
) -> None:
    net = small_net(6).eval()
    hints = ({"teacher": "stages.1", "student": "stages.1"},)
    objective = objective_of(soft_targets, hints=hints, balance="gradient-norm")
    assert list(objective.extra.state_dict()) == ["1.norms"]
    not_due = StepInfo(step=EVERY_STEPS + 1, total_steps=99, epoch=0, view=0, learning_rate=0.1)
    objective.start_step(not_due)
    gradient(objective, net, transfer_set)
    assert objective.extra.state_dict()["1.norms"].tolist() == [0.0, 0.0, 0.0]
    objective.start_step(StepInfo(step=0, total_steps=99, epoch=0, view=0, learning_rate=0.1))
    gradient(objective, net, transfer_set)
    norms = objective.extra.state_dict()["1.norms"]
    assert (norms > 0).all()
    resumed = objective_of(soft_targets, hints=hints, balance="gradient-norm")
    resumed.extra.load_state_dict(objective.extra.state_dict())
    resumed.start_step(not_due)
    objective.start_step(not_due)
    assert torch.equal(gradient(resumed, net, transfer_set), gradient(objective, net, transfer_set))


def test_without_it_weights_multiply_the_terms(
    transfer_set: NoiseSet, small_net: Nets, soft_targets: SoftTargets
) -> None:
    net = small_net(6).eval()
    plain = objective_of(soft_targets, losses=({"method": "dist"},))
    assert not list(plain.extra.state_dict())
    assert torch.equal(
        gradient(plain, net, transfer_set),
        gradient(objective_of(soft_targets, losses=({"method": "dist"},), balance="none"), net, transfer_set),
    )
