from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from edgedistill.distill import cache_files
from edgedistill.distill.methods.chosen import teacher_layers
from edgedistill.distill.student import distill, load_student, save_student, train_alone
from edgedistill.distill.teacher_cache import SoftTargets, teach
from edgedistill.errors import DataError, ModelError
from edgedistill.recipe import Distill, Hint, Optimizer, Training

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.distill.conftest import NoiseSet, Recorder, SmallNet

    Sets = Callable[..., NoiseSet]
    Nets = Callable[..., SmallNet]

SETTINGS = Distill(
    epochs=3,
    batch_size=16,
    label_weight=0,
    soft_targets={"weight": 1, "temperature": 1},
    hints=(Hint(teacher="stages.1", student="stages.1", weight=0.1),),
)


@pytest.fixture
def transfer_set(noise_set: Sets) -> NoiseSet:
    return noise_set(120, view_count=2)


@pytest.fixture
def teacher(transfer_set: NoiseSet, small_net: Nets) -> SmallNet:
    teacher = small_net(8, seed=1)
    train_alone(teacher, transfer_set, settings=Training(epochs=6, batch_size=16), seed=0)
    return teacher


@pytest.fixture
def soft_targets(transfer_set: NoiseSet, teacher: SmallNet, tmp_path: Path) -> SoftTargets:
    layers = teacher_layers(SETTINGS)
    return teach(teacher, transfer_set, key="k", folder=tmp_path / "cache", views_needed=2, layers=layers)


def test_a_student_comes_to_say_what_its_teacher_says_without_labels(
    transfer_set: NoiseSet, teacher: SmallNet, soft_targets: SoftTargets, small_net: Nets, recorder: Recorder
) -> None:
    student = small_net(5)
    settings = SETTINGS.model_copy(update={"epochs": 8})
    history = distill(student, transfer_set, soft_targets, settings=settings, seed=0, progress=recorder)
    inputs = torch.from_numpy(transfer_set.plain(range(120)).inputs)
    with torch.no_grad():
        agreement = float((student(inputs).argmax(1) == teacher(inputs).argmax(1)).float().mean())
    assert agreement > 0.9
    assert history.points[-1].loss < history.points[0].loss / 2
    assert recorder.title == "distill"
    assert soft_targets.served_rows == 8 * 120


def test_seed_decides_and_nothing_else_does(transfer_set: NoiseSet, soft_targets: SoftTargets, small_net: Nets) -> None:
    def trained(seed: int, *, noise: int) -> torch.Tensor:
        torch.manual_seed(noise)
        student = small_net(5)
        distill(student, transfer_set, soft_targets, settings=SETTINGS, seed=seed)
        return student.head.weight

    assert torch.equal(trained(0, noise=1), trained(0, noise=2))
    assert not torch.equal(trained(0, noise=1), trained(1, noise=1))


@pytest.mark.parametrize("workers", [0, 2, 16])
def test_the_number_of_loader_threads_changes_no_bit(
    transfer_set: NoiseSet,
    teacher: SmallNet,
    soft_targets: SoftTargets,
    small_net: Nets,
    tmp_path: Path,
    workers: int,
) -> None:
    def trained(targets: SoftTargets) -> torch.Tensor:
        student = small_net(5, seed=4)
        distill(student, transfer_set, targets, settings=SETTINGS, seed=0)
        return student.head.weight

    before = trained(soft_targets)
    transfer_set.workers = workers
    layers = teacher_layers(SETTINGS)
    again = teach(teacher, transfer_set, key="k", folder=tmp_path / "again", views_needed=2, layers=layers)
    for shard in cache_files.shards_of(samples=120, views=2):
        assert (again.home / shard.name).read_bytes() == (soft_targets.home / shard.name).read_bytes()
    assert torch.equal(trained(again), before)


