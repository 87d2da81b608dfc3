"""Training a student, alone or from a teacher, and the file that holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from edgedistill.distill.features import probe_on_data
from edgedistill.distill.methods.chosen import leaves_layers_open, student_layers
from edgedistill.distill.objective import DistillObjective, EmbeddingObjective, LabelObjective
from edgedistill.distill.parallel.group import ALONE
from edgedistill.distill.read_ahead import ReadAhead
from edgedistill.distill.schedule import seed_of, views_used
from edgedistill.distill.taught import Taught
from edgedistill.distill.training import fit
from edgedistill.durable import write_durably
from edgedistill.errors import DataError, ModelError, RecipeError, nearest
from edgedistill.progress import SILENT
from edgedistill.recipe import Balance

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from edgedistill.data.transfer_set import TransferSet
    from edgedistill.distill.history import Callback, History
    from edgedistill.distill.parallel.group import Group
    from edgedistill.distill.teacher_cache import SoftTargets
    from edgedistill.progress import Progress
    from edgedistill.recipe import Distill, Training


def distill(
    student: nn.Module,
    transfer_set: TransferSet,
    soft_targets: SoftTargets,
    *,
    settings: Distill,
    seed: int,
    key: str = "",
    checkpoint: Path | None = None,
    evaluate: Callable[[nn.Module], float] | None = None,
    teacher: Callable[[], nn.Module] | None = None,
    callbacks: Sequence[Callback] = (),
    progress: Progress = SILENT,
    group: Group = ALONE,
) -> History:
    """Train a student, in place, from a teacher's outputs, features and the labels; return its history.

    Args:
        student: maps (batch, *input_shape), float32, to logits (batch, classes).
        transfer_set: the one that the teacher has labelled.
        soft_targets: for as many views as the epochs use, with the features of every hint's layer.
        settings: losses and training.
        seed: of projectors, order and dropout; the student's own weights are the caller's.
        key: names the teacher's outputs and whatever else determines the training, as in `training.fit`.
        checkpoint: as in `training.fit`.
        evaluate: as in `training.fit`.
        teacher: returns the teacher itself, for methods that use its weights; none: its outputs are all there is.
        callbacks: as in `training.fit`.
        progress: as in `training.fit`.
        group: as in `training.fit`.

    Raises:
        DataError: the teacher has labelled other samples, or too few views.
        ModelError: a layer is not in the student, the student does not fit the data, the loss is not finite, or
            a method asks for the teacher and it is not there.
        ShapeError: layers can't be brought together.
        RecipeError: every weight is 0, or a loss has a method or an option that there is not.
        DependencyError: a package that brings a method fails.
        ResourceError: the disk is full.
    """
    _refuse_unbalanced(settings, group)
    _require_labelled(soft_targets, transfer_set, epochs=settings.epochs)
    _require_named_layers(settings)
    shapes = probe_on_data(student, transfer_set, student_layers(settings), role="student")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, "projectors"))
        access = Taught(soft_targets, transfer_set.samples.labels, module=teacher)
        objective = DistillObjective(soft_targets, settings, student_features=shapes.features, teacher=access)
    return fit(
        student,
        ReadAhead(transfer_set, soft_targets),
        training=settings,
        objective=objective,
        seed=seed,
        key=key,
        checkpoint=checkpoint,
        evaluate=evaluate,
        on_step=objective.start_step,
        title="distill",
        callbacks=callbacks,
        progress=progress,
        group=group,
    )


def distill_embeddings(
    student: nn.Module,
    transfer_set: TransferSet,
    soft_targets: SoftTargets,
    *,
    settings: Training,
    seed: int,
    key: str = "",
    checkpoint: Path | None = None,
    evaluate: Callable[[nn.Module], float] | None = None,
    callbacks: Sequence[Callback] = (),
    progress: Progress = SILENT,
    group: Group = ALONE,
) -> History:
    """Train a student, in place, from a teacher's embeddings alone; arguments, result and errors as in `distill`."""
    _require_labelled(soft_targets, transfer_set, epochs=settings.epochs)
    probe_on_data(student, transfer_set, (), role="student")
    return fit(
        student,
        ReadAhead(transfer_set, soft_targets),
        training=settings,
        objective=EmbeddingObjective(soft_targets),
        seed=seed,
        key=key,
        checkpoint=checkpoint,
        evaluate=evaluate,
        title="distill",
        callbacks=callbacks,
        progress=progress,
        group=group,
    )


