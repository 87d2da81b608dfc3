from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

from edgedistill.distill.history import StepInfo
from edgedistill.distill.losses.decoupled import decoupled_loss
from edgedistill.distill.losses.soft_targets import soft_target_loss, standardized
from edgedistill.distill.methods import chosen
from edgedistill.distill.methods.base import Kind, LayerPair, Method, Options, Probed, TermInputs
from edgedistill.distill.objective import DistillObjective
from edgedistill.distill.student import distill
from edgedistill.distill.taught import Taught
from edgedistill.distill.teacher_cache import SoftTargets, teach
from edgedistill.distill.terms import WeightedTerm
from edgedistill.errors import ModelError, RecipeError
from edgedistill.recipe import Distill, Loss

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.distill.conftest import NoiseSet, SmallNet

    Sets = Callable[..., NoiseSet]
    Nets = Callable[..., SmallNet]

INDICES = np.array([3, 1, 17, 8])
LAYERS = ("stages.1", "stem")
NOTHING_ELSE: dict[str, object] = {"label_weight": 0, "soft_targets": {"weight": 0}}
STEP = StepInfo(step=5, total_steps=9, epoch=2, view=1, learning_rate=0.1)


class Recording(nn.Module):
    """A term with a weight of its own, which keeps what it sees."""

    def __init__(self, probed: Probed) -> None:
        super().__init__()
        self.probed, self.seen = probed, list[TermInputs]()
        self.scale = nn.Parameter(torch.rand(()))

    def forward(self, inputs: TermInputs) -> torch.Tensor:
        self.seen.append(inputs)
        return self.scale * inputs.student_features[0].mean()


@pytest.fixture
def terms(monkeypatch: pytest.MonkeyPatch) -> list[Recording]:
    """Return the terms that the method `recording` has built."""
    built: list[Recording] = []

    def build(probed: Probed, _options: Options) -> Recording:
        built.append(Recording(probed))
        return built[-1]

    method = Method(
        name="recording",
        title="a test",
        source="none",
        kind=Kind.FEATURES,
        weight=4.0,
        beside="",
        options=Options,
        build=build,
    )
    known = chosen.method_named
    monkeypatch.setattr(chosen, "method_named", lambda name: method if name == "recording" else known(name))
    return built


@pytest.fixture
def transfer_set(noise_set: Sets) -> NoiseSet:
    return noise_set(20, view_count=2)


@pytest.fixture
def soft_targets(transfer_set: NoiseSet, small_net: Nets, tmp_path: Path) -> SoftTargets:
    teacher = small_net(6, seed=1, stride=2)
    return teach(teacher, transfer_set, key="k", folder=tmp_path, views_needed=2, layers=LAYERS)


def objective_of(soft_targets: SoftTargets, settings: dict[str, object], **more: object) -> DistillObjective:
    features = {"stages.0": (4, 6, 6), "head": (3,), "stem": (4, 6, 6)}
    return DistillObjective(soft_targets, Distill.model_validate(settings), student_features=features, **more)


def call(objective: DistillObjective, net: SmallNet, transfer_set: NoiseSet, *, view: int = 1) -> torch.Tensor:
    batch = transfer_set.batch(INDICES, view=view)
    return objective(net, torch.from_numpy(batch.inputs), batch, INDICES, view)


def test_losses_are_added_to_what_stands(transfer_set: NoiseSet, small_net: Nets, soft_targets: SoftTargets) -> None:
    net = small_net().eval()
    standing = call(objective_of(soft_targets, {}), net, transfer_set)
    alone = call(objective_of(soft_targets, {**NOTHING_ELSE, "losses": (Loss(method="dkd"),)}), net, transfer_set)
    losses = (Loss(method="dkd"), Loss(method="dkd", weight=0.5))
    both = call(objective_of(soft_targets, {"losses": losses}), net, transfer_set)
    torch.testing.assert_close(both, standing + 1.5 * alone, rtol=1e-5, atol=0)


def test_dkd_takes_the_label_or_the_teacher_s_class(
    transfer_set: NoiseSet, small_net: Nets, soft_targets: SoftTargets
) -> None:
    net = small_net().eval()
    transfer_set.samples.labels[1] = -1  # unknown; of the others of INDICES, sample 8 alone is not mixed
    objective = objective_of(soft_targets, {**NOTHING_ELSE, "losses": (Loss(method="dkd"),)})
    batch = transfer_set.batch(INDICES, view=1)
    teacher = soft_targets.rows(INDICES, 1).logits
    certain = (batch.labels >= 0) & ((batch.mix == 0) | (batch.labels == batch.mixed_labels))
    assert certain.any()
    assert not certain[1]
    targets = torch.where(torch.from_numpy(certain), torch.from_numpy(batch.labels), teacher.argmax(1))
    logits = net(torch.from_numpy(batch.inputs))
    wanted = decoupled_loss(logits, teacher, targets, alpha=1, beta=8, temperature=4)
    torch.testing.assert_close(call(objective, net, transfer_set), wanted)


def test_standardized_soft_targets(transfer_set: NoiseSet, small_net: Nets, soft_targets: SoftTargets) -> None:
    net = small_net().eval()
    soft = {"weight": 9, "temperature": 2, "standardize": True}
    found = call(objective_of(soft_targets, {"label_weight": 0, "soft_targets": soft}), net, transfer_set)
    logits = net(torch.from_numpy(transfer_set.batch(INDICES, view=1).inputs))
    teacher = soft_targets.rows(INDICES, 1).logits
    wanted = 9 * soft_target_loss(standardized(logits), standardized(teacher), temperature=2)
    torch.testing.assert_close(found, wanted)


