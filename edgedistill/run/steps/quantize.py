"""Step `quantize`: from the student to a quantized program, once per spec."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetensors.torch import load_file, save

from edgedistill.distill.objective import EmbeddingObjective, SoftTargetObjective, StudentObjective
from edgedistill.distill.pixels import PixelRows
from edgedistill.durable import write_durably
from edgedistill.evaluate.torch_executors import ProgramExecutor
from edgedistill.quantize.program import DESCRIPTION_FILE, PROGRAM_FILE
from edgedistill.quantize.student import Wanted
from edgedistill.quantize.student import quantize as quantize_student
from edgedistill.recipe import Guide, Task
from edgedistill.run.steps.outcome import Outcome
from edgedistill.run.steps.rungs import confusions, curve, rung
from edgedistill.run.summary import FloatLayerRecord, SensitivityRecord

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from edgedistill.distill.objective import Objective
    from edgedistill.quantize.program import QuantizedProgram
    from edgedistill.quantize.spec import QuantSpec
    from edgedistill.quantize.student import Quantized
    from edgedistill.run.context import Context

WEIGHTS_FILE = "weights.safetensors"


def quantize(context: Context, spec: QuantSpec, *, step: str) -> Outcome:
    """Calibrate, fine-tune where that is not enough, convert, save."""
    recipe, student, judge = context.recipe, context.trained_student(), context.judge
    known: dict[str, NDArray[np.float32]] = {}

    def outputs_of(program: QuantizedProgram) -> NDArray[np.float32]:
        if program.fingerprint not in known:
            known[program.fingerprint] = context.outputs(ProgramExecutor(program))
        return known[program.fingerprint]

    floor = context.test_score(student) - recipe.quantize.max_accuracy_drop
    quantized = quantize_student(
        student,
        context.transfer_set,
        _objective(context, student),
        spec=spec,
        settings=recipe.quantize,
        seed=recipe.seed,
        wanted=Wanted(lambda program: judge.score(outputs_of(program)), floor),
        calibration=context.calibration_set,
        start=_start(context, spec),
        key=context.keys.quantize(spec),
        checkpoint=context.directory.work_folder(step) / "checkpoint",
        evaluate=context.test_score,
        callbacks=context.callbacks,
        progress=context.progress,
    )
    folder = program_folder(context, spec)
    quantized.program.save(folder)
    written = [folder / PROGRAM_FILE, folder / DESCRIPTION_FILE, *_saved_weights(quantized, folder)]
    rungs = []
    if quantized.calibrated is not quantized.program:
        calibrated = quantized.calibrated
        rungs.append(rung("calibrated", ProgramExecutor(calibrated), outputs_of(calibrated), judge))
    outputs = outputs_of(quantized.program)
    rungs.append(rung("program", ProgramExecutor(quantized.program), outputs, judge))
    result = {
        "rungs": [item.model_dump(mode="json") for item in rungs],
        "curves": [curve("finetune", quantized.history).model_dump(mode="json")] if quantized.history.points else [],
        "confusion": [item.model_dump(mode="json") for item in confusions("program", outputs, judge)],
        "program": quantized.program.fingerprint,
        "sensitivity": _sensitivity(quantized, spec),
        "float_layers": _float_layers(quantized, spec),
        "notes": list(quantized.notes),
    }
    return Outcome(result, written)


def program_folder(context: Context, spec: QuantSpec) -> Path:
    """Return where the program of a spec is kept."""
    return context.directory.folder / "programs" / spec.key


def _start(context: Context, spec: QuantSpec) -> dict[str, Tensor] | None:
    """Return the weights that the first spec was fine-tuned to; none for the first, and where it was not."""
    first = context.keys.first_spec
    path = program_folder(context, first) / WEIGHTS_FILE
    return load_file(path) if spec != first and path.exists() else None


def _saved_weights(quantized: Quantized, folder: Path) -> list[Path]:
    path = folder / WEIGHTS_FILE
    path.unlink(missing_ok=True)
    if quantized.weights is None:
        return []
    write_durably(path, save({name: value.detach().contiguous() for name, value in quantized.weights.items()}))
    return [path]


def _objective(context: Context, student: nn.Module) -> Objective:
    """Return what fine-tuning makes small: what the teacher, or the fp32 student, says, alone."""
    temperature = context.recipe.distill.soft_targets.temperature
    if context.recipe.task is Task.EMBEDDING:
        return EmbeddingObjective(context.soft_targets())
    if context.recipe.quantize.finetune.guide is Guide.STUDENT:
        guide = PixelRows(student) if context.recipe.task is Task.SEGMENTATION else student
        return StudentObjective(guide, temperature=temperature)
    return SoftTargetObjective(context.soft_targets(), temperature=temperature)


def _sensitivity(quantized: Quantized, spec: QuantSpec) -> list[dict[str, object]]:
    records = (
        SensitivityRecord(
            spec=spec.title,
            node=item.node,
            layer=item.layer,
            alone_sqnr_db=item.alone_sqnr_db,
            alone_agreement=item.alone_agreement,
            others_sqnr_db=item.others_sqnr_db,
            others_agreement=item.others_agreement,
        )
        for item in quantized.sensitivity
    )
    return [record.model_dump(mode="json") for record in records]


def _float_layers(quantized: Quantized, spec: QuantSpec) -> list[dict[str, object]]:
    records = (
        FloatLayerRecord(
            spec=spec.title,
            node=item.node,
            layer=item.layer,
            accuracy_before=item.accuracy_before,
            accuracy_after=item.accuracy_after,
        )
        for item in quantized.float_layers
    )
    return [record.model_dump(mode="json") for record in records]
