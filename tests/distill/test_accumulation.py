"""A batch computed in parts, one after the other: what is the same as at once, and what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from edgedistill.distill.methods.chosen import teacher_layers
from edgedistill.distill.objective import DistillObjective
from edgedistill.distill.teacher_cache import teach
from edgedistill.distill.training import fit
from edgedistill.recipe import Distill, Hint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgedistill.distill.history import History
    from tests.distill.conftest import NoiseSet, SmallNet

    Run = Callable[..., tuple[dict[str, torch.Tensor], History]]

HINTS = (Hint(teacher="stages.0", student="stages.0"),)
SETTINGS = Distill(epochs=2.5, batch_size=12, learning_rate=0.05, ema=0.9, hints=HINTS, label_weight=1.0)
ROUNDING = {"rtol": 1e-9, "atol": 1e-11}  # of float64 sums in another order, over 7 steps


class DoubleNet(nn.Module):
    """Images are float32; everything inside is float64."""

    def __init__(self, *, norm: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, 1, 1), norm, nn.ReLU(inplace=True))
        self.stages = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU())
        self.head = nn.Linear(4, 3)
        self.rows: list[int] = []
        self.double()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.rows.append(len(images))
        features: torch.Tensor = self.stages(self.stem(images.double())).mean((2, 3))
        logits: torch.Tensor = self.head(features)
        return logits


@pytest.fixture
def train(noise_set: Callable[..., NoiseSet], small_net: Callable[..., SmallNet], tmp_path: Path) -> Run:
    """Return a distillation with labels of which every third is not known, soft targets and a hint."""
    transfer_set = noise_set(37, view_count=2)
    transfer_set.samples.labels[::3] = -1
    soft_targets = teach(
        small_net(6, seed=9),
        transfer_set,
        key="k",
        folder=tmp_path / "cache",
        views_needed=2,
        layers=teacher_layers(SETTINGS),
    )

    def run(
        accumulate: int, norm: nn.Module, *, rows: list[int] | None = None
    ) -> tuple[dict[str, torch.Tensor], History]:
        torch.manual_seed(5)
        student = DoubleNet(norm=norm)
        objective = DistillObjective(soft_targets, SETTINGS, student_features={"stages.0": (4, 6, 6)})
        objective.extra.double()
        training = SETTINGS.model_copy(update={"accumulate": accumulate})
        history = fit(student, transfer_set, training=training, objective=objective, seed=3)
        if rows is not None:
            rows += student.rows
        return {**student.state_dict(), **objective.extra.state_dict()}, history

    return run


@pytest.mark.parametrize("accumulate", [2, 3, 5])
def test_without_batch_norm_parts_are_the_batch(train: Run, accumulate: int) -> None:
    whole, history = train(1, nn.GroupNorm(2, 4))
    found, found_history = train(accumulate, nn.GroupNorm(2, 4))
    torch.testing.assert_close(found, whole, **ROUNDING)
    losses = [point.loss for point in history.points]
    assert [point.loss for point in found_history.points] == pytest.approx(losses, rel=1e-9)


def test_the_model_sees_one_part_at_a_time(train: Run) -> None:
    rows: list[int] = []
    train(5, nn.Identity(), rows=rows)
    assert rows[:5] == [3, 3, 2, 2, 2]


def test_more_parts_than_samples_leave_none_too_small_to_train(train: Run) -> None:
    rows: list[int] = []
    train(100, nn.BatchNorm2d(4), rows=rows)
    assert set(rows) == {2}


def test_batch_norm_takes_its_statistics_from_each_part(train: Run) -> None:
    """Batch normalisation sees one part at a time: another student, and as many updates of the statistics as parts."""
    whole, _ = train(1, nn.BatchNorm2d(4))
    found, _ = train(3, nn.BatchNorm2d(4))
    assert int(found["stem.1.num_batches_tracked"]) == 3 * int(whole["stem.1.num_batches_tracked"])
    apart = (found["head.weight"] - whole["head.weight"]).abs().max()
    assert float(apart) > 1e-6
