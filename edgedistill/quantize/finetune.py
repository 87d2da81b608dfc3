"""Quantizes a trained student: calibrate, fine-tune with fake quantization, convert."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgedistill.distill.history import History
from edgedistill.distill.training import fit
from edgedistill.progress import SILENT
from edgedistill.quantize.annotate import annotate
from edgedistill.quantize.calibrate import CalibrationSet, calibrate
from edgedistill.quantize.capture import capture
from edgedistill.quantize.convert import convert

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import fx, nn

    from edgedistill.data.transfer_set import TransferSet
    from edgedistill.distill.history import StepInfo
    from edgedistill.distill.objective import Objective
    from edgedistill.progress import Progress
    from edgedistill.quantize.program import QuantizedProgram
    from edgedistill.quantize.spec import QuantSpec
    from edgedistill.recipe import Finetune, Quantize

RECALIBRATIONS = 4


@dataclass(frozen=True)
class Quantized:
    """A quantized student, and how it came about.

    Args:
        program: the result.
        calibrated: the program before fine-tuning; the same object where there was none.
        history: of the fine-tuning.
    """

    program: QuantizedProgram
    calibrated: QuantizedProgram
    history: History


def quantize(
    student: nn.Module,
    transfer_set: TransferSet,
    objective: Objective,
    *,
    spec: QuantSpec,
    settings: Quantize,
    seed: int,
    key: str = "",
    checkpoint: Path | None = None,
    evaluate: Callable[[nn.Module], float] | None = None,
    progress: Progress = SILENT,
) -> Quantized:
    """Return the student as a quantized program; the student itself is not changed.

    Args:
        student: a trained fp32 model.
        transfer_set: what it is calibrated and fine-tuned on.
        objective: what fine-tuning makes small, usually the teacher's soft targets.
        spec: how the target wants numbers.
        settings: calibration and fine-tuning.
        seed: of sample choice and order.
        key: names the student and the objective, as in `training.fit`.
        checkpoint: as in `training.fit`.
        evaluate: as in `training.fit`; called with the fake-quantized model.
        progress: as in `training.fit`.

    Raises:
        ModelError: the student cannot be captured.
        DataError: the ranges of two halves of the calibration samples differ too much.
    """
    samples = CalibrationSet(transfer_set, settings.calibration, seed=seed)
    graph = annotate(capture(student, samples.example()), spec)
    calibrate(graph, samples, max_drift=settings.calibration.max_drift)
    calibrated = convert(graph, spec, samples.example())
    if not settings.finetune.epochs:
        return Quantized(calibrated, calibrated, History(()))
    history = fit(
        graph,
        transfer_set,
        training=settings.finetune,
        objective=objective,
        seed=seed,
        key=key,
        checkpoint=checkpoint,
        evaluate=evaluate,
        on_step=_Recalibration(graph, samples, settings.finetune),
        title="fine-tune INT8",
        progress=progress,
    )
    if settings.finetune.ema:
        # an average of scales is no scale that the spec allows; take the ranges of the averaged weights
        calibrate(graph, samples)
    return Quantized(convert(graph, spec, samples.example()), calibrated, history)


class _Recalibration:
    """Takes the ranges anew from the calibration samples, a few times, until they are frozen.

    A pure function of weights and step number, so a resumed training does the same.
    """

    def __init__(self, graph: fx.GraphModule, samples: CalibrationSet, settings: Finetune) -> None:
        self.graph, self.samples, self.frozen_after = graph, samples, settings.freeze_ranges_after

    def __call__(self, info: StepInfo) -> None:
        frozen_at = round(self.frozen_after * info.total_steps)
        marks = {round(frozen_at * part / RECALIBRATIONS) for part in range(1, RECALIBRATIONS + 1)}
        if info.step in marks and 0 < info.step <= frozen_at:
            calibrate(self.graph, self.samples)
