"""What a training says of itself while it runs and when it is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class StepInfo:
    """A step that is about to be taken. It says nothing that a resumed run would not know.

    Args:
        training: its title: "distill", "train alone", "fine-tune INT8".
        step: 0 to total_steps - 1.
        total_steps: steps of the training.
        epoch: 0, 1, ...
        view: the view that the samples are shown in.
        learning_rate: of this step.
    """

    step: int
    total_steps: int
    epoch: int
    view: int
    learning_rate: float
    training: str = ""

    @property
    def share(self) -> float:
        """Share of the training that is behind, 0 to below 1."""
        return self.step / self.total_steps


@dataclass(frozen=True)
class HistoryPoint:
    """One epoch.

    Args:
        epoch: passes over the samples so far; a fraction where the training ends within one.
        loss: mean over the epoch's steps.
        accuracy: what `evaluate` returned, 0 to 1; none without it.
        learning_rate: of the epoch's last step.
    """

    epoch: float
    loss: float
    accuracy: float | None
    learning_rate: float


@dataclass(frozen=True)
class EpochInfo:
    """An epoch that is done. One that was cut off by a killed process may be told again by the next.

    Args:
        training: its title, as in `StepInfo`.
        step: steps so far.
        total_steps: steps of the training.
        point: the epoch.
    """

    training: str
    step: int
    total_steps: int
    point: HistoryPoint


Callback = Callable[[StepInfo | EpochInfo], None]
"""What is called before each step and after each epoch of a training."""


@dataclass(frozen=True)
class History:
    """The epochs of one training, in order."""

    points: tuple[HistoryPoint, ...] = ()
