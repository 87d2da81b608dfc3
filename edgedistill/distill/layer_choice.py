"""The layers that a recipe leaves open, chosen from the models: before teaching, since the cache keeps features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedistill.distill.methods.base import Kind
from edgedistill.distill.methods.chosen import chosen_losses
from edgedistill.distill.pairing import automatic_pairs, layout_of, named_pairs

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edgedistill.distill.methods.base import LayerPair
    from edgedistill.distill.methods.chosen import ChosenLoss
    from edgedistill.recipe import Distill, Hint, Loss


@dataclass(frozen=True)
class Both:
    """Student and teacher, and a few samples as each sees them.

    Args:
        student: the student, as it will be trained.
        teacher: the teacher.
        student_inputs: (batch, *input_shape); two samples are enough.
        teacher_inputs: the same samples, as the teacher sees them.
    """

    student: nn.Module
    teacher: nn.Module
    student_inputs: Tensor
    teacher_inputs: Tensor


def with_layers(settings: Distill, both: Both) -> Distill:
    """Return the settings with every layer named: patterns filled in, and layers paired where none is named.

    Raises:
        ModelError: a pattern matches nothing, or no layers go together.
        RecipeError: a loss has a method or an option that there is not.
    """
    losses = zip(settings.losses, chosen_losses(settings.losses), strict=True)
    return settings.model_copy(
        update={
            "hints": tuple(named for hint in settings.hints for named in _hints(hint, both)),
            "losses": tuple(_loss(loss, chosen, both) for loss, chosen in losses),
        }
    )


def _hints(hint: Hint, both: Both) -> list[Hint]:
    pairs = _named(hint.student, hint.teacher, both)
    return [hint.model_copy(update={"student": pair.student, "teacher": pair.teacher}) for pair in pairs]


def _loss(loss: Loss, chosen: ChosenLoss, both: Both) -> Loss:
    if chosen.method.kind is not Kind.FEATURES:
        return loss
    if chosen.pairs:
        pairs = [pair for written in chosen.pairs for pair in _named(written.student, written.teacher, both)]
    else:
        student = layout_of(both.student, both.student_inputs, role="student")
        teacher = layout_of(both.teacher, both.teacher_inputs, role="teacher")
        pairs = automatic_pairs(student, teacher, chosen.method.pairing)
    layers = {"student": tuple(pair.student for pair in pairs), "teacher": tuple(pair.teacher for pair in pairs)}
    return loss.model_copy(update=layers)


def _named(student_path: str, teacher_path: str, both: Both) -> list[LayerPair]:
    return named_pairs(both.student, both.teacher, student_path=student_path, teacher_path=teacher_path)