def _require_named_layers(settings: Distill) -> None:
    """Check that every layer is named by its path: the teacher's features are in the cache by then."""
    if leaves_layers_open(settings):
        names = ", ".join(f"'{loss.method}'" for loss in settings.losses) or "hints"
        raise RecipeError(
            f"layers of {names}",
            found="left open, or named by a pattern",
            wanted="a path each",
            fix="fill them in by `edgedistill.distill.layer_choice.with_layers` before teaching",
        )


def _refuse_unbalanced(settings: Distill, group: Group) -> None:
    """Refuse to balance losses by gradients of which every process knows only its share."""
    if group.count > 1 and settings.balance is not Balance.NONE:
        raise RecipeError(
            "'distill.balance'",
            found=f"'{settings.balance}' with {group.count} processes, each of which knows a part of the gradient",
            wanted="'none', or one process",
        )


def _require_labelled(soft_targets: SoftTargets, transfer_set: TransferSet, *, epochs: float) -> None:
    """Check that the teacher has said enough for a training."""
    views = views_used(epochs, transfer_set.view_count)
    if soft_targets.samples != len(transfer_set) or soft_targets.views < views:
        raise DataError(
            "teacher outputs",
            found=f"of {soft_targets.samples} samples in {soft_targets.views} views",
            wanted=f"of {len(transfer_set)} samples in {views} views",
            fix="teach with this transfer set and `views_used(epochs, view_count)` views",
        )


def train_alone(
    student: nn.Module,
    transfer_set: TransferSet,
    *,
    settings: Training,
    seed: int,
    key: str = "",
    checkpoint: Path | None = None,
    evaluate: Callable[[nn.Module], float] | None = None,
    callbacks: Sequence[Callback] = (),
    progress: Progress = SILENT,
    group: Group = ALONE,
) -> History:
    """Train a student, in place, on the labels only; arguments, result and errors as in `distill`."""
    probe_on_data(student, transfer_set, (), role="student")
    return fit(
        student,
        transfer_set,
        training=settings,
        objective=LabelObjective(),
        seed=seed,
        key=key,
        checkpoint=checkpoint,
        evaluate=evaluate,
        title="train alone",
        callbacks=callbacks,
        progress=progress,
        group=group,
    )


def save_student(student: nn.Module, path: Path) -> None:
    """Write a student's weights and buffers as safetensors; the same weights give the same bytes.

    Raises:
        ResourceError: the disk is full.
    """
    # Copies, because safetensors refuses tensors that share memory; no metadata, because safetensors 0.8.0
    # writes its entries in random order.
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in student.state_dict().items()}
    write_durably(path, save(state))


def load_student(student: nn.Module, path: Path) -> None:
    """Give a student the weights and buffers that `save_student` wrote.

    Raises:
        ModelError: the file is missing or no safetensors, or its tensors are not the student's.
    """
    state = _saved_state(path)
    own = student.state_dict()
    strangers = [name for name in (*state, *own) if (name in state) != (name in own)]
    if strangers:
        raise ModelError(
            f"student weights '{path}'",
            found=f"tensor '{strangers[0]}' is only in the {'file' if strangers[0] in state else 'student'}",
            wanted="the same student",
            fix=nearest(strangers[0], own),
        )
    for name, tensor in state.items():
        if tensor.shape != own[name].shape:
            raise ModelError(
                f"student weights '{path}'",
                found=f"tensor '{name}' has shape {tuple(tensor.shape)}",
                wanted=f"{tuple(own[name].shape)}",
            )
    student.load_state_dict(state)


def _saved_state(path: Path) -> dict[str, Tensor]:
    try:
        return load(path.read_bytes())
    except FileNotFoundError as error:
        raise ModelError(f"student weights '{path}'", found="the file does not exist") from error
    except SafetensorError as error:
        raise ModelError(f"student weights '{path}'", found=f"no safetensors: {error}") from error
