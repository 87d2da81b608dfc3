from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from edgedistill.distill.losses.hints import hint_loss
from edgedistill.distill.losses.labels import mixed_label_loss
from edgedistill.distill.losses.soft_targets import soft_target_loss
from edgedistill.distill.methods.chosen import student_layers, teacher_layers
from edgedistill.distill.objective import (
    DistillObjective,
    LabelObjective,
    SoftTargetObjective,
)
from edgedistill.distill.teacher_cache import SoftTargets, teach
from edgedistill.errors import ModelError, RecipeError, ShapeError
from edgedistill.recipe import Distill, Hint
from edgedistill.recipe import SoftTargets as SoftTargetSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.distill.conftest import NoiseSet, SmallNet

    Sets = Callable[..., NoiseSet]
    Nets = Callable[..., SmallNet]

HINTS = (
    Hint(teacher="stages.1", student="stages.0", weight=0.5),
    Hint(teacher="head", student="head", weight=2),
    Hint(teacher="stages.1", student="stem", weight=3),
)
INDICES = np.array([3, 1, 17, 8])


@pytest.fixture
def transfer_set(noise_set: Sets) -> NoiseSet:
    return noise_set(20, view_count=2)


@pytest.fixture
def soft_targets(transfer_set: NoiseSet, small_net: Nets, tmp_path: Path) -> SoftTargets:
    layers = teacher_layers(Distill(hints=HINTS))
    teacher = small_net(6, seed=1, stride=2)
    return teach(teacher, transfer_set, key="k", folder=tmp_path, views_needed=2, layers=layers)


def distill_objective(soft_targets: SoftTargets, settings: Distill) -> DistillObjective:
    features = {"stages.0": (4, 6, 6), "head": (3,), "stem": (4, 6, 6)}
    return DistillObjective(soft_targets, settings, student_features=features)


def call(objective: object, net: SmallNet, transfer_set: NoiseSet, *, view: int = 1) -> torch.Tensor:
    batch = transfer_set.batch(INDICES, view=view)
    return objective(net, torch.from_numpy(batch.inputs), batch, INDICES, view)


def label_loss(net: SmallNet, transfer_set: NoiseSet) -> torch.Tensor:
    batch = transfer_set.batch(INDICES, view=1)
    values = (batch.labels, batch.mixed_labels, batch.mix)
    return mixed_label_loss(net(torch.from_numpy(batch.inputs)), *map(torch.from_numpy, values))


def test_labels_alone(transfer_set: NoiseSet, small_net: Nets) -> None:
    net, objective = small_net().eval(), LabelObjective()
    assert torch.equal(call(objective, net, transfer_set), label_loss(net, transfer_set))
    assert not list(objective.extra.parameters())


def test_soft_targets_alone_are_those_of_the_view(
    transfer_set: NoiseSet, small_net: Nets, soft_targets: SoftTargets
) -> None:
    net = small_net().eval()
    objective = SoftTargetObjective(soft_targets, temperature=3)
    for view in (0, 1):
        inputs = torch.from_numpy(transfer_set.batch(INDICES, view=view).inputs)
        wanted = soft_target_loss(net(inputs), soft_targets.rows(INDICES, view).logits, temperature=3)
        assert torch.equal(call(objective, net, transfer_set, view=view), wanted)
    assert not torch.equal(call(objective, net, transfer_set, view=0), call(objective, net, transfer_set, view=1))


def test_distillation_is_the_weighted_sum(transfer_set: NoiseSet, small_net: Nets, soft_targets: SoftTargets) -> None:
    net = small_net().eval()
    settings = Distill(label_weight=0.25, soft_targets={"weight": 0.75, "temperature": 2}, hints=HINTS)
    objective = distill_objective(soft_targets, settings)
    inputs = torch.from_numpy(transfer_set.batch(INDICES, view=1).inputs)
    teacher = soft_targets.rows(INDICES, 1)
    stem = net.stem(inputs)
    wanted = (
        0.25 * label_loss(net, transfer_set)
        + 0.75 * soft_target_loss(net(inputs), teacher.logits, temperature=2)
        + 0.5 * hint_loss(objective.extra[0](net.stages[0](stem)), teacher.features["stages.1"])
        + 2 * hint_loss(net(inputs), teacher.features["head"])
        + 3 * hint_loss(objective.extra[2](stem), teacher.features["stages.1"])
    )
    torch.testing.assert_close(call(objective, net, transfer_set), wanted, rtol=1e-5, atol=0)


def test_the_gradient_reaches_student_and_projectors_and_no_hook_stays(
    transfer_set: NoiseSet, small_net: Nets, soft_targets: SoftTargets
) -> None:
    net = small_net()
    objective = distill_objective(soft_targets, Distill(hints=HINTS))
    torch.autograd.backward(call(objective, net, transfer_set))
    assert all(parameter.grad is not None for parameter in (*net.parameters(), *objective.extra.parameters()))
    assert all(not module._forward_hooks for module in net.modules())


def test_a_loss_of_weight_zero_is_left_out(transfer_set: NoiseSet, small_net: Nets, soft_targets: SoftTargets) -> None:
    net = small_net().eval()
    none = SoftTargetSettings(weight=0)
    labels_only = distill_objective(soft_targets, Distill(label_weight=1, soft_targets=none))
    torch.testing.assert_close(call(labels_only, net, transfer_set), label_loss(net, transfer_set))
    soft_only = distill_objective(soft_targets, Distill(label_weight=0, soft_targets={"weight": 1}))
    wanted = call(SoftTargetObjective(soft_targets, temperature=4), net, transfer_set)
    assert torch.equal(call(soft_only, net, transfer_set), wanted)
    with pytest.raises(RecipeError, match="distill: every weight is 0"):
        distill_objective(soft_targets, Distill(label_weight=0, soft_targets=none))


def test_misfits_are_refused(transfer_set: NoiseSet, small_net: Nets, soft_targets: SoftTargets) -> None:
    with pytest.raises(ShapeError, match="hint: student features"):
        distill_objective(soft_targets, Distill(hints=(Hint(teacher="head", student="stem"),)))
    with pytest.raises(ModelError, match=r"layer 'stem' of the teacher: not kept\. it has: head, stages\.1"):
        distill_objective(soft_targets, Distill(hints=(Hint(teacher="stem", student="stem"),)))
    with pytest.raises(ModelError, match="output of the student"):
        call(LabelObjective(), small_net().stem, transfer_set)


def test_layers_by_role() -> None:
    assert student_layers(Distill(hints=HINTS)) == ["head", "stages.0", "stem"]
    assert teacher_layers(Distill(hints=HINTS)) == ["head", "stages.1"]
