"""Objectives: what a training makes small. They combine the losses with what the teacher said."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from edgedistill.data.transfer_set import UNKNOWN
from edgedistill.distill.balance import GradientBalance
from edgedistill.distill.features import checked_logits, tapped
from edgedistill.distill.history import StepInfo
from edgedistill.distill.losses.embeddings import embedding_loss
from edgedistill.distill.losses.labels import known_label_loss
from edgedistill.distill.losses.soft_targets import soft_target_loss
from edgedistill.distill.methods.base import TermInputs
from edgedistill.distill.methods.chosen import chosen_losses, student_layers, teacher_layers
from edgedistill.distill.projectors import projector
from edgedistill.distill.taught import Taught
from edgedistill.distill.terms import LABELS, SOFT_TARGETS, method_term, standing_terms
from edgedistill.errors import ModelError, RecipeError, nearest
from edgedistill.recipe import Balance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edgedistill.data.transfer_set import Batch
    from edgedistill.distill.features import Taps
    from edgedistill.distill.methods.base import TeacherAccess
    from edgedistill.distill.stored_rows import TeacherOutputs
    from edgedistill.distill.teacher_cache import SoftTargets
    from edgedistill.distill.terms import WeightedTerm
    from edgedistill.recipe import Distill

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
    """Labels, soft targets, hints and further losses, weighted as the recipe says.

    Args:
        soft_targets: the teacher's outputs, with the features of every layer that a hint or a loss learns from.
        settings: weights, temperature, hints and losses.
        student_features: shape of the student's features, without the batch, by layer path, for every such layer.
        teacher: what methods may ask of the teacher besides its outputs.

    Raises:
        RecipeError: every weight is 0, or a loss has a method or an option that there is not.
        DependencyError: a package that brings a method fails.
        ModelError: the teacher's outputs lack the features of a layer, or a method asks for what is not at hand.
        ShapeError: layers have shapes that can't be brought together.
    """

    def __init__(
        self,
        soft_targets: SoftTargets,
        settings: Distill,
        *,
        student_features: Mapping[str, tuple[int, ...]],
        teacher: TeacherAccess | None = None,
    ) -> None:
        if not (settings.label_weight or settings.soft_targets.weight or settings.hints or settings.losses):
            raise RecipeError("distill", found="every weight is 0", wanted="something to learn from")
        teacher_features = soft_targets.shapes.features
        for layer in teacher_layers(settings):
            if layer not in teacher_features:
                raise ModelError(
                    f"layer '{layer}' of the teacher", found="not kept", fix=nearest(layer, teacher_features)
                )
        projectors = [
            projector(student_features[hint.student], teacher_features[hint.teacher]) for hint in settings.hints
        ]
        access = teacher or Taught(soft_targets, np.full(soft_targets.samples, UNKNOWN))
        methods = [
            method_term(chosen, soft_targets, student_features, access) for chosen in chosen_losses(settings.losses)
        ]
        self._terms = [*standing_terms(settings, projectors), *methods]
        self._balance = _balance_of(self._terms) if settings.balance is Balance.GRADIENT_NORM else None
        trained = [item.term for item in methods if isinstance(item.term, nn.Module)]
        self.extra = nn.ModuleList([*projectors, *trained, *([self._balance] if self._balance else [])])
        self._soft_targets = soft_targets
        self._student_layers = student_layers(settings)
        self.task_loss: Tensor | None = None
        self._step = StepInfo(step=0, total_steps=1, epoch=0, view=0, learning_rate=0.0)

    def start_step(self, step: StepInfo) -> None:
        """Take note of the step that the next calls belong to: warm-ups depend on it."""
        self._step = step

    def __call__(self, model: nn.Module, inputs: Tensor, batch: Batch, indices: Indices, view: int) -> Tensor:
        """Return the weighted sum of the losses; a loss of weight 0 is not computed."""
        teacher = self._soft_targets.rows(indices, view)
        with tapped(model, self._student_layers, role="student") as taps:
            logits = checked_logits(model(inputs), batch=len(batch.labels), role="student")
        labels, mixed_labels, mix = map(torch.from_numpy, (batch.labels, batch.mixed_labels, batch.mix))
        seen = TermInputs(
            student_logits=logits,
            teacher_logits=teacher.logits,
            student_features=(),
            teacher_features=(),
            labels=labels,
            mixed_labels=mixed_labels,
            mix=mix,
            indices=torch.from_numpy(np.asarray(indices)),
            step=replace(self._step, view=view),
        )
        losses = [item.term(_with_features(seen, item, taps, teacher)) for item in self._terms]
        if self._balance and self._balance.is_due(self._step.step):
            self._balance.measure(losses, model.parameters())
        factors = self._balance.factors() if self._balance else [1.0] * len(losses)
        weights = [item.weight_in(self._step.epoch) for item in self._terms]
        parts = [weight * factor * loss for weight, factor, loss in zip(weights, factors, losses, strict=True)]
        names = [item.name for item in self._terms]
        self.task_loss = parts[names.index(LABELS)] if LABELS in names else None
        return torch.stack(parts).sum()


def _with_features(seen: TermInputs, item: WeightedTerm, taps: Taps, teacher: TeacherOutputs) -> TermInputs:
    """Return what a term sees: all that is the same for all, and the features of its layers."""
    return replace(
        seen,
        student_features=tuple(taps[pair.student] for pair in item.pairs),
        teacher_features=tuple(teacher.features[pair.teacher] for pair in item.pairs),
    )


def _balance_of(terms: Sequence[WeightedTerm]) -> GradientBalance:
    """Return the balance of some terms; soft targets are the reference, else labels, else the first."""
    names = [item.name for item in terms]
    reference = next((names.index(name) for name in (SOFT_TARGETS, LABELS) if name in names), 0)
    return GradientBalance(len(terms), reference=reference)


def label_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Return the cross-entropy of logits (batch, classes) with a batch's labels, mixed as the batch says.

    Samples whose label is not known count for nothing; where none is known, the loss is 0.
    """
    checked_logits(logits, batch=len(batch.labels), role="student")
    return known_label_loss(logits, *map(torch.from_numpy, (batch.labels, batch.mixed_labels, batch.mix)))
