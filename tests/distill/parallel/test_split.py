from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from thread_group import in_threads
from torch import Tensor, nn

from edgedistill.data.transfer_set import Batch
from edgedistill.distill.features import tapped
from edgedistill.distill.parallel.group import ALONE
from edgedistill.distill.parallel.split import split, sum_gradients, whole_batch
from edgedistill.errors import ModelError

if TYPE_CHECKING:
    from edgedistill.distill.parallel.group import Group

ROWS = 7


def net() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(inplace=True), nn.Linear(5, 3))
    return layers.double()


def loss_of(model: nn.Module, extra: nn.Module, inputs: Tensor) -> Tensor:
    """Return a loss that compares every sample with every other, at the output and at a tap before an activation."""
    with tapped(model, ["1"], role="student") as taps:
        logits = model(inputs)
    projected = extra(taps["1"])
    return (projected @ projected.T).square().mean() + logits.softmax(1).std(0).sum() + logits.square().mean()


@pytest.mark.parametrize("rows", [2, 3, ROWS])  # 2: fewer than three processes, so that each computes all of them
def test_gradients_are_those_of_one_process(rows: int) -> None:
    inputs = torch.randn(rows, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    models = net(), nn.Linear(5, 6).double()  # drawn here: threads share one random state

    def run(group: Group) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        model, extra = copy.deepcopy(models)
        with split(model, group, rows=rows, seed=group.rank):
            loss = loss_of(model, extra, inputs[group.share(rows)])
        loss.backward()
        sum_gradients(model, extra, group, task={})
        gradients = [parameter.grad for module in (model, extra) for parameter in module.parameters()]
        return loss.detach(), gradients, list(model.buffers())

    whole = run(ALONE)
    for count in (2, 3):
        for found in in_threads(count, run):
            torch.testing.assert_close(found, whole, rtol=1e-10, atol=1e-11)


def test_nothing_stays_behind_on_the_model() -> None:
    def run(group: Group) -> list[str]:
        model = net()
        before = sorted(model.__dict__)
        with tapped(model, ["0"], role="student"), split(model, group, rows=ROWS, seed=0):
            model(torch.zeros(ROWS, 4, dtype=torch.float64)[group.share(ROWS)])
        assert sorted(model.__dict__) == before
        assert not any(layer._forward_hooks for layer in model.modules())
        return [name for name, _ in model.named_parameters()]

    assert in_threads(2, run)[0] == [name for name, _ in net().named_parameters()]


def test_what_the_model_draws_is_its_own_and_what_the_loss_draws_is_everyones() -> None:
    model = nn.Dropout(0.5)
    drawn = []
    for rank in range(2):

        def run(group: Group) -> tuple[Tensor, Tensor]:
            own = torch.ones(8, 64)[group.share(8)]
            with split(model, group, rows=8, seed=group.rank):
                masked = model(own)
            return masked, torch.rand(3)

        torch.manual_seed(5)
        drawn.append(run(_Echo(rank)))
    (first, noise), (second, other_noise) = drawn
    assert not torch.equal(first, second)
    assert torch.equal(noise, other_noise)
    torch.manual_seed(5)
    assert torch.equal(noise, torch.rand(3))


def test_labels_of_the_whole_batch_come_together() -> None:
    labels = np.array([0, 1, -1, 2, 2], np.int64)
    mix = np.linspace(0, 0.5, 5, dtype=np.float32)

    def run(group: Group) -> Batch:
        share = group.share(5)
        own = Batch(np.zeros((5, 1), np.float32)[share], labels[share], labels[::-1][share].copy(), mix[share])
        return whole_batch(own, group, rows=5)

    for rank, batch in enumerate(in_threads(2, run)):
        assert batch.labels.tolist() == labels.tolist()
        assert batch.mixed_labels.tolist() == labels[::-1].tolist()
        assert batch.mix.tolist() == mix.tolist()
        assert len(batch.inputs) == (3, 2)[rank]


class Turned(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.T


@pytest.mark.parametrize(("taps", "of"), [(["0"], "layer '0'"), ([], "the model")])
def test_outputs_without_the_batch_on_the_first_axis_are_refused(taps: list[str], of: str) -> None:
    def run(group: Group) -> None:
        model = nn.Sequential(Turned())
        with tapped(model, taps, role="student"), split(model, group, rows=6, seed=0):
            model(torch.zeros(6, 2)[group.share(6)])

    with pytest.raises(ModelError, match=rf"output of {of}: a tensor of shape \(2, 3\) for 3 samples; wanted the s"):
        in_threads(2, run)


def test_a_hook_that_changes_an_output_is_refused() -> None:
    def run(group: Group) -> None:
        model = net()
        model[0].register_forward_hook(lambda _module, _inputs, output: output * 2)
        with split(model, group, rows=4, seed=0):
            model(torch.zeros(4, 4, dtype=torch.float64)[group.share(4)])

    with pytest.raises(ModelError, match="layer '0': a forward hook changes its output"):
        in_threads(2, run)


class _Echo(ALONE.__class__):
    """A group of two whose other half says the same."""

    def __init__(self, rank: int) -> None:
        super().__init__(rank=rank, count=2)

    def rows_of_all(self, own: Tensor, rows: int) -> Tensor:
        return torch.cat([own, own])[:rows]
