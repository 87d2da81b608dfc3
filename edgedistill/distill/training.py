"""The training loop: one for the student alone, the distilled student, and fine-tuning at low precision.

Everything that a step needs is a pure function of its number (`schedule`), randomness included, so a run that
was killed and goes on from its checkpoint ends with the same bits as one that was not.
"""

from __future__ import annotations

import hashlib
import math
import time
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING

import torch

from edgedistill.distill.averaging import WeightAverage
from edgedistill.distill.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from edgedistill.distill.distillation_oriented import backpropagate, task_gradients
from edgedistill.distill.history import EpochInfo, History, HistoryPoint, StepInfo
from edgedistill.distill.modes import evaluating
from edgedistill.distill.objective import TwoPartObjective
from edgedistill.distill.optimizer import optimizer_of
from edgedistill.distill.parallel.group import ALONE
from edgedistill.distill.parallel.replicas import replicas, require_same, same_start, stay_same
from edgedistill.distill.parallel.split import split, sum_gradients, whole_batch
from edgedistill.distill.pixels import loss_of
from edgedistill.distill.prefetch import prefetched, workers_of
from edgedistill.distill.schedule import parts_of, schedule_of, seed_of
from edgedistill.errors import ModelError
from edgedistill.progress import SILENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from edgedistill.data.transfer_set import Batch, TransferSet
    from edgedistill.distill.history import Callback
    from edgedistill.distill.objective import Objective
    from edgedistill.distill.parallel.group import Group
    from edgedistill.distill.schedule import Schedule, Step
    from edgedistill.progress import Progress
    from edgedistill.recipe import Training

CHECKPOINT_EVERY_S = 10.0


def fit(
    model: nn.Module,
    transfer_set: TransferSet,
    *,
    training: Training,
    objective: Objective,
    seed: int,
    key: str = "",
    checkpoint: Path | None = None,
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
    evaluate: Callable[[nn.Module], float] | None = None,
    on_step: Callable[[StepInfo], None] | None = None,
    callbacks: Sequence[Callback] = (),
    title: str = "train",
    progress: Progress = SILENT,
    group: Group = ALONE,
) -> History:
    """Train a model in place and return its history; at the end it holds its moving average, if there is one.

    The model is switched by `train()` and `eval()`, and is left in evaluation mode. Torch's global random
    state is left as it was. With zero epochs nothing is trained.

    Args:
        model: maps (batch, *input_shape), float32, to logits; all its state is in its state dictionary.
        transfer_set: what it is shown; epoch e shows view `schedule.view_of(e, view_count)`.
        training: epochs, batch size, optimizer, learning rate, warm-up, moving average.
        objective: what is made small; its own modules are trained and checkpointed too.
        seed: of the order of the samples and of dropout.
        key: names all that determines the training and is not seen here: the objective, the teacher.
        checkpoint: file to go on from and to write to; a damaged one, or one of another training, is ignored
            with a warning. A training that is done goes on from its end.
        checkpoint_every_s: seconds between two checkpoints; one is also written at each epoch's end.
        evaluate: returns the accuracy, 0 to 1, of the model (in evaluation mode, without gradients), at each
            epoch's end, or after several where they are a few steps long; it must not change the model's state.
        on_step: called before each step; may change the model by what the step says: freeze ranges, for
            example. What it changes outside the state dictionary it must change again when the run goes on.
        callbacks: called before each step and after each epoch, of several processes in the first; they only look.
        title: of the progress bar, and of the training where callbacks ask.
        progress: where steps, loss and accuracy are reported.
        group: the processes that train together, each with its share of every batch. The first alone evaluates
            and writes.

    Raises:
        ModelError: the loss is not finite, or the model can't be split over processes.
        DataError: there are too few samples for a single step.
        ResourceError: the disk is full.
    """
    # Contiguous memory, never channels_last: torch 2.13.0 on the CPU corrupts the heap in the channels_last
    # backward of 1x1 stride-2 convolutions with few channels: (in, out) = (4, 8), (6, 12), (4, 16).
    schedule = schedule_of(training, transfer_set, seed=seed)
    same_start(replicas(model, objective.extra), group)
    fitting = _Fitting(model, objective, training=training, schedule=schedule, group=group)
    identity = _identity(fitting, key=key, training=training, data=transfer_set.fingerprint, seed=seed)
    require_same(identity, group, of="training")
    saved = group.from_first(load_checkpoint(checkpoint, key=identity) if checkpoint and group.is_first else None)
    if saved:
        fitting.restore(saved)
    keeper = _Keeper(checkpoint if group.is_first else None, identity, every_s=checkpoint_every_s)
    model.train()
    objective.extra.train()
    steps = schedule.steps(start=fitting.step)
    with (
        torch.random.fork_rng(devices=[]),
        progress.track(title, total=schedule.total_steps) as tracker,
        closing(prefetched(steps, fitting.loader(transfer_set), workers=workers_of(transfer_set))) as loaded,
    ):
        tracker.advance(fitting.step, note=fitting.note())
        for step, batches in loaded:
            info = _info(step, schedule, title)
            for told in (on_step, *(callbacks if group.is_first else ())):
                if told:
                    told(info)
            fitting.take(step, batches, seed=seed)
            reports = schedule.reports(step.number)
            if reports:
                fitting.close_epoch(step, evaluate)
                _tell(callbacks if group.is_first else (), info, fitting.history().points[-1])
            keeper.keep(fitting, now=reports)
            tracker.advance(note=fitting.note())
    fitting.finish()
    return fitting.history()


