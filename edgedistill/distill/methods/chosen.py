"""The methods that a recipe has chosen: checked before any work, and the layers that they need. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedistill.distill.layer_paths import is_pattern
from edgedistill.distill.methods.base import Kind, LayerPair
from edgedistill.distill.methods.registry import method_named
from edgedistill.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedistill.distill.methods.base import Method, Options, Probed, Term
    from edgedistill.recipe import Distill, Loss


@dataclass(frozen=True)
class ChosenLoss:
    """One entry of a recipe's `distill.losses`, with its method.

    Args:
        method: the method.
        options: checked, defaults filled in.
        weight: the recipe's, or the method's own.
        warmup_epochs: epochs over which the weight rises.
        pairs: the layers that it learns from, as the recipe has them; none for a method of logits.
    """

    method: Method[Options]
    options: Options
    weight: float
    warmup_epochs: float
    pairs: tuple[LayerPair, ...]

    def term(self, probed: Probed) -> Term:
        """Return the term of this loss."""
        return self.method.build(probed, self.options)

    def document(self) -> dict[str, object]:
        """Return all that determines what it teaches, for a key."""
        return {
            "method": self.method.name,
            "options": self.options.model_dump(mode="json"),
            "weight": self.weight,
            "warmup_epochs": self.warmup_epochs,
            "layers": [[pair.teacher, pair.student] for pair in self.pairs],
        }


def chosen_losses(losses: Sequence[Loss]) -> tuple[ChosenLoss, ...]:
    """Return the losses of a recipe with their methods.

    Raises:
        RecipeError: a method or an option that there is not, a value out of range, or layers where they do not
            belong or are missing.
        DependencyError: a package that brings a method fails.
    """
    return tuple(_chosen(loss) for loss in losses)


def _chosen(loss: Loss) -> ChosenLoss:
    method = method_named(loss.method)
    return ChosenLoss(
        method=method,
        options=method.checked(loss.options),
        weight=method.weight if loss.weight is None else loss.weight,
        warmup_epochs=loss.warmup_epochs,
        pairs=_pairs(loss, method.kind),
    )


def _pairs(loss: Loss, kind: Kind) -> tuple[LayerPair, ...]:
    teacher, student = _paths(loss.teacher), _paths(loss.student)
    if len(teacher) == len(student) and (kind is Kind.FEATURES or not teacher):
        return tuple(LayerPair(*pair) for pair in zip(teacher, student, strict=True))
    wanted = "as many `teacher` layers as `student` layers, or none, which pairs them by themselves"
    raise RecipeError(
        f"loss '{loss.method}'",
        found=f"{len(teacher)} layers of the teacher and {len(student)} of the student",
        wanted=wanted if kind is Kind.FEATURES else "none: it learns from the outputs alone",
    )


def _paths(written: str | tuple[str, ...]) -> tuple[str, ...]:
    return (written,) if isinstance(written, str) else written


def leaves_layers_open(settings: Distill) -> bool:
    """Return whether layers depend on the models: a pattern of layers, or a method of features without any."""
    losses = chosen_losses(settings.losses)
    named = [(pair.teacher, pair.student) for loss in losses for pair in loss.pairs]
    named += [(hint.teacher, hint.student) for hint in settings.hints]
    automatic = any(loss.method.kind is Kind.FEATURES and not loss.pairs for loss in losses)
    return automatic or any(is_pattern(path) for pair in named for path in pair)


def student_layers(settings: Distill) -> list[str]:
    """Return the student's layers that hints and losses learn with, each once, sorted."""
    pairs = [pair for loss in chosen_losses(settings.losses) for pair in loss.pairs]
    return sorted({hint.student for hint in settings.hints} | {pair.student for pair in pairs})


def teacher_layers(settings: Distill) -> list[str]:
    """Return the teacher's layers that hints and losses learn from, each once, sorted: what the cache must keep."""
    pairs = [pair for loss in chosen_losses(settings.losses) for pair in loss.pairs]
    return sorted({hint.teacher for hint in settings.hints} | {pair.teacher for pair in pairs})
