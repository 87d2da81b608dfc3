"""Objectives: what a training makes small. They combine the losses with what the teacher said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from edgedistill.distill.features import checked_logits, tapped
from edgedistill.distill.losses.embeddings import embedding_loss
from edgedistill.distill.losses.hints import hint_loss
from edgedistill.distill.losses.labels import mixed_label_loss
from edgedistill.distill.losses.soft_targets import soft_target_loss
from edgedistill.distill.projectors import projector
from edgedistill.errors import ModelError, RecipeError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from edgedistill.data.transfer_set import Batch
    from edgedistill.distill.stored_rows import TeacherOutputs
    from edgedistill.distill.teacher_cache import SoftTargets
    from edgedistill.recipe import Distill, Hint

    Indices = NDArray[np.int64]


class Objective(Protocol):
    """What a training makes small."""

    @property
    def extra(self) -> nn.Module:
        """Modules of the objective's own: trained and checkpointed with the model, never saved with it."""

    def __call__(self, model: nn.Module, inputs: Tensor, batch: Batch, indices: Indices, view: int) -> Tensor:
        """Return the loss of the model on one batch: a scalar with a gradient.

        Args:
            model: called once on `inputs`.
            inputs: (batch, *input_shape), float32: the batch's inputs as a tensor.
            batch: labels and mixup of the same samples.
            indices: (batch,), int64: which samples they are.
            view: the view that they are shown in.
        """


@runtime_checkable
class TwoPartObjective(Protocol):
    """An objective that tells what part of its last loss was the task's: labels, as the recipe weights them."""

    task_loss: Tensor | None


class LabelObjective:
    """Cross-entropy with the true labels: a student that learns alone."""

    def __init__(self) -> None:
        self.extra = nn.ModuleList()

    def __call__(self, model: nn.Module, inputs: Tensor, batch: Batch, indices: Indices, view: int) -> Tensor:
        """Return the cross-entropy; samples and view are not looked at."""
        del indices, view
        return label_loss(model(inputs), batch)


class SoftTargetObjective:
    """The teacher's soft targets alone, as in fine-tuning at low precision.

    Args:
        soft_targets: the teacher's outputs.
        temperature: of both distributions, above 0.
    """

    def __init__(self, soft_targets: SoftTargets, *, temperature: float) -> None:
        self.extra = nn.ModuleList()
        self._soft_targets = soft_targets
        self._temperature = temperature

    def __call__(self, model: nn.Module, inputs: Tensor, batch: Batch, indices: Indices, view: int) -> Tensor:
        """Return the soft-target loss; labels are not looked at."""
        del batch
        teacher = self._soft_targets.rows(indices, view)
        return soft_target_loss(model(inputs), teacher.logits, temperature=self._temperature)


class EmbeddingObjective:
    """The teacher's embeddings alone.

    Args:
        soft_targets: the teacher's outputs, which are embeddings.
    """

    def __init__(self, soft_targets: SoftTargets) -> None:
        self.extra = nn.ModuleList()
        self._soft_targets = soft_targets

    def __call__(self, model: nn.Module, inputs: Tensor, batch: Batch, indices: Indices, view: int) -> Tensor:
        """Return the embedding loss; labels are not looked at."""
        del batch
        return embedding_loss(model(inputs), self._soft_targets.rows(indices, view).logits)


class StudentObjective:
    """The fp32 student's soft targets, computed in each step: for where no teacher is at hand.

    Args:
        student: the trained fp32 student; its weights stay.
        temperature: of both distributions, above 0.
    """

    def __init__(self, student: nn.Module, *, temperature: float) -> None:
        self.extra = nn.ModuleList()
        self._student, self._temperature = student.eval(), temperature

    def __call__(self, model: nn.Module, inputs: Tensor, batch: Batch, indices: Indices, view: int) -> Tensor:
        """Return the soft-target loss between the model and the student."""
        del batch, indices, view
        with torch.no_grad():
            targets = self._student(inputs)
        return soft_target_loss(model(inputs), targets, temperature=self._temperature)


class DistillObjective:
    """Labels, soft targets and hints, weighted as the recipe says.

    Args:
        soft_targets: the teacher's outputs, with the features of every hint's layer.
        settings: weights, temperature and hints.
        student_features: shape of the student's features, without the batch, by layer path, for every hint.

    Raises:
        RecipeError: every weight is 0.
        ModelError: the teacher's outputs lack the features of a hint's layer.
        ShapeError: a hint's layers have shapes that no projector can bring together.
    """

    def __init__(
        self,
        soft_targets: SoftTargets,
        settings: Distill,
        *,
        student_features: Mapping[str, tuple[int, ...]],
    ) -> None:
        if not (settings.label_weight or settings.soft_targets.weight or settings.hints):
            raise RecipeError("distill", found="every weight is 0", wanted="something to learn from")
        teacher_features = soft_targets.shapes.features
        for layer in teacher_layers(settings.hints):
            if layer not in teacher_features:
                raise ModelError(
                    f"layer '{layer}' of the teacher", found="not kept", fix=nearest(layer, teacher_features)
                )
        self.extra = nn.ModuleList(
            projector(student_features[hint.student], teacher_features[hint.teacher]) for hint in settings.hints
        )
        self._soft_targets = soft_targets
        self._settings = settings
        self.task_loss: Tensor | None = None

    def __call__(self, model: nn.Module, inputs: Tensor, batch: Batch, indices: Indices, view: int) -> Tensor:
        """Return the weighted sum of the losses; a loss of weight 0 is not computed."""
        settings, teacher = self._settings, self._soft_targets.rows(indices, view)
        with tapped(model, student_layers(settings.hints), role="student") as taps:
            logits = model(inputs)
        losses = [self._hint(place, taps[hint.student], teacher) for place, hint in enumerate(settings.hints)]
        if settings.label_weight:
            self.task_loss = settings.label_weight * label_loss(logits, batch)
            losses.append(self.task_loss)
        if settings.soft_targets.weight:
            soft = soft_target_loss(logits, teacher.logits, temperature=settings.soft_targets.temperature)
            losses.append(settings.soft_targets.weight * soft)
        return torch.stack(losses).sum()

    def _hint(self, place: int, features: Tensor, teacher: TeacherOutputs) -> Tensor:
        hint = self._settings.hints[place]
        projected = self.extra[place](features)
        return hint.weight * hint_loss(projected, teacher.features[hint.teacher])


def label_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Return the cross-entropy of logits (batch, classes) with a batch's labels, mixed as the batch says.

    Samples whose label is not known count for nothing; where none is known, the loss is 0.
    """
    checked_logits(logits, batch=len(batch.labels), role="student")
    labels, mixed_labels, mix = map(torch.from_numpy, (batch.labels, batch.mixed_labels, batch.mix))
    known = (labels >= 0) & (mixed_labels >= 0)
    if known.all():
        return mixed_label_loss(logits, labels, mixed_labels, mix)
    if not known.any():
        return logits.sum() * 0
    share = known.float().mean()
    return share * mixed_label_loss(logits[known], labels[known], mixed_labels[known], mix[known])


def student_layers(hints: Sequence[Hint]) -> list[str]:
    """Return the student's layers that some hints name, each once, sorted."""
    return sorted({hint.student for hint in hints})


def teacher_layers(hints: Sequence[Hint]) -> list[str]:
    """Return the teacher's layers that some hints name, each once, sorted: what the cache must keep."""
    return sorted({hint.teacher for hint in hints})
