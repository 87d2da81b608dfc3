"""Chooses every activation's range from the histograms of calibration samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch

from edgedistill.calibration.histogram import Histogram
from edgedistill.calibration.ranges import Form, Range, choose_range
from edgedistill.calibration.samples import check_drift, choose_samples
from edgedistill.data.masks import strata
from edgedistill.quantize.annotate import activation_quantizers
from edgedistill.quantize.fake import ActivationQuantizer, Mode
from edgedistill.quantize.ties import avoid_ties

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, fx

    from edgedistill.data.transfer_set import TransferSet
    from edgedistill.recipe import Calibration

BATCH = 64


class CalibrationSamples(Protocol):
    """What ranges are taken from."""

    @property
    def settings(self) -> Calibration:
        """How a range is chosen."""

    def halves(self) -> tuple[Iterable[Tensor], Iterable[Tensor]]:
        """Return two halves of the samples in batches, each (batch, ...)."""


@dataclass(frozen=True)
class GivenBatches:
    """Batches that are at hand.

    Args:
        given: preprocessed samples, each (batch, ...); at least two.
        settings: how a range is chosen.
    """

    given: Sequence[Tensor]
    settings: Calibration

    def halves(self) -> tuple[Iterable[Tensor], Iterable[Tensor]]:
        """Return every other batch, and the rest."""
        return self.given[::2], self.given[1::2]


class CalibrationSet:
    """The samples that ranges come from: stratified by class, preprocessed, not varied.

    Args:
        transfer_set: where they are taken from.
        settings: how many, and how a range is chosen from them.
        seed: of the choice.
    """

    def __init__(self, transfer_set: TransferSet, settings: Calibration, *, seed: int) -> None:
        self.transfer_set, self.settings = transfer_set, settings
        labels = strata(transfer_set.samples.labels)
        # samples without a known class are a class of their own
        self.indices = choose_samples(labels - min(int(labels.min()), 0), count=settings.samples, seed=seed)

    def example(self) -> Tensor:
        """Return two samples (2, *input_shape), to capture a model with."""
        return next(self._batches(self.indices[:2]))

    def halves(self) -> tuple[Iterator[Tensor], Iterator[Tensor]]:
        """Return the batches of the two halves: every other sample, so that both are stratified."""
        return self._batches(self.indices[::2]), self._batches(self.indices[1::2])

    def batches(self, count: int) -> list[Tensor]:
        """Return the first samples, `count` or all there are, in batches."""
        return list(self._batches(self.indices[:count]))

    def _batches(self, indices: NDArray[np.int64]) -> Iterator[Tensor]:
        for start in range(0, len(indices), BATCH):
            yield torch.from_numpy(self.transfer_set.plain(indices[start : start + BATCH]).inputs)


def calibrate(graph: fx.GraphModule, samples: CalibrationSamples, *, max_drift: float | None = None) -> None:
    """Set the range of every activation quantizer of an annotated graph.

    Args:
        graph: from `annotate.annotate`; its weights are already quantized while the activations are observed.
        samples: what to show it.
        max_drift: largest relative difference of the ranges of the two halves of the samples; none means any.

    Raises:
        DataError: an activation is not finite, or a range differs more between the halves.
    """
    quantizers = activation_quantizers(graph)
    first, second = (_observed(graph, quantizers, half) for half in samples.halves())
    if max_drift is not None:
        ranges = (_ranges(quantizers, histograms, samples.settings) for histograms in (first, second))
        check_drift(*ranges, max_drift=max_drift)
    for name, histogram in first.items():
        histogram.merge(second[name])
    for name, found in _ranges(quantizers, first, samples.settings).items():
        quantizers[name].set_range(found.low, found.high)
    avoid_ties(graph)


@torch.no_grad()
def _observed(
    graph: fx.GraphModule, quantizers: Mapping[str, ActivationQuantizer], batches: Iterable[Tensor]
) -> dict[str, Histogram]:
    _set_mode(list(quantizers.values()), Mode.OBSERVE)
    try:
        for batch in batches:
            graph(batch)
    finally:
        _set_mode(list(quantizers.values()), Mode.QUANTIZE)
    return {name: quantizer.histogram for name, quantizer in quantizers.items()}


def _set_mode(quantizers: Sequence[ActivationQuantizer], mode: Mode) -> None:
    for quantizer in quantizers:
        quantizer.mode = mode
        if mode is Mode.OBSERVE:
            quantizer.histogram = Histogram()


def _ranges(
    quantizers: Mapping[str, ActivationQuantizer], histograms: Mapping[str, Histogram], settings: Calibration
) -> dict[str, Range]:
    return {
        name: choose_range(
            histograms[name],
            settings.method,
            form=Form(quantizer.spec.symmetry),
            codes=quantizer.spec.activation_codes[1] - quantizer.spec.activation_codes[0] + 1,
            percent=settings.percentile,
            name=name.removesuffix("_quantizer"),
        )
        for name, quantizer in quantizers.items()
    }
