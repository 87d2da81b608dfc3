"""Step `teach`: the teacher labels every view, and is evaluated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedistill.evaluate.torch_executors import ModuleExecutor
from edgedistill.run.steps.outcome import Outcome
from edgedistill.run.steps.rungs import rung

if TYPE_CHECKING:
    from edgedistill.run.context import Context


def teach(context: Context) -> Outcome:
    """Fill the cache of teacher outputs; nothing is written into the run directory."""
    soft_targets = context.soft_targets()
    executor = ModuleExecutor(context.teacher)
    outputs = context.outputs(executor)
    parameters = sum(parameter.numel() for parameter in context.teacher.parameters())
    top = rung("teacher", executor, outputs, context.test.labels, parameters=parameters)
    return Outcome(
        {
            "rungs": [top.model_dump(mode="json")],
            "classes": list(context.test.classes),
            "views": soft_targets.views,
            "samples": soft_targets.samples,
            "hit_rate": soft_targets.hit_rate,
        }
    )
