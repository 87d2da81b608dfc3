"""Quantizes a trained student: calibrate, then fine-tune where needed, then leave layers in float where needed."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from edgedistill.distill.history import History
from edgedistill.progress import SILENT
from edgedistill.quantize.annotate import annotate
from edgedistill.quantize.calibrate import CalibrationSet, calibrate
from edgedistill.quantize.capture import capture
from edgedistill.quantize.convert import convert
from edgedistill.quantize.finetune import finetune
from edgedistill.quantize.sensitivity import Sensitivity, sensitivities
from edgedistill.quantize.spec import Arithmetic
from edgedistill.recipe import FinetuneWhen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, fx, nn

    from edgedistill.data.transfer_set import TransferSet
    from edgedistill.distill.history import Callback
    from edgedistill.distill.objective import Objective
    from edgedistill.progress import Progress
    from edgedistill.quantize.program import QuantizedProgram
    from edgedistill.quantize.spec import QuantSpec
    from edgedistill.recipe import Quantize


@dataclass(frozen=True)
class FloatLayer:
    """A layer that stays in float because the program lost too much with it.

    Args:
        node: name of the operator.
        layer: dotted path of its module.
        accuracy_before: of the program with the layer quantized, 0 to 1.
        accuracy_after: of the program with the layer in float.
    """

    node: str
    layer: str
    accuracy_before: float
    accuracy_after: float


@dataclass(frozen=True)
class Quantized:
    """A quantized student, and how it came about.

    Args:
        program: the result.
        calibrated: the program before fine-tuning; the same object where there was none.
        history: of the fine-tuning.
        sensitivity: of each layer, before fine-tuning.
        float_layers: what stays in float, in the order of choice.
        notes: what the reader of a run should know.
        weights: of the captured student after fine-tuning, by name; none where it was not fine-tuned.
    """

    program: QuantizedProgram
    calibrated: QuantizedProgram
    history: History
    sensitivity: tuple[Sensitivity, ...] = ()
    float_layers: tuple[FloatLayer, ...] = ()
    notes: tuple[str, ...] = field(default=())
    weights: Mapping[str, Tensor] | None = None


@dataclass(frozen=True)
class Wanted:
    """Says whether a program is good enough.

    Args:
        accuracy: of a program, 0 to 1.
        floor: least accuracy that is good enough.
    """

    accuracy: Callable[[QuantizedProgram], float]
    floor: float


def quantize(
    student: nn.Module,
    transfer_set: TransferSet,
    objective: Objective,
    *,
    spec: QuantSpec,
    settings: Quantize,
    seed: int,
    wanted: Wanted | None = None,
    calibration: TransferSet | None = None,
    start: Mapping[str, Tensor] | None = None,
    key: str = "",
    checkpoint: Path | None = None,
    evaluate: Callable[[nn.Module], float] | None = None,
    callbacks: Sequence[Callback] = (),
    progress: Progress = SILENT,
) -> Quantized:
    """Return the student as a quantized program; the student itself is not changed.

    Args:
        student: a trained fp32 model.
        transfer_set: what it is fine-tuned on, and calibrated unless other samples are given.
        objective: what fine-tuning makes small, usually the teacher's soft targets.
        spec: how the target wants numbers.
        settings: calibration, fine-tuning, sensitivity.
        seed: of sample choice and order.
        wanted: says whether calibration alone is enough, and whether layers must stay in float; without one,
            fine-tuning is always done and no layer stays in float.
        calibration: what ranges are taken from; none: the transfer set.
        start: weights that fine-tuning for another spec led to; a shorter one starts from them.
        key: names the student and the objective, as in `training.fit`.
        checkpoint: as in `training.fit`.
        evaluate: as in `training.fit`; called with the fake-quantized model.
        callbacks: as in `training.fit`; called of the fine-tuning.
        progress: as in `training.fit`.

    Raises:
        ModelError: the student cannot be captured.
        DataError: the ranges of two halves of the calibration samples differ too much.
    """
    samples = CalibrationSet(calibration or transfer_set, settings.calibration, seed=seed)
    captured = capture(student, samples.example())
    if start is not None:
        captured.load_state_dict(dict(start))
        settings = _shortened(settings)
    if spec.arithmetic is Arithmetic.FLOAT:
        settings = _without_exact_steps(settings)
    graph = annotate(copy.deepcopy(captured), spec)
    calibrate(graph, samples, max_drift=settings.calibration.max_drift)
    calibrated = convert(graph, spec, samples.example())
    measured = _sensitivity(graph, samples, settings, progress)
    accuracy = wanted.accuracy(calibrated) if wanted else None
    enough = wanted is not None and accuracy is not None and accuracy >= wanted.floor
    if not settings.finetune.epochs or (enough and settings.finetune.when is FinetuneWhen.NEEDED):
        result = Quantized(calibrated, calibrated, History(()), measured, notes=_skipped(wanted, accuracy, settings))
    else:
        history = finetune(
            graph,
            transfer_set,
            objective,
            samples=samples,
            settings=settings.finetune,
            seed=seed,
            key=key,
            checkpoint=checkpoint,
            evaluate=evaluate,
            callbacks=callbacks,
            progress=progress,
        )
        weights = _with_weights_of(captured, graph).state_dict()
        result = Quantized(convert(graph, spec, samples.example()), calibrated, history, measured, weights=weights)
    if wanted is None or not settings.max_float_layers:
        return result
    return _with_float_layers(
        result, captured, graph, samples, spec=spec, settings=settings, wanted=wanted, progress=progress
    )


def _skipped(wanted: Wanted | None, accuracy: float | None, settings: Quantize) -> tuple[str, ...]:
    if wanted is None or accuracy is None or not settings.finetune.epochs:
        return ()
    found = f"calibrated only, the program reaches {accuracy:.2%}, wanted at least {wanted.floor:.2%}"
    return (f"fine-tuning was skipped: {found} (quantize.finetune.when: needed)",)


def _sensitivity(
    graph: fx.GraphModule, samples: CalibrationSet, settings: Quantize, progress: Progress
) -> tuple[Sensitivity, ...]:
    if not settings.sensitivity_samples:
        return ()
    return sensitivities(graph, samples.batches(settings.sensitivity_samples), progress=progress)


def _with_float_layers(
    result: Quantized,
    captured: fx.GraphModule,
    graph: fx.GraphModule,
    samples: CalibrationSet,
    *,
    spec: QuantSpec,
    settings: Quantize,
    wanted: Wanted,
    progress: Progress,
) -> Quantized:
    """Leave layers in float, the one that gains most first, until the accuracy is enough or no more are allowed."""
    best, program = wanted.accuracy(result.program), result.program
    chosen: list[FloatLayer] = []
    if best >= wanted.floor:
        return result
    trained = _with_weights_of(captured, graph)
    count = max(settings.sensitivity_samples, 1)
    while best < wanted.floor and len(chosen) < settings.max_float_layers:
        taken = [item.node for item in chosen]
        candidates = sensitivities(graph, samples.batches(count), progress=progress)
        ranked = sorted(candidates, key=lambda item: item.others_sqnr_db, reverse=True)
        worst = next((item for item in ranked if item.node not in taken), None)
        if worst is None:
            break
        graph = annotate(copy.deepcopy(trained), spec, keep_float=[*taken, worst.node])
        calibrate(graph, samples)
        attempt = convert(graph, spec, samples.example())
        accuracy = wanted.accuracy(attempt)
        chosen.append(FloatLayer(worst.node, worst.layer, best, accuracy))
        if accuracy >= best:
            best, program = accuracy, attempt
    note = f"{len(chosen)} layer(s) stay in float, because the program would lose too much with them: " + ", ".join(
        f"{item.layer} ({item.accuracy_before:.2%} to {item.accuracy_after:.2%})" for item in chosen
    )
    return replace(result, program=program, float_layers=tuple(chosen), notes=(*result.notes, note))


def _shortened(settings: Quantize) -> Quantize:
    """Return the settings for a spec that starts from another one's weights."""
    epochs = settings.finetune.epochs * settings.finetune.share_of_later
    return settings.model_copy(update={"finetune": settings.finetune.model_copy(update={"epochs": epochs})})


def _without_exact_steps(settings: Quantize) -> Quantize:
    """Return the settings for a runtime that computes in float between codes: it has no integers to be trained on."""
    return settings.model_copy(update={"finetune": settings.finetune.model_copy(update={"exact_steps": 0})})


def _with_weights_of(captured: fx.GraphModule, graph: fx.GraphModule) -> fx.GraphModule:
    """Return a captured graph with the weights that an annotated copy of it has been trained to."""
    trained = copy.deepcopy(captured)
    state = graph.state_dict()
    trained.load_state_dict({name: state[name] for name in trained.state_dict()})
    return trained
