"""Step `quantize`: from the student to a quantized program, once per spec."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedistill.distill.objective import EmbeddingObjective, SoftTargetObjective
from edgedistill.evaluate.torch_executors import ProgramExecutor
from edgedistill.quantize.finetune import quantize as quantize_student
from edgedistill.quantize.program import DESCRIPTION_FILE, PROGRAM_FILE
from edgedistill.recipe import Task
from edgedistill.run.steps.outcome import Outcome
from edgedistill.run.steps.rungs import confusions, curve, rung

if TYPE_CHECKING:
    from pathlib import Path

    from edgedistill.distill.objective import Objective
    from edgedistill.quantize.spec import QuantSpec
    from edgedistill.run.context import Context


def quantize(context: Context, spec: QuantSpec, *, step: str) -> Outcome:
    """Calibrate, fine-tune with the teacher's soft targets, convert, save."""
    recipe = context.recipe
    quantized = quantize_student(
        context.trained_student(),
        context.transfer_set,
        _objective(context),
        spec=spec,
        settings=recipe.quantize,
        seed=recipe.seed,
        key=context.keys.quantize(spec),
        checkpoint=context.directory.work_folder(step) / "checkpoint",
        evaluate=context.test_score,
        progress=context.progress,
    )
    folder = program_folder(context, spec)
    quantized.program.save(folder)
    rungs = []
    if quantized.calibrated is not quantized.program:
        before = ProgramExecutor(quantized.calibrated)
        rungs.append(rung("calibrated", before, context.outputs(before), context.judge))
    executor = ProgramExecutor(quantized.program)
    outputs = context.outputs(executor)
    rungs.append(rung("program", executor, outputs, context.judge))
    result = {
        "rungs": [item.model_dump(mode="json") for item in rungs],
        "curves": [curve("finetune", quantized.history).model_dump(mode="json")],
        "confusion": [item.model_dump(mode="json") for item in confusions("program", outputs, context.judge)],
        "program": quantized.program.fingerprint,
    }
    return Outcome(result, [folder / PROGRAM_FILE, folder / DESCRIPTION_FILE])


def _objective(context: Context) -> Objective:
    """Return what fine-tuning makes small: what the teacher says, alone."""
    if context.recipe.task is Task.EMBEDDING:
        return EmbeddingObjective(context.soft_targets())
    return SoftTargetObjective(context.soft_targets(), temperature=context.recipe.distill.soft_targets.temperature)


def program_folder(context: Context, spec: QuantSpec) -> Path:
    """Return where the program of a spec is kept."""
    return context.directory.folder / "programs" / spec.key
