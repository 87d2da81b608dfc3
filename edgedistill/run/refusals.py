"""What is refused of a recipe before any work: all that it and this machine tell by themselves. Loads no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedistill.devices import arm_environment
from edgedistill.errors import RecipeError, UnsupportedError
from edgedistill.recipe import Emulate, Task
from edgedistill.targets.base import NeedsApp, Purpose, profile_named, require_packages, require_purpose
from edgedistill.targets.registry import target_named

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgedistill.recipe import Recipe, TargetChoice


def refuse_impossible(recipe: Recipe) -> None:
    """Refuse what no run of this recipe could end with.

    Raises:
        UnsupportedError: a target has no such profile or option, or no form for the task or the samples.
        RecipeError: the task has no use for something that the recipe asks for.
    """
    purpose = Purpose(str(recipe.task), recipe.data.preprocessing)
    for choice in recipe.targets:
        target = target_named(choice.target)
        require_purpose(target, profile_named(target, choice.profile, choice.options), purpose)
        if recipe.bench.devices and isinstance(target, NeedsApp):
            raise UnsupportedError(
                f"'bench.devices' for target '{choice.target}'",
                found=f"'{recipe.bench.devices[0]}', and an app is what runs this target's artifacts",
                wanted="other targets alone where devices are named",
                fix=f"give it a recipe of its own, and measure by {target.measured_by}",
            )
    _refuse_labels(recipe)


def refuse_missing_packages(recipe: Recipe, choices: Iterable[TargetChoice]) -> None:
    """Refuse to begin what could not be built or verified here in the end.

    Args:
        recipe: says whether the emulated board has to be there.
        choices: what is still to be built or verified.

    Raises:
        DependencyError: a target, or the emulated board, lacks a package or a tool.
        UnsupportedError: the emulated board is wanted, and this machine cannot have one.
    """
    for choice in choices:
        target = target_named(choice.target)
        profile = profile_named(target, choice.profile, choice.options)
        require_packages(target, profile)
        if recipe.verify.emulate is Emulate.REQUIRE and "emulated_cpu_model" in profile.facts:
            arm_environment.require_possible()


def _refuse_labels(recipe: Recipe) -> None:
    """Refuse what a task without labels and classes has no use for: a student alone, methods for classes."""
    if recipe.task is Task.EMBEDDING and recipe.distill.losses:
        raise RecipeError("'distill.losses'", found="'task: embedding' learns from the teacher's embeddings alone")
    if recipe.task is Task.EMBEDDING and recipe.distill.baseline:
        raise RecipeError(
            "'distill.baseline'", found="'task: embedding' has no labels to learn from alone", fix="set it to false"
        )
