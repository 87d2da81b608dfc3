"""How much each layer's quantization moves the outputs: measured one layer at a time."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from edgedistill.progress import SILENT
from edgedistill.quantize.annotate import origin
from edgedistill.quantize.fake import ActivationQuantizer, BiasQuantizer, Mode, WeightQuantizer
from edgedistill.quantize.graph import layer_of
from edgedistill.quantize.patterns import Role, role_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor, fx

    from edgedistill.progress import Progress

    Quantizer = ActivationQuantizer | WeightQuantizer | BiasQuantizer

EXACT_DB = 200.0  # what a comparison without any difference is said to have


@dataclass(frozen=True)
class Sensitivity:
    """What quantizing one sum of products does to the outputs.

    Args:
        node: name of the operator in the graph.
        layer: dotted path of the module it comes from.
        alone_sqnr_db: signal to quantization noise of the outputs, in dB, with this operator alone quantized.
        alone_agreement: share of samples with the same highest output as in float, with it alone quantized.
        others_sqnr_db: the same noise with everything quantized but this operator.
        others_agreement: as `alone_agreement`, with everything quantized but this operator.
    """

    node: str
    layer: str
    alone_sqnr_db: float
    alone_agreement: float
    others_sqnr_db: float
    others_agreement: float


@torch.no_grad()
def sensitivities(
    graph: fx.GraphModule, batches: Sequence[Tensor], *, progress: Progress = SILENT
) -> tuple[Sensitivity, ...]:
    """Return the effect of each sum of products with a weight or two factors, in graph order.

    Args:
        graph: from `annotate.annotate`, calibrated; left as it was.
        batches: preprocessed samples, each (batch, ...).
        progress: where layers are counted.
    """
    quantizers = [module for module in graph.modules() if _is_quantizer(module)]
    with _modes(quantizers, Mode.PASS):
        exact = _outputs(graph, batches)
    found = []
    operators = list(_operators(graph))
    with progress.track("sensitivity", total=len(operators)) as tracker:
        for node, own in operators:
            with _modes(quantizers, Mode.PASS), _modes(own, Mode.QUANTIZE):
                alone = _outputs(graph, batches)
            with _modes(own, Mode.PASS):
                others = _outputs(graph, batches)
            found.append(
                Sensitivity(
                    node=node.name,
                    layer=layer_of(node),
                    alone_sqnr_db=sqnr_db(exact, alone),
                    alone_agreement=agreement(exact, alone),
                    others_sqnr_db=sqnr_db(exact, others),
                    others_agreement=agreement(exact, others),
                )
            )
            tracker.advance()
    return tuple(found)


def sqnr_db(exact: Tensor, quantized: Tensor) -> float:
    """Return 10 log10(signal power / noise power), at most `EXACT_DB`."""
    noise = float((exact.double() - quantized.double()).square().mean())
    signal = float(exact.double().square().mean())
    return min(EXACT_DB, 10 * math.log10(signal / noise)) if noise > 0 and signal > 0 else EXACT_DB


def agreement(exact: Tensor, quantized: Tensor) -> float:
    """Return the share of samples whose highest output (over axis 1) is the same."""
    return float((exact.argmax(1) == quantized.argmax(1)).double().mean())


def _operators(graph: fx.GraphModule) -> Iterator[tuple[fx.Node, list[Quantizer]]]:
    """Yield each sum of products and the quantizers of what it reads."""
    modules = dict(graph.named_modules())
    for node in graph.graph.nodes:
        if role_of(node) not in (Role.WEIGHTED, Role.PRODUCT):
            continue
        read = [modules.get(str(origin(argument).target)) for argument in node.all_input_nodes]
        own = [module for module in read if _is_quantizer(module)]
        if own:
            yield node, own  # type: ignore[misc] # looked at


def _is_quantizer(module: object) -> bool:
    return isinstance(module, ActivationQuantizer | WeightQuantizer | BiasQuantizer)


@contextlib.contextmanager
def _modes(quantizers: Sequence[object], mode: Mode) -> Iterator[None]:
    before = [quantizer.mode for quantizer in quantizers]  # type: ignore[attr-defined] # quantizers only
    for quantizer in quantizers:
        quantizer.mode = mode  # type: ignore[attr-defined] # as above
    try:
        yield
    finally:
        for quantizer, old in zip(quantizers, before, strict=True):
            quantizer.mode = old  # type: ignore[attr-defined] # as above


def _outputs(graph: fx.GraphModule, batches: Sequence[Tensor]) -> Tensor:
    return torch.cat([graph(batch) for batch in batches])
