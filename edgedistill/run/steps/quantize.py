"""Step `quantize`: from the student to a quantized program, once per spec."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedistill.distill.objective import SoftTargetObjective
from edgedistill.evaluate.torch_executors import ProgramExecutor
from edgedistill.quantize.finetune import quantize as quantize_student
from edgedistill.quantize.program import DESCRIPTION_FILE, PROGRAM_FILE
from edgedistill.run.steps.outcome import Outcome
from edgedistill.run.steps.rungs import confusion, curve, rung

if TYPE_CHECKING:
    from pathlib import Path

    from edgedistill.quantize.spec import QuantSpec
    from edgedistill.run.context import Context


def quantize(context: Context, spec: QuantSpec, *, step: str) -> Outcome:
    """Calibrate, fine-tune with the teacher's soft targets, convert, save."""
    recipe = context.recipe
    objective = SoftTargetObjective(context.soft_targets(), temperature=recipe.distill.soft_targets.temperature)
    quantized = quantize_student(
        context.trained_student(),
        context.transfer_set,
        objective,
        spec=spec,
        settings=recipe.quantize,
        seed=recipe.seed,
        key=context.keys.quantize(spec),
        checkpoint=context.directory.work_folder(step) / "checkpoint",
        evaluate=context.test_accuracy,
        progress=context.progress,
    )
    folder = program_folder(context, spec)
    quantized.program.save(folder)
    rungs = []
    if quantized.calibrated is not quantized.program:
        before = ProgramExecutor(quantized.calibrated)
        rungs.append(rung("calibrated", before, context.outputs(before), context.test.labels))
    executor = ProgramExecutor(quantized.program)
    outputs = context.outputs(executor)
    rungs.append(rung("program", executor, outputs, context.test.labels))
    result = {
        "rungs": [item.model_dump(mode="json") for item in rungs],
        "curves": [curve("finetune", quantized.history).model_dump(mode="json")],
        "confusion": [confusion("program", outputs, context.test.labels).model_dump(mode="json")],
        "program": quantized.program.fingerprint,
    }
    return Outcome(result, [folder / PROGRAM_FILE, folder / DESCRIPTION_FILE])


def program_folder(context: Context, spec: QuantSpec) -> Path:
    """Return where the program of a spec is kept."""
    return context.directory.folder / "programs" / spec.key
