"""Steps `distill` and `baseline`: the student learns, from the teacher or alone."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from edgedistill.distill.student import distill as distill_student
from edgedistill.distill.student import distill_embeddings, save_student, train_alone
from edgedistill.evaluate.torch_executors import ModuleExecutor
from edgedistill.recipe import Task
from edgedistill.run.context import STUDENT
from edgedistill.run.steps.answers import Subject, abstention_records, agreement_records
from edgedistill.run.steps.mask_picture import mask_pictures
from edgedistill.run.steps.outcome import Outcome, notes_on
from edgedistill.run.steps.rungs import confusions, curve, rung

if TYPE_CHECKING:
    from torch import nn

    from edgedistill.distill.history import History
    from edgedistill.distill.parallel.group import Group
    from edgedistill.run.context import Context

ALONE = "student/alone.safetensors"


def distill(context: Context, group: Group) -> Outcome:
    """Train the student from the teacher's outputs; of several processes, the first says what came of it."""
    key = context.keys.distill
    student, started = context.started_student()
    by_outputs = partial(distill_student, teacher=lambda: context.teacher)
    learn = distill_embeddings if context.recipe.task is Task.EMBEDDING else by_outputs
    history = learn(
        student,
        context.transfer_set,
        context.soft_targets(group),
        settings=context.distillation,
        seed=context.recipe.seed,
        key=key,
        checkpoint=context.directory.work_folder("distill") / "checkpoint",
        evaluate=context.test_score,
        callbacks=context.callbacks,
        progress=context.progress,
        group=group,
    )
    if not group.is_first:
        return Outcome({})
    outcome = _outcome(context, group, student, history, stage="student", path=STUDENT)
    notes = [*([started] if started else []), *notes_on(group, did="trained")]
    return Outcome({**outcome.result, "notes": notes}, outcome.written)


def baseline(context: Context, group: Group) -> Outcome:
    """Train the same student alone, on the labels that there are, for as many steps; otherwise as `distill`."""
    student = context.bare_student()
    history = train_alone(
        student,
        context.labelled_set,
        settings=context.recipe.distill,
        seed=context.recipe.seed,
        key=context.keys.baseline,
        checkpoint=context.directory.work_folder("baseline") / "checkpoint",
        evaluate=context.test_score,
        callbacks=context.callbacks,
        progress=context.progress,
        group=group,
    )
    if not group.is_first:
        return Outcome({})
    return _outcome(context, group, student, history, stage="student-alone", path=ALONE)


def _outcome(context: Context, group: Group, student: nn.Module, history: History, *, stage: str, path: str) -> Outcome:
    file = context.directory.folder / path
    save_student(student, file)
    executor = ModuleExecutor(student)
    outputs = context.outputs(executor)
    judge, subject = context.judge, Subject(stage, executor.execution)
    parameters = sum(parameter.numel() for parameter in student.parameters())
    reached = rung(stage, executor, outputs, judge, parameters=parameters, size_bytes=file.stat().st_size)
    result = {
        "notes": notes_on(group, did="trained"),
        "rungs": [reached.model_dump(mode="json")],
        "curves": [curve(stage, history).model_dump(mode="json")],
        "agreement": agreement_records(context, subject, outputs) if stage == "student" else [],
        "mask_pictures": mask_pictures(context, subject, outputs) if stage == "student" else [],
        "abstention": abstention_records(context, subject, outputs) if stage == "student" else [],
        "confusion": [item.model_dump(mode="json") for item in confusions(stage, outputs, judge)],
    }
    return Outcome(result, [file])
