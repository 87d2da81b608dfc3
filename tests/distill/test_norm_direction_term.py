from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from edgedistill.distill.losses.norm_direction import norm_direction_loss
from edgedistill.distill.methods.chosen import chosen_losses
from edgedistill.distill.student import distill
from edgedistill.distill.taught import Taught, pooled, pooled_width
from edgedistill.distill.teacher_cache import SoftTargets, teach
from edgedistill.distill.terms import method_term
from edgedistill.errors import RecipeError
from edgedistill.recipe import Distill, Loss

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.distill.conftest import NoiseSet, SmallNet

    Sets = Callable[..., NoiseSet]
    Nets = Callable[..., SmallNet]


@pytest.fixture
def transfer_set(noise_set: Sets) -> NoiseSet:
    return noise_set(24, view_count=2)


@pytest.fixture
def soft_targets(transfer_set: NoiseSet, small_net: Nets, tmp_path: Path) -> SoftTargets:
    teacher = small_net(6, seed=1, stride=2)
    return teach(teacher, transfer_set, key="k", folder=tmp_path, views_needed=2, layers=("stages.1", "stem"))


def test_widths_that_differ_get_a_projection_and_equal_ones_none(
    transfer_set: NoiseSet, soft_targets: SoftTargets
) -> None:
    (chosen,) = chosen_losses((Loss(method="kd++", teacher="stages.1", student="stages.1"),))
    access = Taught(soft_targets, transfer_set.samples.labels)
    other = method_term(chosen, soft_targets, {"stages.1": (4, 6, 6)}, access).term
    same = method_term(chosen, soft_targets, {"stages.1": (6, 6, 6)}, access).term
    assert isinstance(other, torch.nn.Module)
    assert isinstance(same, torch.nn.Module)
    assert [tuple(tensor.shape) for tensor in other.parameters()] == [(6, 4), (6,), (6,), (6,)]
    assert not list(same.parameters())
    assert torch.equal(same.state_dict()["class_means"], access.class_means("stages.1"))


def test_training_turns_embeddings_to_the_teacher_s_class_means(
    transfer_set: NoiseSet, small_net: Nets, soft_targets: SoftTargets
) -> None:
    loss = Loss(method="kd++", teacher="stages.1", student="stages.1")
    nothing = {"label_weight": 0, "soft_targets": {"weight": 0}, "learning_rate": 0.05, "batch_size": 8}
    settings = Distill.model_validate({"epochs": 20, "losses": (loss,), **nothing})
    student = small_net(6, seed=3)
    means = Taught(soft_targets, transfer_set.samples.labels).class_means("stages.1")
    labels = torch.from_numpy(transfer_set.samples.labels)
    inputs = torch.from_numpy(transfer_set.plain(range(24)).inputs)
    teacher = pooled(soft_targets.rows(range(24), 0).features["stages.1"])

    def distance() -> float:
        with torch.no_grad():
            return float(
                norm_direction_loss(pooled(student.eval().stages(student.stem(inputs))), teacher, means, labels)
            )

    before = distance()
    distill(student, transfer_set, soft_targets, settings=settings, seed=0)
    assert distance() < 0.5 * before


def test_one_pair_of_layers(transfer_set: NoiseSet, soft_targets: SoftTargets) -> None:
    loss = Loss(method="kd++", teacher=("stages.1", "stem"), student=("stages.1", "stem"))
    shapes = {"stages.1": (4, 6, 6), "stem": (4, 6, 6)}
    (chosen,) = chosen_losses((loss,))
    with pytest.raises(RecipeError, match=r"loss 'kd\+\+': 2 pairs of layers; wanted one"):
        method_term(chosen, soft_targets, shapes, Taught(soft_targets, transfer_set.samples.labels))


@pytest.mark.parametrize(("shape", "width"), [((5,), 5), ((7, 5), 5), ((5, 3, 4), 5)])
def test_one_vector_for_each_sample(shape: tuple[int, ...], width: int) -> None:
    values = torch.arange(float(2 * torch.Size(shape).numel())).reshape(2, *shape)
    assert pooled(values).shape == (2, width)
    assert pooled_width(shape) == width
    assert pooled(torch.full((2, *shape), 3.0)).tolist() == [[3.0] * width] * 2