def test_a_term_is_told_everything(
    transfer_set: NoiseSet, small_net: Nets, soft_targets: SoftTargets, terms: list[Recording]
) -> None:
    net = small_net().eval()
    loss = Loss(method="recording", teacher=("stages.1", "stem"), student=("stages.0", "head"))
    objective = objective_of(soft_targets, {**NOTHING_ELSE, "losses": (loss,)})
    objective.start_step(STEP)
    value = call(objective, net, transfer_set)
    (term,) = terms
    assert (term.probed.classes, term.probed.samples) == (3, 20)
    assert term.probed.pairs == (LayerPair("stages.1", "stages.0"), LayerPair("stem", "head"))
    assert term.probed.student_shapes == ((4, 6, 6), (3,))
    assert term.probed.teacher_shapes == ((6, 3, 3), (6, 3, 3))
    batch, teacher = transfer_set.batch(INDICES, view=1), soft_targets.rows(INDICES, 1)
    inputs = torch.from_numpy(batch.inputs)
    (seen,) = term.seen
    torch.testing.assert_close(seen.student_logits, net(inputs))
    torch.testing.assert_close(seen.student_features, (net.stages[0](net.stem(inputs)), net(inputs)))
    assert torch.equal(seen.teacher_logits, teacher.logits)
    assert torch.equal(seen.teacher_features[0], teacher.features["stages.1"])
    assert torch.equal(seen.teacher_features[1], teacher.features["stem"])
    assert seen.labels.tolist() == batch.labels.tolist()
    assert seen.mixed_labels.tolist() == batch.mixed_labels.tolist()
    assert seen.mix.tolist() == batch.mix.tolist()
    assert seen.indices.tolist() == INDICES.tolist()
    assert seen.step == STEP
    torch.testing.assert_close(value, 4 * term.scale * seen.student_features[0].mean())


def test_weights_of_terms_are_trained_and_checkpointed(
    transfer_set: NoiseSet, small_net: Nets, soft_targets: SoftTargets, terms: list[Recording]
) -> None:
    loss = Loss(method="recording", teacher="stem", student="stem", weight=1)
    settings = Distill(epochs=1, batch_size=5, losses=(loss,))
    student = small_net()
    history = distill(student, transfer_set, soft_targets, settings=settings, seed=0)
    assert len(history.points) == 1
    objective = objective_of(soft_targets, {"losses": (loss,)})
    assert list(objective.extra.state_dict()) == ["0.scale"]
    trained, fresh = terms
    assert trained.scale != fresh.scale
    assert [inputs.step.step for inputs in trained.seen] == [0, 1, 2, 3]
    assert {inputs.step.total_steps for inputs in trained.seen} == {4}
    assert list(student.state_dict()) == list(small_net().state_dict())


def test_warm_up_is_linear_in_the_epoch() -> None:
    def term(_inputs: TermInputs) -> torch.Tensor:
        return torch.zeros(())

    rising = WeightedTerm("dkd", term, 2.0, warmup_epochs=4)
    assert [rising.weight_in(epoch) for epoch in range(6)] == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]
    assert WeightedTerm("dkd", term, 2.0).weight_in(0) == 2.0
    assert WeightedTerm("dkd", term, 2.0, warmup_epochs=1.5).weight_in(0) == pytest.approx(4 / 3)


def test_a_term_warms_up_in_training(transfer_set: NoiseSet, small_net: Nets, soft_targets: SoftTargets) -> None:
    net = small_net().eval()
    objective = objective_of(soft_targets, {**NOTHING_ELSE, "losses": (Loss(method="dist", warmup_epochs=4),)})
    objective.start_step(STEP)
    third = call(objective, net, transfer_set)
    objective.start_step(replace(STEP, epoch=3))
    torch.testing.assert_close(third, 0.75 * call(objective, net, transfer_set))


def test_class_means_count_unknown_labels_for_the_teacher_s_class(
    transfer_set: NoiseSet, soft_targets: SoftTargets
) -> None:
    labels = transfer_set.samples.labels.copy()
    labels[:7] = -1
    outputs = soft_targets.rows(np.arange(20), 0)
    known = np.where(labels >= 0, labels, outputs.logits.argmax(1).numpy())
    found = Taught(soft_targets, labels).class_means("stages.1")
    assert found.shape == (3, 6)
    for label in range(3):
        rows = outputs.features["stages.1"][known == label]
        wanted = rows.mean((0, 2, 3)) if len(rows) else torch.zeros(6)
        torch.testing.assert_close(found[label], wanted, rtol=1e-5, atol=1e-6)


def test_the_teacher_itself_is_there_or_missed(soft_targets: SoftTargets, small_net: Nets) -> None:
    net, labels = small_net(), np.zeros(20, np.int64)
    assert Taught(soft_targets, labels, module=lambda: net).module() is net
    with pytest.raises(ModelError, match="teacher: only its outputs are at hand; wanted the model itself"):
        Taught(soft_targets, labels).module()


def test_a_wrong_loss_is_refused(soft_targets: SoftTargets) -> None:
    with pytest.raises(RecipeError, match="did you mean 'dkd'"):
        objective_of(soft_targets, {"losses": (Loss(method="dkdd"),)})
