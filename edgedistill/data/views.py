"""The transfer set: samples in views. A view of a sample depends on its number and the seed alone."""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING, cast

import numpy as np

from edgedistill.data.arrays import preprocess
from edgedistill.data.masks import are_masks, moved
from edgedistill.data.sound_views import ViewedSounds
from edgedistill.data.text_views import TokenizedTexts
from edgedistill.data.transfer_set import Batch, checked_indices, require_view
from edgedistill.data.view_draws import drawn
from edgedistill.data.view_kinds import refuse_other_views
from edgedistill.data.view_mix import mix_in, unmixed
from edgedistill.data.view_pixels import cropped, mirrored, shifted
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgedistill.data.preprocessing import ArrayPreprocessing, ImagePreprocessing, Preprocessing
    from edgedistill.data.tokenizers import Tokenizer
    from edgedistill.data.transfer_set import Samples, TransferSet
    from edgedistill.data.view_draws import ViewDraw
    from edgedistill.recipe import Views

    Viewed = ImagePreprocessing | ArrayPreprocessing

CHUNK_BYTES = 1 << 20
"""Samples are varied in pieces whose intermediate arrays have about this size and stay in the CPU's cache."""

DRAWS_KEPT = 8
"""Views whose parameters are kept in memory; others are drawn again, with the same result."""


def transfer_set(
    samples: Samples,
    preprocessing: Preprocessing,
    views: Views,
    seed: int,
    *,
    tokenizer: Tokenizer | None = None,
    workers: int = 1,
) -> TransferSet:
    """Return samples in views.

    Args:
        samples: raw samples at the shape that the preprocessing wants.
        preprocessing: from raw sample to model input.
        views: how a sample is varied.
        seed: of all random choices, 0 or greater.
        tokenizer: of texts.
        workers: threads that may make its batches, 0 or more; they decide nothing else.

    Raises:
        DataError: a view is asked for that such samples do not have, the samples have another shape, or texts come
            without a tokenizer.
    """
    if preprocessing.kind == "text":
        if tokenizer is None:
            raise DataError("texts", found="no tokenizer", wanted="the one of the model that is to see them")
        return TokenizedTexts(samples, tokenizer, views, seed, workers=workers)
    if preprocessing.kind == "audio":
        return ViewedSounds(samples, preprocessing, views, seed, workers=workers)
    return ViewedSamples(samples, preprocessing, views, seed, workers=workers)