def test_with_dot_labels_and_teacher_have_momenta_of_their_own(
    transfer_set: NoiseSet, soft_targets: SoftTargets, small_net: Nets
) -> None:
    def trained(**changes: object) -> dict[str, torch.Tensor]:
        student = small_net(seed=3)
        settings = SETTINGS.model_copy(update={"optimizer": Optimizer.DOT, "label_weight": 0.5, **changes})
        distill(student, transfer_set, soft_targets, settings=settings, seed=0)
        return student.state_dict()

    dot, plain, again = trained(), trained(dot_delta=0.0), trained()
    assert all(torch.equal(dot[name], again[name]) for name in dot)
    assert not torch.equal(dot["head.weight"], plain["head.weight"])
    # without labels there is one kind of loss, and no difference
    alone, other = trained(label_weight=0.0), trained(label_weight=0.0, dot_delta=0.0)
    assert all(torch.equal(alone[name], other[name]) for name in alone)


def test_misfits_are_named_before_training(
    transfer_set: NoiseSet, noise_set: Sets, soft_targets: SoftTargets, small_net: Nets, recorder: Recorder
) -> None:
    hints = SETTINGS.model_copy(update={"hints": (Hint(teacher="stages.1", student="stage.1"),)})
    with pytest.raises(ModelError, match=r"layer 'stage\.1': not in the student\. did you mean 'stages'"):
        distill(small_net(), transfer_set, soft_targets, settings=hints, seed=0, progress=recorder)
    with pytest.raises(DataError, match="of 120 samples in 2 views; wanted of 120 samples in 3 views"):
        distill(small_net(), noise_set(120, view_count=3), soft_targets, settings=SETTINGS, seed=0)
    with pytest.raises(DataError, match="wanted of 99 samples in 2 views"):
        distill(small_net(), noise_set(99, view_count=2), soft_targets, settings=SETTINGS, seed=0)
    with pytest.raises(ModelError, match="student: 4 classes; wanted 3"):
        train_alone(small_net(classes=4), transfer_set, settings=Training(), seed=0, progress=recorder)
    assert recorder.steps == 0


def test_a_student_is_saved_bare_and_comes_back_bit_for_bit(
    transfer_set: NoiseSet, soft_targets: SoftTargets, small_net: Nets, tmp_path: Path
) -> None:
    student, other, path = small_net(5), small_net(5, seed=8), tmp_path / "run" / "student.safetensors"
    distill(student, transfer_set, soft_targets, settings=SETTINGS, seed=0)
    save_student(student, path)
    with safe_open(path, framework="pt") as file:
        assert set(file.keys()) == set(student.state_dict())
        assert file.metadata() is None
    load_student(other, path)
    assert all(torch.equal(tensor, student.state_dict()[name]) for name, tensor in other.state_dict().items())
    save_student(other, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_tied_weights_are_saved(tmp_path: Path) -> None:
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    save_student(tied, tmp_path / "tied.safetensors")
    nn.init.zeros_(tied[0].weight)
    load_student(tied, tmp_path / "tied.safetensors")
    assert tied[1].weight is tied[0].weight
    assert bool(tied[0].weight.any())


def test_a_file_that_is_not_the_students_is_refused(small_net: Nets, tmp_path: Path) -> None:
    path = tmp_path / "student.safetensors"
    with pytest.raises(ModelError, match="the file does not exist"):
        load_student(small_net(), path)
    path.write_bytes(b"PK not safetensors")
    with pytest.raises(ModelError, match="no safetensors"):
        load_student(small_net(), path)
    save_student(small_net(5), path)
    with pytest.raises(ModelError, match=r"tensor .* has shape \(.*5.*\); wanted \(.*4.*\)"):
        load_student(small_net(4), path)
    save_file({"head.weigth": torch.zeros(3, 4)}, path)
    with pytest.raises(ModelError, match=r"'head.weigth' is only in the file.*did you mean 'head.weight'\?"):
        load_student(small_net(4), path)
    state = small_net(4).state_dict()
    del state["head.bias"]
    save_file(state, path)
    with pytest.raises(ModelError, match=r"'head.bias' is only in the student"):
        load_student(small_net(4), path)
