from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from edgedistill.distill.start.sliced_channels import loss_gradients, slice_channels
from edgedistill.errors import ModelError
from edgedistill.models.residual import ResidualNet
from edgedistill.recipe import Importance

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.distill.conftest import NoiseSet

EXAMPLE = torch.zeros(2, 1, 8, 8)


def residual(width: int, *, blocks: tuple[int, ...] = (1, 1), seed: int = 0, stem_stride: int = 1) -> ResidualNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ResidualNet(classes=3, channels=1, width=width, blocks=blocks, stem_stride=stem_stride)
        for name, tensor in model.state_dict().items():
            if "norm" in name or ".1." in name:
                tensor.copy_(torch.rand(tensor.shape) + 0.5) if tensor.is_floating_point() else tensor.fill_(7)
        return model.eval()


@pytest.mark.parametrize("importance", [Importance.L1, Importance.BN_GAMMA])
def test_a_teacher_with_dead_channels_is_sliced_without_loss(importance: Importance) -> None:
    # a width-6 network in which every group has channels that give nothing: its best 4 (or 8) give the same outputs
    student = residual(4, seed=1)
    teacher = residual(6, seed=2)
    with torch.no_grad():
        for tensor in teacher.state_dict().values():
            tensor.zero_()
        for name, tensor in teacher.state_dict().items():
            live = student.state_dict()[name]
            if "running_var" in name:
                tensor.fill_(1)
            places = [torch.arange(size) + (whole - size) for size, whole in zip(live.shape, tensor.shape, strict=True)]
            if live.ndim:
                tensor[torch.meshgrid(*places, indexing="ij")] = live
            else:
                tensor.copy_(live)
    other = residual(4, seed=3)
    record = slice_channels(other, teacher, EXAMPLE, importance=importance)
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(other(images), teacher(images), rtol=1e-5, atol=1e-6)
    assert record.random == ()
    assert record.copied == record.total
    assert record.text == (
        f"the student starts from its teacher: channels 4 of 6, 8 of 12 by {importance}; "
        f"{record.total:,} of {record.total:,} numbers copied"
    )


def test_channels_are_ranked_by_hand_and_stay_in_order() -> None:
    def chain(width: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(1, width, 1, bias=False), nn.BatchNorm2d(width), nn.Flatten(), nn.Linear(width, 2)
        )

    teacher, student = chain(4), chain(2)
    with torch.no_grad():
        teacher[0].weight.copy_(torch.tensor([1.0, -5.0, 2.0, 4.0]).reshape(4, 1, 1, 1))
        teacher[1].weight.copy_(torch.tensor([9.0, 0.1, 8.0, 0.1]))
        teacher[1].running_mean.copy_(torch.arange(4.0))
    example = torch.zeros(2, 1, 1, 1)
    slice_channels(student, teacher, example, importance=Importance.BN_GAMMA)
    assert student[0].weight.flatten().tolist() == [1.0, 2.0]
    assert student[1].running_mean.tolist() == [0.0, 2.0]
    assert torch.equal(student[3].weight, teacher[3].weight[:, [0, 2]])
    teacher[1].weight.data.fill_(1)
    slice_channels(student, teacher, example)
    assert student[0].weight.flatten().tolist() == [-5.0, 4.0]
    gradients = {name: torch.zeros_like(tensor) for name, tensor in teacher.named_parameters()}
    gradients["0.weight"] = torch.tensor([3.0, 0.1, -2.0, 0.5]).reshape(4, 1, 1, 1)  # times the weights: 3, 0.5, 4, 2
    slice_channels(student, teacher, example, importance=Importance.TAYLOR, gradients=gradients)
    assert student[0].weight.flatten().tolist() == [1.0, 2.0]


def test_blocks_that_only_one_of_them_has_are_left() -> None:
    teacher, student = residual(6, blocks=(1, 2)), residual(4, blocks=(2, 1), stem_stride=2, seed=5)
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    record = slice_channels(student, teacher, EXAMPLE)
    assert record.random
    assert all(name.startswith("stages.0.1.") for name in record.random)
    after = student.state_dict()
    for name, tensor in before.items():
        assert torch.equal(after[name], tensor) == (name in record.random or "num_batches" in name), name
    assert record.text.endswith(
        "left random: stages.0.1.conv1.weight, stages.0.1.norm1.weight, "
        "stages.0.1.norm1.bias, stages.0.1.norm1.running_mean and 8 more"
    )
    assert not teacher.stem[0].weight.grad


def test_a_student_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ModelError, match=r"'stem\.0\.weight': 8 channels; wanted at most 6, as the teacher's"):
        slice_channels(residual(8), residual(6), EXAMPLE)
    uneven = residual(4)
    uneven.stages[0][0].conv2 = nn.Conv2d(4, 3, 3, 1, 1, bias=False)
    with pytest.raises(ModelError, match=r"3 channels, and 'stem\.0\.weight' has 4; the teacher joins them"):
        slice_channels(uneven, residual(6), EXAMPLE)
    with pytest.raises(ModelError, match="no layer of the teacher has the name and kernel of one of its"):
        slice_channels(nn.Sequential(nn.Conv2d(1, 2, 1)), residual(6), EXAMPLE)
    three = ResidualNet(classes=2, channels=1, width=4, blocks=(1, 1))
    with pytest.raises(ModelError, match=r"'head\.weight': 2 channels; wanted 3, as the teacher's"):
        slice_channels(three, residual(6), EXAMPLE)


def test_gradients_leave_the_teacher_as_it_was(noise_set: Callable[..., NoiseSet]) -> None:
    teacher = residual(6).train()
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    gradients = loss_gradients(teacher, noise_set(40, view_count=1))
    assert set(gradients) == {name for name, _ in teacher.named_parameters()}
    assert all(bool(gradient.isfinite().all()) for gradient in gradients.values())
    assert float(gradients["head.weight"].abs().sum()) > 0
    assert teacher.training
    assert all(torch.equal(before[name], tensor) for name, tensor in teacher.state_dict().items())
    assert teacher.head.weight.grad is None
