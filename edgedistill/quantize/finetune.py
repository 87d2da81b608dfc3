"""Fine-tuning: training with fake quantization, and what happens to the scales meanwhile."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from edgedistill.distill.training import fit
from edgedistill.progress import SILENT
from edgedistill.quantize.annotate import activation_quantizers
from edgedistill.quantize.calibrate import calibrate
from edgedistill.quantize.fake import WeightQuantizer
from edgedistill.quantize.graph import attribute, calls
from edgedistill.quantize.patterns import CONVOLUTIONS
from edgedistill.quantize.ties import avoid_ties
from edgedistill.quantize.twin.training import TwinForward
from edgedistill.recipe import Scales

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import fx

    from edgedistill.data.transfer_set import Batch, TransferSet
    from edgedistill.distill.history import Callback, History, StepInfo
    from edgedistill.distill.objective import Objective
    from edgedistill.progress import Progress
    from edgedistill.quantize.calibrate import CalibrationSet
    from edgedistill.recipe import Finetune

RECALIBRATIONS = 4
GROUPS = 6  # place of `groups` among a convolution's arguments


def finetune(
    graph: fx.GraphModule,
    transfer_set: TransferSet,
    objective: Objective,
    *,
    samples: CalibrationSet,
    settings: Finetune,
    seed: int,
    key: str = "",
    checkpoint: Path | None = None,
    evaluate: Callable[[nn.Module], float] | None = None,
    callbacks: Sequence[Callback] = (),
    progress: Progress = SILENT,
) -> History:
    """Train an annotated, calibrated graph in place; afterwards its scales are numbers that the spec allows.

    Args:
        graph: from `annotate.annotate`, calibrated.
        transfer_set: what it is trained on.
        objective: what is made small.
        samples: what ranges are taken from.
        settings: of the training and of the scales.
        seed: as in `training.fit`, as are `key`, `checkpoint`, `evaluate`, `callbacks` and `progress`.
        key: see there.
        checkpoint: see there.
        evaluate: see there.
        callbacks: see there.
        progress: see there.
    """
    scales: _LearnedScales | _Recalibration
    if settings.scales is Scales.LEARNED:
        scales = _LearnedScales(graph, settings)
    else:
        scales = _Recalibration(graph, samples, settings)
    damped = DampedObjective(objective, graph, settings.dampening) if settings.dampening else None
    twin = TwinForward(graph)

    def before_step(info: StepInfo) -> None:
        scales(info)
        if damped:
            damped.before_step(info)
        frozen_at = round(settings.freeze_ranges_after * info.total_steps)
        twin.active = info.step >= max(frozen_at, info.total_steps - settings.exact_steps)

    with twin.attached():
        history = fit(
            graph,
            transfer_set,
            training=settings,
            objective=damped or objective,
            seed=seed,
            key=key,
            checkpoint=checkpoint,
            evaluate=evaluate,
            on_step=before_step,
            callbacks=callbacks,
            title="fine-tune INT8",
            progress=progress,
        )
    scales.finish()
    return history


class DampedObjective:
    """An objective, and the distance of depthwise weights from their codes, whose weight rises as a cosine.

    Depthwise weights have few companions: near the border of two codes a gradient step flips them back and forth, and
    with them the output. Source: Nagel et al. 2022, arXiv:2203.11086, equation 7 and section 4.1.

    Args:
        objective: what else is made small.
        graph: whose depthwise weights are dampened.
        weight: of the distance at the end of the training.
    """

    def __init__(self, objective: Objective, graph: fx.GraphModule, weight: float) -> None:
        self.extra = objective.extra
        self._objective, self._graph, self._most, self._weight = objective, graph, weight, 0.0
        self._depthwise = list(_depthwise_weights(graph))

    def before_step(self, info: StepInfo) -> None:
        """Set the weight for a step."""
        done = info.step / max(1, info.total_steps - 1)
        self._weight = self._most * (1 - math.cos(math.pi * done)) / 2

    def __call__(self, model: nn.Module, inputs: Tensor, batch: Batch, indices: NDArray[np.int64], view: int) -> Tensor:
        """Return the loss and the weighted sum of squared distances."""
        loss = self._objective(model, inputs, batch, indices, view)
        distances = [_distance(attribute(self._graph, node), quantizer) for node, quantizer in self._depthwise]
        return loss + self._weight * torch.stack(distances).sum() if distances else loss


def _depthwise_weights(graph: fx.GraphModule) -> Iterator[tuple[fx.Node, WeightQuantizer]]:
    for node in calls(graph, *CONVOLUTIONS):
        quantizer = graph.get_submodule(str(node.args[1].target)) if node.args[1].op == "call_module" else None  # type: ignore[union-attr] # a node
        groups = node.args[GROUPS] if len(node.args) > GROUPS else 1
        if isinstance(quantizer, WeightQuantizer) and groups != 1:
            yield node.args[1].all_input_nodes[0], quantizer  # type: ignore[union-attr] # as above


def _distance(weight: Tensor, quantizer: WeightQuantizer) -> Tensor:
    rounded: Tensor = quantizer(weight)
    return (rounded.detach() - weight).square().sum()


class _Recalibration:
    """Takes the ranges anew from the calibration samples, a few times, until they are frozen.

    A pure function of weights and step number, so a resumed training does the same.
    """

    def __init__(self, graph: fx.GraphModule, samples: CalibrationSet, settings: Finetune) -> None:
        self.graph, self.samples, self.settings = graph, samples, settings

    def __call__(self, info: StepInfo) -> None:
        frozen_at = round(self.settings.freeze_ranges_after * info.total_steps)
        marks = {round(frozen_at * part / RECALIBRATIONS) for part in range(1, RECALIBRATIONS + 1)}
        if info.step in marks and 0 < info.step <= frozen_at:
            calibrate(self.graph, self.samples)

    def finish(self) -> None:
        """Take the ranges of averaged weights: an average of scales is no scale that the spec allows."""
        if self.settings.ema:
            calibrate(self.graph, self.samples)


class _LearnedScales:
    """Lets the training move the scales until they are frozen."""

    def __init__(self, graph: fx.GraphModule, settings: Finetune) -> None:
        self.graph, self.settings = graph, settings
        self.activations = list(activation_quantizers(graph).values())
        self.weights = [module for module in graph.modules() if isinstance(module, WeightQuantizer)]
        factor = settings.scale_learning_rate / settings.learning_rate
        for quantizer in self.activations:
            quantizer.learn(learning_rate_factor=factor)
        for node, weight in _weight_calls(graph):
            weight.learn(attribute(graph, node), learning_rate_factor=factor)

    def __call__(self, info: StepInfo) -> None:
        frozen_at = round(self.settings.freeze_ranges_after * info.total_steps)
        if info.step == frozen_at:
            self._settle()
            avoid_ties(self.graph)
        elif info.step > frozen_at:  # of a training that goes on: the scales are in its state
            self._freeze()

    def finish(self) -> None:
        """Make every scale one that the spec allows: the training may have ended early, or averaged them."""
        if any(quantizer.learned is not None and quantizer.learned.requires_grad for quantizer in self.activations):
            self._settle()
        for quantizer in self.activations:
            quantizer.snap()
        avoid_ties(self.graph)

    def _settle(self) -> None:
        for quantizer in self.activations:
            quantizer.settle()
        self._freeze()

    def _freeze(self) -> None:
        for quantizer in self.activations:
            quantizer.freeze()
        for weight in self.weights:
            weight.freeze()


def _weight_calls(graph: fx.GraphModule) -> Iterator[tuple[fx.Node, WeightQuantizer]]:
    modules = dict(graph.named_modules())
    for node in graph.graph.nodes:
        module = modules.get(str(node.target)) if node.op == "call_module" else None
        if isinstance(module, WeightQuantizer):
            yield node.all_input_nodes[0], module