class _Fitting:
    """A training between two steps."""

    def __init__(
        self, model: nn.Module, objective: Objective, *, training: Training, schedule: Schedule, group: Group
    ) -> None:
        self.step = 0
        self.model = model
        self._objective = objective
        self._schedule = schedule
        self._accumulate = training.accumulate
        self._group = group
        self._optimizer = optimizer_of((model, objective.extra), training)
        self._average = WeightAverage(model, decay=training.ema) if training.ema else None
        self._loss_sum, self._loss_count = 0.0, 0
        self._points: list[HistoryPoint] = []

    def loader(self, transfer_set: TransferSet) -> Callable[[Step], tuple[Step, list[Batch]]]:
        """Return what loads a step: this process's share of each of its micro-batches."""

        def load(step: Step) -> tuple[Step, list[Batch]]:
            parts = parts_of(step.indices, self._accumulate)
            return step, [transfer_set.batch(part[self._group.share(len(part))], view=step.view) for part in parts]

        return load

    def take(self, step: Step, batches: Sequence[Batch], *, seed: int) -> None:
        """Take one step."""
        # For dropout, wherever the run was interrupted. Not torch.manual_seed, which looks for other devices: 0.2 ms.
        torch.default_generator.manual_seed(seed_of(seed, "step", step.number))
        for group in self._optimizer.param_groups:
            group["lr"] = step.learning_rate * group.get("factor", 1.0)
        self._optimizer.zero_grad()
        parts = parts_of(step.indices, self._accumulate)
        for place, (indices, batch) in enumerate(zip(parts, batches, strict=True)):
            own_seed = seed_of(seed, "step", step.number, "part", place, "rank", self._group.rank)
            self._loss_sum += self._follow(step, indices, batch, seed=own_seed)
        self._loss_count += 1
        sum_gradients(self.model, self._objective.extra, self._group, task=task_gradients(self._optimizer))
        self._optimizer.step()
        if self._average:
            self._average.update(self.model, count=step.number)
        self.step = step.number + 1

    def _follow(self, step: Step, indices: NDArray[np.int64], batch: Batch, *, seed: int) -> float:
        """Add the gradient of one micro-batch; return its part of the step's loss."""
        rows = len(indices)
        inputs = torch.from_numpy(batch.inputs)
        with split(self.model, self._group, rows=rows, seed=seed):
            known = whole_batch(batch, self._group, rows=rows)
            loss = loss_of(self._objective, self.model, inputs, known, indices, step.view)
        if rows < len(step.indices):
            loss = loss * (rows / len(step.indices))
        value = _finite(loss, step)
        task = self._objective.task_loss if isinstance(self._objective, TwoPartObjective) else None
        backpropagate(loss, task, self._optimizer)
        return value

    def close_epoch(self, step: Step, evaluate: Callable[[nn.Module], float] | None) -> None:
        """Add a point to the history."""
        stay_same(replicas(self.model, self._objective.extra), self._group)
        accuracy = self._accuracy(evaluate) if evaluate and self._group.is_first else None
        accuracy = self._group.from_first(accuracy)  # with no timeout: an evaluation may take long
        loss = self._loss_sum / self._loss_count
        epoch = self.step / self._schedule.steps_per_epoch
        self._points.append(HistoryPoint(epoch, loss, accuracy, step.learning_rate))
        self._loss_sum, self._loss_count = 0.0, 0

    @torch.no_grad()
    def _accuracy(self, evaluate: Callable[[nn.Module], float]) -> float:
        averaged = self._average.applied(self.model) if self._average else nullcontext()
        with averaged, evaluating(self.model):
            return float(evaluate(self.model))

    def finish(self) -> None:
        """Leave the model in evaluation mode, with its moving average."""
        if self._average and self.step:
            self.model.load_state_dict(self._average.tensors)
        self.model.eval()

    def history(self) -> History:
        """Return the epochs so far."""
        return History(tuple(self._points))

    def state(self) -> TrainingState:
        """Return everything that `restore` needs; tensors are the live ones, not copies."""
        points = [(point.epoch, point.loss, point.accuracy, point.learning_rate) for point in self._points]
        return TrainingState(
            step=self.step,
            loss_sum=self._loss_sum,
            loss_count=self._loss_count,
            points=points,
            model=dict(self.model.state_dict()),
            extra=dict(self._objective.extra.state_dict()),
            optimizer=self._optimizer.state_dict(),
            average=self._average.tensors if self._average else {},
        )

    def restore(self, state: TrainingState) -> None:
        """Go back to a saved state."""
        self.step = state["step"]
        self._loss_sum, self._loss_count = state["loss_sum"], state["loss_count"]
        self._points = [HistoryPoint(*point) for point in state["points"]]
        self.model.load_state_dict(state["model"])
        self._objective.extra.load_state_dict(state["extra"])
        self._optimizer.load_state_dict(state["optimizer"])
        if self._average:
            self._average.restore(state["average"])

    def note(self) -> str:
        """Return "epoch 3/12 · loss 0.41 · accuracy 90.8 %"."""
        schedule, points = self._schedule, self._points
        epoch = min(self.step // schedule.steps_per_epoch + 1, math.ceil(schedule.epochs))
        parts = [f"epoch {epoch}/{schedule.epochs:g}"]
        if self._loss_count:
            parts.append(f"loss {self._loss_sum / self._loss_count:.2f}")
        elif points:
            parts.append(f"loss {points[-1].loss:.2f}")
        if points and points[-1].accuracy is not None:
            parts.append(f"accuracy {points[-1].accuracy:.1%}".replace("%", " %"))
        return " · ".join(parts)


def _finite(loss: Tensor, step: Step) -> float:
    """Return the loss as a number, checked before the weights are touched: no checkpoint is spoiled.

    Raises:
        ModelError: it is not finite.
    """
    value = float(loss.detach())
    if not math.isfinite(value):
        raise ModelError(
            "training",
            found=f"the loss is {value} at step {step.number}, learning rate {step.learning_rate:.3g}",
            wanted="a finite loss",
            fix="lower `learning_rate` or raise `warmup`; if it is the first step, check the data for NaN",
        )
    return value


class _Keeper:
    """Writes checkpoints now and then; none without a path.

    Args:
        path: where.
        identity: what they are of.
        every_s: seconds between two.
    """

    def __init__(self, path: Path | None, identity: str, *, every_s: float) -> None:
        self._path, self._identity, self._every_s = path, identity, every_s
        self._saved_at_s = time.monotonic()

    def keep(self, fitting: _Fitting, *, now: bool) -> None:
        """Write one if it is time, or wanted now."""
        if self._path and (now or time.monotonic() - self._saved_at_s >= self._every_s):
            save_checkpoint(self._path, fitting.state(), key=self._identity)
            self._saved_at_s = time.monotonic()


def _tell(callbacks: Sequence[Callback], info: StepInfo, point: HistoryPoint) -> None:
    for callback in callbacks:
        callback(EpochInfo(training=info.training, step=info.step + 1, total_steps=info.total_steps, point=point))


def _info(step: Step, schedule: Schedule, title: str) -> StepInfo:
    return StepInfo(
        training=title,
        step=step.number,
        total_steps=schedule.total_steps,
        epoch=step.epoch,
        view=step.view,
        learning_rate=step.learning_rate,
    )


def _identity(fitting: _Fitting, *, key: str, training: Training, data: str, seed: int) -> str:
    """Return what a checkpoint must have been written for: sha256 of settings, data and first weights."""
    digest = hashlib.sha256(repr((key, training.model_dump_json(), data, seed)).encode())
    for name, tensor in _tensors(fitting):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _tensors(fitting: _Fitting) -> Iterator[tuple[str, Tensor]]:
    state = fitting.state()
    yield from state["model"].items()
    yield from state["extra"].items()
