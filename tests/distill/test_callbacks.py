from __future__ import annotations

from typing import TYPE_CHECKING

from thread_group import in_threads
from torch import nn

from edgedistill.distill.history import EpochInfo, StepInfo
from edgedistill.distill.objective import LabelObjective
from edgedistill.distill.parallel.group import ALONE
from edgedistill.distill.training import fit
from edgedistill.recipe import Training

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgedistill.distill.history import History
    from edgedistill.distill.parallel.group import Group
    from tests.distill.conftest import NoiseSet

    Told = list[tuple[str, StepInfo | EpochInfo]]

TRAINING = Training(epochs=2.5, batch_size=8, learning_rate=0.05)  # of 37 samples: 12 steps, 5 per epoch
ENDS = [4, 9, 11]
"""The last step of each epoch."""


def trained(noise_set: NoiseSet, told: Told, group: Group = ALONE, checkpoint: Path | None = None) -> History:
    """Train a linear layer that starts at zero, with two callbacks that write down what they hear."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    callbacks = [lambda info: told.append(("first", info)), lambda info: told.append(("second", info))]
    return fit(
        model,
        noise_set,
        training=TRAINING,
        objective=LabelObjective(),
        seed=0,
        checkpoint=checkpoint,
        evaluate=lambda _model: 0.25,
        callbacks=callbacks,
        title="distill",
        group=group,
    )


def test_they_are_called_before_each_step_and_after_each_epoch_in_their_order(
    noise_set: Callable[..., NoiseSet],
) -> None:
    told: Told = []
    history = trained(noise_set(37, view_count=2), told)
    order = [(name, type(info), info.step) for name, info in told]
    wanted = []
    for step in range(12):
        wanted += [(name, StepInfo, step) for name in ("first", "second")]
        wanted += [(name, EpochInfo, step + 1) for name in ("first", "second") if step in ENDS]
    assert order == wanted
    assert {(info.training, info.total_steps) for _, info in told} == {("distill", 12)}
    points = [info.point for name, info in told if name == "first" and isinstance(info, EpochInfo)]
    assert points == list(history.points)
    assert [point.accuracy for point in points] == [0.25] * 3
    steps = [info for name, info in told if name == "second" and isinstance(info, StepInfo)]
    assert [steps[step].learning_rate for step in ENDS] == [point.learning_rate for point in points]
    assert [(info.epoch, info.view) for info in steps] == [(step // 5, step // 5 % 2) for step in range(12)]


def test_of_several_processes_the_first_calls_them(noise_set: Callable[..., NoiseSet]) -> None:
    def run(group: Group) -> Told:
        told: Told = []
        trained(noise_set(37, view_count=2), told, group)
        return told

    first, second = in_threads(2, run)
    assert (len(first), second) == (2 * (12 + 3), [])


def test_a_training_that_was_done_calls_none(noise_set: Callable[..., NoiseSet], tmp_path: Path) -> None:
    trained(noise_set(37, view_count=2), [], checkpoint=tmp_path / "checkpoint")
    told: Told = []
    trained(noise_set(37, view_count=2), told, checkpoint=tmp_path / "checkpoint")
    assert told == []