class ViewedSamples:
    """Samples in memory or memory-mapped, and their views. Implements `TransferSet`.

    A view varies the raw pixels (random resized crop, then shift, then flip), preprocesses them and mixes
    them with the same view of another sample. All parameters of one view are drawn at once for all samples:
    what is asked for together with a sample never changes it.

    Args:
        samples: raw samples at the shape that the preprocessing wants.
        preprocessing: from raw sample to model input.
        views: how a sample is varied.
        seed: of all random choices, 0 or greater.
        workers: threads that may make its batches.

    Raises:
        DataError: a view is asked for that such samples do not have, or the samples have another shape.
    """

    def __init__(self, samples: Samples, preprocessing: Viewed, views: Views, seed: int, *, workers: int = 1) -> None:
        refuse_other_views(preprocessing.kind, views)
        _refuse_other_shape(samples, preprocessing)
        self.samples, self.workers = samples, workers
        self._raw = cast("NDArray[np.uint8] | NDArray[np.float32]", samples.raw)  # the dtype was compared just now
        self.preprocessing: Preprocessing = preprocessing
        self._views = views
        self._seed = seed
        self._manifest = preprocessing.model_dump(mode="json")
        self._draw = functools.lru_cache(DRAWS_KEPT)(functools.partial(drawn, samples.raw.shape, views, seed=seed))

    @property
    def fingerprint(self) -> str:
        """Sha256 of samples, preprocessing, view settings, seed and what they draw.

        The parameters of view 0 are part of it, because numpy may change the stream of a distribution from
        one version to the next (NEP 19): a cache of other views is then not mistaken for one of these.
        """
        digest = hashlib.sha256()
        for part in (
            "views/1",
            self.samples.fingerprint,
            self.preprocessing.model_dump_json(),
            self._views.model_dump_json(exclude=self._views.unused),
            str(self._seed),
        ):
            digest.update(part.encode() + b"\n")
        digest.update(self._draw(view=0).digest())
        return digest.hexdigest()

    @property
    def view_count(self) -> int:
        """Views of each sample."""
        return self._views.count

    def __len__(self) -> int:
        return len(self.samples)

    def batch(self, indices: Sequence[int] | NDArray[np.int64], *, view: int) -> Batch:
        """Return view `view` (0 to view_count - 1) of some samples; the same every time.

        Raises:
            DataError: there is no such view or no such sample.
        """
        require_view(view, count=self.view_count)
        chosen = checked_indices(indices, count=len(self))
        draw = self._draw(view=view)
        inputs = self._inputs(chosen, draw)
        labels = self._labels(chosen, draw)
        if draw.partner is None or draw.mix is None:
            return unmixed(inputs, labels)
        partners, mix = draw.partner[chosen], draw.mix[chosen]
        mix_in(inputs, self._inputs(partners, draw), mix)
        return Batch(inputs=inputs, labels=labels, mixed_labels=self._labels(partners, draw), mix=mix)

    def plain(self, indices: Sequence[int] | NDArray[np.int64]) -> Batch:
        """Return samples preprocessed and not varied, as in evaluation.

        Raises:
            DataError: there is no such sample.
        """
        chosen = checked_indices(indices, count=len(self))
        return unmixed(preprocess(self._raw[chosen], self._manifest), self.samples.labels[chosen])

    def _inputs(self, chosen: NDArray[np.int64], draw: ViewDraw) -> NDArray[np.float32]:
        """Return varied, preprocessed samples (batch, *input_shape), without mixup."""
        if not draw.varies_pixels:
            return self._with_noise(preprocess(self._amplified(chosen, draw), self._manifest), chosen, draw)
        inputs = np.empty((len(chosen), *self.preprocessing.input_shape), np.float32)
        step = max(1, CHUNK_BYTES // inputs[:1].nbytes) if len(chosen) else 1
        for start in range(0, len(chosen), step):
            part = slice(start, start + step)
            inputs[part] = preprocess(self._pixels(chosen[part], draw), self._manifest)
        return inputs

    def _amplified(self, chosen: NDArray[np.int64], draw: ViewDraw) -> NDArray[np.uint8] | NDArray[np.float32]:
        """Return raw samples at the amplitude of the view."""
        raw = self._raw[chosen]
        if draw.gain is None:
            return raw
        amplified: NDArray[np.float32] = raw * draw.gain[chosen].reshape(-1, *[1] * (raw.ndim - 1))
        return amplified

    def _with_noise(
        self, inputs: NDArray[np.float32], chosen: NDArray[np.int64], draw: ViewDraw
    ) -> NDArray[np.float32]:
        """Add the view's noise to inputs, in place."""
        if self._views.noise:
            for place, sample in enumerate(chosen):
                inputs[place] += np.float32(self._views.noise) * draw.noise(int(sample), inputs.shape[1:])
        return inputs

    def _labels(self, chosen: NDArray[np.int64], draw: ViewDraw) -> NDArray[np.int64]:
        """Return the labels of varied samples: masks move with their images."""
        labels = self.samples.labels[chosen]
        return moved(labels, draw, chosen) if are_masks(labels) and draw.varies_pixels else labels

    def _pixels(self, chosen: NDArray[np.int64], draw: ViewDraw) -> NDArray[np.uint8]:
        """Return varied images (batch, height, width, channels), uint8."""
        images: NDArray[np.uint8] = self._raw[chosen]  # type: ignore[assignment] # refused for arrays
        if draw.crop is not None:
            images = cropped(images, draw.crop[chosen])
        if draw.shift is not None:
            images = shifted(images, draw.shift[chosen])
        if draw.flip is not None:
            images = mirrored(images, draw.flip[chosen])
        return images


def _refuse_other_shape(samples: Samples, preprocessing: Preprocessing) -> None:
    dtype = np.dtype(np.uint8 if preprocessing.kind == "image" else np.float32)
    if samples.raw.dtype != dtype or samples.raw.shape[1:] != preprocessing.raw_shape:
        raise DataError(
            "samples",
            found=f"{samples.raw.dtype} {samples.raw.shape[1:]}",
            wanted=f"{dtype} {preprocessing.raw_shape}, as 'data.preprocessing' says",
        )
