"""What each training step does: its samples, view and learning rate, a pure function of its number."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from edgedistill.data.transfer_set import TransferSet
    from edgedistill.recipe import Training

STEPS_BETWEEN_REPORTS = 100
FEWEST_REPORTS = 10
SMALLEST_PARTIAL_BATCH = 2  # BatchNorm cannot train on one value per channel


def view_of(epoch: int, view_count: int) -> int:
    """Return the view that every sample is shown in as epoch `epoch` (from 0): they cycle."""
    return epoch % view_count


def views_used(epochs: float, view_count: int) -> int:
    """Return how many views, from 0 on, a training of some epochs looks at: all that a teacher must label."""
    return min(view_count, math.ceil(epochs))


def seed_of(*parts: int | str) -> int:
    """Return a 63-bit seed for one purpose: `seed_of(recipe.seed, "dropout", step)`."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def order_of(epoch: int, *, samples: int, seed: int) -> NDArray[np.int64]:
    """Return the order of the samples in one epoch: a permutation of 0 to samples - 1, (samples,), int64."""
    return np.random.default_rng(seed_of(seed, "order", epoch)).permutation(samples)


def learning_rate_at(step: int, *, total_steps: int, warmup: float, highest: float) -> float:
    """Return the learning rate of a step: linear up to the highest, then half a cosine down to 0.

    Source: Loshchilov and Hutter 2016, arXiv:1608.03983, equation 5, without restarts.

    Args:
        step: 0 to total_steps - 1.
        total_steps: at least 1.
        warmup: share of the steps that go up, 0 to 1; the last of them has the highest learning rate.
        highest: the highest learning rate.
    """
    rising = round(warmup * total_steps)
    if step < rising:
        return highest * (step + 1) / rising
    return highest * (1 + math.cos(math.pi * (step - rising) / (total_steps - rising))) / 2


def parts_of(indices: NDArray[np.int64], count: int) -> list[NDArray[np.int64]]:
    """Return a batch in `count` parts that differ by one sample at most; fewer, so that none is too small to train."""
    return np.array_split(indices, max(1, min(count, len(indices) // SMALLEST_PARTIAL_BATCH)))


@dataclass(frozen=True)
class Step:
    """One training step, before it is taken.

    Args:
        number: 0 to total_steps - 1.
        epoch: 0, 1, ...
        view: the view that the samples are shown in.
        indices: (batch,), int64: the samples.
        learning_rate: of this step.
    """

    number: int
    epoch: int
    view: int
    indices: NDArray[np.int64]
    learning_rate: float


@dataclass(frozen=True)
class Schedule:
    """All steps of one training.

    Args:
        samples: size of the transfer set, at least 1.
        view_count: views of each sample, at least 1.
        batch_size: samples of one step; an epoch's last batch may be smaller, but has at least 2 samples.
        epochs: passes over the samples; a fraction ends within a pass, 0 has no steps.
        warmup: share of the steps in which the learning rate rises.
        highest: the highest learning rate.
        seed: of the order of the samples.
    """

    samples: int
    view_count: int
    batch_size: int
    epochs: float
    warmup: float
    highest: float
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """Batches of one pass over the samples."""
        whole, rest = divmod(self.samples, self.batch_size)
        return whole + (rest >= SMALLEST_PARTIAL_BATCH)

    @property
    def total_steps(self) -> int:
        """Steps of the training: at least 1, unless the epochs are 0."""
        return max(1, round(self.epochs * self.steps_per_epoch)) if self.epochs else 0

    def ends_epoch(self, number: int) -> bool:
        """Say whether a step is the last of its epoch, or of the training."""
        return (number + 1) % self.steps_per_epoch == 0 or number + 1 == self.total_steps

    def reports(self, number: int) -> bool:
        """Say whether the training is looked at after a step: at the end of every epoch, or of every few short ones."""
        every = min(math.ceil(STEPS_BETWEEN_REPORTS / self.steps_per_epoch), max(1, int(self.epochs) // FEWEST_REPORTS))
        epoch = number // self.steps_per_epoch + 1
        return number + 1 == self.total_steps or (self.ends_epoch(number) and epoch % every == 0)

    def learning_rate(self, number: int) -> float:
        """Return the learning rate of a step."""
        return learning_rate_at(number, total_steps=self.total_steps, warmup=self.warmup, highest=self.highest)

    def steps(self, *, start: int = 0) -> Iterator[Step]:
        """Yield the steps from number `start` on."""
        epoch, order = -1, np.empty(0, np.int64)
        for number in range(start, self.total_steps):
            if number // self.steps_per_epoch != epoch:
                epoch = number // self.steps_per_epoch
                order = order_of(epoch, samples=self.samples, seed=self.seed)
            first = number % self.steps_per_epoch * self.batch_size
            yield Step(
                number=number,
                epoch=epoch,
                view=view_of(epoch, self.view_count),
                indices=order[first : first + self.batch_size],
                learning_rate=self.learning_rate(number),
            )


def schedule_of(training: Training, transfer_set: TransferSet, *, seed: int) -> Schedule:
    """Return the steps of one training on a transfer set.

    Raises:
        DataError: there are too few samples for a single step.
    """
    schedule = Schedule(
        samples=len(transfer_set),
        view_count=transfer_set.view_count,
        batch_size=training.batch_size,
        epochs=training.epochs,
        warmup=training.warmup,
        highest=training.learning_rate,
        seed=seed,
    )
    if schedule.steps_per_epoch == 0:
        raise DataError(
            "transfer set", found=f"{schedule.samples} sample(s)", wanted=f"at least {SMALLEST_PARTIAL_BATCH}"
        )
    return schedule
