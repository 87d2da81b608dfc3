"""Step `teach`: the teacher labels every view, and is evaluated."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.data.transfer_set import Origin
from edgedistill.distill.cache_files import predicted_sizes
from edgedistill.durable import write_durably
from edgedistill.evaluate.torch_executors import ModuleExecutor
from edgedistill.models.origins import RECORDED
from edgedistill.recipe import Task
from edgedistill.run.context import TEACHER_OUTPUTS
from edgedistill.run.samples import captured
from edgedistill.run.steps.outcome import Outcome
from edgedistill.run.steps.rungs import rung
from edgedistill.run.summary import TeacherOutputsRecord
from edgedistill.run.synthesising import picture_path

if TYPE_CHECKING:
    from edgedistill.distill.cache_files import Storage
    from edgedistill.distill.parallel.group import Group
    from edgedistill.distill.teacher_cache import SoftTargets
    from edgedistill.run.context import Context

NOTES = {Task.EMBEDDING: "the measure itself: 1 by definition"}
RECORDED_NOTE = "answers recorded with the samples; no model was run"


def teach(context: Context, group: Group) -> Outcome:
    """Fill the cache of teacher outputs, and write its outputs on the evaluation set into the run directory.

    Of several processes each fills its share, and the first does the rest.
    """
    captured_texts = captured(context.recipe, context.recipe_folder)
    if group.is_first:
        _ = context.calibration_set  # samples made from the teacher are judged before anything is learned
    group.from_first(None)  # the others find such samples made
    soft_targets = context.soft_targets(group)
    if not group.is_first:
        return Outcome({})
    executor = ModuleExecutor(context.teacher)
    outputs = context.teacher_outputs = context.outputs(executor, seen=context.teacher_test)
    file = context.directory.folder / TEACHER_OUTPUTS
    content = io.BytesIO()
    np.save(content, outputs)
    write_durably(file, content.getvalue())
    parameters = sum(parameter.numel() for parameter in context.teacher.parameters())
    note = NOTES.get(context.recipe.task, "") or (RECORDED_NOTE if context.recipe.teacher.source == RECORDED else "")
    pictures = [path for record in context.synthesis.records for path in picture_path(context, record)]
    notes = [] if captured_texts is None else list(captured_texts.notes)
    top = rung("teacher", executor, outputs, context.judge, parameters=parameters or None, note=note)
    return Outcome(
        {
            "rungs": [top.model_dump(mode="json")],
            "classes": list(context.test.classes),
            "views": soft_targets.views,
            "samples": soft_targets.samples,
            "hit_rate": soft_targets.hit_rate,
            "teacher_outputs": [outputs_record(soft_targets, context.storage).model_dump(mode="json")],
            "synthetic": context.train.synthetic,
            "synthetic_evaluation": context.test.synthetic,
            "notes": [*notes, *_synthesis_notes(context)],
            "synthesis": [record.model_dump(mode="json") for record in context.synthesis.records],
        },
        [file, *pictures],
    )


def outputs_record(soft_targets: SoftTargets, storage: Storage) -> TeacherOutputsRecord:
    """Return what the summary says of the teacher's outputs."""
    rows = soft_targets.samples * soft_targets.views
    sizes = predicted_sizes(soft_targets.shapes, rows=rows, storage=storage)
    return TeacherOutputsRecord(
        samples=soft_targets.samples,
        views=soft_targets.views,
        hit_rate=soft_targets.hit_rate,
        classes=soft_targets.shapes.classes,
        kept_logits=storage.top_k or soft_targets.shapes.classes,
        temperature=storage.temperature if storage.top_k else None,
        logits_bytes=sizes.logits,
        features_bytes=dict(sizes.features),
        features_type=str(storage.features),
        errors=dict(soft_targets.errors),
    )


def _synthesis_notes(context: Context) -> list[str]:
    """Return what a reader must know of samples that were made from the teacher."""
    notes = [
        f"{record.samples:,} samples were {record.origin} ({record.used_as}): they show what the teacher looks for, "
        "and are no sample of what it will meet"
        for record in context.synthesis.records
    ]
    if context.test.origin is Origin.SYNTHESISED:
        notes.append(
            "accuracy was not measured: there is no evaluation set. Agreement with the teacher was, on samples made "
            "from it; name 'data.evaluation' to measure accuracy"
        )
    return notes
