"""The terms that a distillation's loss is the sum of: those that every recipe has, and those of its methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedistill.distill.losses.hints import hint_loss
from edgedistill.distill.losses.labels import known_label_loss
from edgedistill.distill.losses.soft_targets import soft_target_loss, standardized
from edgedistill.distill.methods.base import LayerPair, Probed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor, nn

    from edgedistill.distill.methods.base import Shape, TeacherAccess, Term, TermInputs
    from edgedistill.distill.methods.chosen import ChosenLoss
    from edgedistill.distill.teacher_cache import SoftTargets
    from edgedistill.recipe import Distill
    from edgedistill.recipe import SoftTargets as SoftTargetSettings


LABELS = "labels"
SOFT_TARGETS = "soft targets"


@dataclass(frozen=True)
class WeightedTerm:
    """One part of the loss.

    Args:
        name: to a reader: "labels", "soft targets", "dkd".
        term: the part, not yet weighted.
        weight: its full height, above 0.
        warmup_epochs: epochs over which the weight rises; 0: it is there at once.
        pairs: the layers whose features the term sees.
    """

    name: str
    term: Term
    weight: float
    warmup_epochs: float = 0.0
    pairs: tuple[LayerPair, ...] = ()

    def weight_in(self, epoch: int) -> float:
        """Return the weight in an epoch, counted from 0, of a linear warm-up.

        Source: Zhao et al. 2022, arXiv:2203.08679, appendix A.1; Chen et al. 2021, arXiv:2104.09044, section 4.1.
        """
        if epoch + 1 >= self.warmup_epochs:
            return self.weight
        return self.weight * (epoch + 1) / self.warmup_epochs


def standing_terms(settings: Distill, hint_projectors: Sequence[nn.Module]) -> Iterator[WeightedTerm]:
    """Yield the terms of hints, labels and soft targets; one of weight 0 is left out.

    Args:
        settings: weights, temperature and hints.
        hint_projectors: of each hint, from the student's features to the teacher's.
    """
    for hint, projector in zip(settings.hints, hint_projectors, strict=True):
        pairs = (LayerPair(hint.teacher, hint.student),)
        yield WeightedTerm(f"hint '{hint.student}'", _hint_term(projector), hint.weight, pairs=pairs)
    if settings.label_weight:
        yield WeightedTerm(LABELS, _label_term, settings.label_weight)
    if settings.soft_targets.weight:
        yield WeightedTerm(SOFT_TARGETS, _soft_target_term(settings.soft_targets), settings.soft_targets.weight)


def method_term(
    chosen: ChosenLoss, soft_targets: SoftTargets, student_features: Mapping[str, Shape], teacher: TeacherAccess
) -> WeightedTerm:
    """Return the term of one of the recipe's losses.

    Args:
        chosen: the loss.
        soft_targets: the teacher's outputs, with the features of the loss's layers.
        student_features: shape of the student's features, without the batch, by layer path.
        teacher: what else can be asked of the teacher.

    Raises:
        ShapeError: features can't be brought together.
    """
    shapes = soft_targets.shapes
    probed = Probed(
        classes=shapes.classes,
        samples=soft_targets.samples,
        pairs=chosen.pairs,
        student_shapes=tuple(student_features[pair.student] for pair in chosen.pairs),
        teacher_shapes=tuple(shapes.features[pair.teacher] for pair in chosen.pairs),
        teacher=teacher,
    )
    return WeightedTerm(
        chosen.method.name, chosen.term(probed), chosen.weight, warmup_epochs=chosen.warmup_epochs, pairs=chosen.pairs
    )


def _hint_term(projector: nn.Module) -> Term:
    def term(inputs: TermInputs) -> Tensor:
        return hint_loss(projector(inputs.student_features[0]), inputs.teacher_features[0])

    return term


def _label_term(inputs: TermInputs) -> Tensor:
    return known_label_loss(inputs.student_logits, inputs.labels, inputs.mixed_labels, inputs.mix)


def _soft_target_term(settings: SoftTargetSettings) -> Term:
    def term(inputs: TermInputs) -> Tensor:
        student, teacher = inputs.student_logits, inputs.teacher_logits
        if settings.standardize:
            student, teacher = standardized(student), standardized(teacher)
        return soft_target_loss(student, teacher, temperature=settings.temperature)

    return term
