"""Step `teach`: the teacher labels every view, and is evaluated."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.distill.durable import write_durably
from edgedistill.errors import RecipeError
from edgedistill.evaluate.torch_executors import ModuleExecutor
from edgedistill.models.origins import RECORDED
from edgedistill.recipe import Task
from edgedistill.run.context import TEACHER_OUTPUTS
from edgedistill.run.samples import captured
from edgedistill.run.steps.outcome import Outcome
from edgedistill.run.steps.rungs import rung

if TYPE_CHECKING:
    from edgedistill.recipe import Recipe
    from edgedistill.run.context import Context

NOTES = {Task.EMBEDDING: "the measure itself: 1 by definition"}
RECORDED_NOTE = "answers recorded with the samples; no model was run"


def teach(context: Context) -> Outcome:
    """Fill the cache of teacher outputs, and write its outputs on the evaluation set into the run directory."""
    refuse_unlabelled_baseline(context.recipe)
    captured_texts = captured(context.recipe, context.recipe_folder)
    soft_targets = context.soft_targets()
    executor = ModuleExecutor(context.teacher)
    outputs = context.teacher_outputs = context.outputs(executor, seen=context.teacher_test)
    file = context.directory.folder / TEACHER_OUTPUTS
    content = io.BytesIO()
    np.save(content, outputs)
    write_durably(file, content.getvalue())
    parameters = sum(parameter.numel() for parameter in context.teacher.parameters())
    note = NOTES.get(context.recipe.task, "") or (RECORDED_NOTE if context.recipe.teacher.source == RECORDED else "")
    top = rung("teacher", executor, outputs, context.judge, parameters=parameters or None, note=note)
    return Outcome(
        {
            "rungs": [top.model_dump(mode="json")],
            "classes": list(context.test.classes),
            "views": soft_targets.views,
            "samples": soft_targets.samples,
            "hit_rate": soft_targets.hit_rate,
            "notes": [] if captured_texts is None else list(captured_texts.notes),
        },
        [file],
    )


def refuse_unlabelled_baseline(recipe: Recipe) -> None:
    """Refuse to train a student alone on a task that has no labels.

    Raises:
        RecipeError: that is what the recipe asks for.
    """
    if recipe.task is Task.EMBEDDING and recipe.distill.baseline:
        raise RecipeError(
            "'distill.baseline'", found="'task: embedding' has no labels to learn from alone", fix="set it to false"
        )
