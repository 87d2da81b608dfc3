"""The transfer set of sounds: moved, louder or quieter, noisy, partly masked."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from edgedistill.data.noise import OCTAVES, mixed
from edgedistill.data.sound import preprocess
from edgedistill.data.sound_draws import drawn_sounds
from edgedistill.data.transfer_set import Batch, checked_indices, require_view
from edgedistill.data.view_draws import drawn
from edgedistill.data.view_kinds import refuse_other_views
from edgedistill.data.view_mix import mix_in, unmixed
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgedistill.data.preprocessing import AudioPreprocessing, Preprocessing
    from edgedistill.data.sound_draws import SoundDraw
    from edgedistill.data.transfer_set import Samples
    from edgedistill.recipe import Views

KEPT_BYTES = 512 << 20
"""Features that are kept in memory; those of other views are computed again, with the same result."""

DRAWS_KEPT = 8
KINDS = tuple(OCTAVES)


@dataclass
class _Kept:
    """Features of one view, computed as they are asked for.

    Args:
        inputs: (n, *input_shape), float32.
        ready: (n,), bool: which of them are computed.
    """

    inputs: NDArray[np.float32]
    ready: NDArray[np.bool_]


class ViewedSounds:
    """Sounds and their views. Implements `TransferSet`.

    A view moves the sound in time, adds noise, makes it louder or quieter, computes the features and masks a stretch of
    frames and of bands by the mean (arXiv:1904.08779, section 2), then mixes in another sample's. Features are kept in
    memory where they fit, so that an epoch over views that were seen before costs no transform.

    Args:
        samples: sounds at the length that the preprocessing wants.
        preprocessing: from sound to features.
        views: how a sound is varied.
        seed: of all random choices, 0 or greater.
        workers: threads that may make its batches.

    Raises:
        DataError: a view is asked for that sounds do not have, or the samples have another form.
    """

    def __init__(
        self, samples: Samples, preprocessing: AudioPreprocessing, views: Views, seed: int, *, workers: int = 1
    ) -> None:
        refuse_other_views("audio", views)
        if samples.raw.dtype != np.int16 or samples.raw.shape[1:] != preprocessing.raw_shape:
            raise DataError(
                "samples",
                found=f"{samples.raw.dtype} {samples.raw.shape[1:]}",
                wanted=f"int16 {preprocessing.raw_shape}, as 'data.preprocessing' says",
            )
        self.samples, self.workers = samples, workers
        self.preprocessing: Preprocessing = preprocessing
        self._raw = cast("NDArray[np.int16]", samples.raw)  # the dtype was compared just now
        self._views, self._seed = views, seed
        self._manifest = preprocessing.model_dump(mode="json")
        shape = samples.raw.shape
        self._mix = functools.lru_cache(DRAWS_KEPT)(functools.partial(drawn, shape, views, seed=seed))
        self._draw = functools.lru_cache(DRAWS_KEPT)(
            functools.partial(drawn_sounds, len(samples), preprocessing, views.audio, seed=seed)
        )
        self._fit = KEPT_BYTES // max(1, 4 * len(samples) * int(np.prod(preprocessing.input_shape)))
        self._kept = functools.lru_cache(max(1, self._fit))(self._empty)

    @property
    def fingerprint(self) -> str:
        """Sha256 of samples, preprocessing, view settings, seed and what they draw; see `ViewedSamples.fingerprint`."""
        digest = hashlib.sha256()
        for part in (
            "sound-views/1",
            self.samples.fingerprint,
            self.preprocessing.model_dump_json(),
            self._views.model_dump_json(),
            str(self._seed),
        ):
            digest.update(part.encode() + b"\n")
        digest.update(self._mix(view=0).digest())
        digest.update(self._draw(view=0).digest())
        return digest.hexdigest()

    @property
    def view_count(self) -> int:
        """Views of each sound."""
        return self._views.count

    def __len__(self) -> int:
        return len(self.samples)

    def batch(self, indices: Sequence[int] | NDArray[np.int64], *, view: int) -> Batch:
        """Return view `view` (0 to view_count - 1) of some sounds; the same every time.

        Raises:
            DataError: there is no such view or no such sound.
        """
        require_view(view, count=self.view_count)
        chosen = checked_indices(indices, count=len(self))
        inputs, labels = self._inputs(chosen, view), self.samples.labels[chosen]
        draw = self._mix(view=view)
        if draw.partner is None or draw.mix is None:
            return unmixed(inputs, labels)
        partners, mix = draw.partner[chosen], draw.mix[chosen]
        mix_in(inputs, self._inputs(partners, view), mix)
        return Batch(inputs=inputs, labels=labels, mixed_labels=self.samples.labels[partners], mix=mix)

    def plain(self, indices: Sequence[int] | NDArray[np.int64]) -> Batch:
        """Return sounds as they are, as in evaluation.

        Raises:
            DataError: there is no such sound.
        """
        chosen = checked_indices(indices, count=len(self))
        return unmixed(self._inputs(chosen, None), self.samples.labels[chosen])

    def _empty(self, view: int | None) -> _Kept:  # noqa: ARG002 - the key it is kept under
        inputs = np.empty((len(self), *self.preprocessing.input_shape), np.float32)
        return _Kept(inputs, np.zeros(len(self), np.bool_))

    def _inputs(self, chosen: NDArray[np.int64], view: int | None) -> NDArray[np.float32]:
        """Return features of some sounds, (batch, *input_shape), without mixup; a copy."""
        if not self._fit:
            return self._computed(chosen, view)
        kept = self._kept(view)
        missing = np.unique(chosen[~kept.ready[chosen]])
        kept.inputs[missing] = self._computed(missing, view)
        kept.ready[missing] = True
        return kept.inputs[chosen]

    def _computed(self, chosen: NDArray[np.int64], view: int | None) -> NDArray[np.float32]:
        if view is None:
            return preprocess(self._raw[chosen], self._manifest)
        draw = self._draw(view=view)
        sounds = self._raw[chosen]
        for row, index in enumerate(chosen.tolist()):
            sounds[row] = varied(sounds[row], draw, index)
        inputs = preprocess(sounds, self._manifest)
        for row, index in enumerate(chosen.tolist()):
            _mask(inputs[row], draw, index)
        return inputs


def varied(sound: NDArray[np.int16], draw: SoundDraw, index: int) -> NDArray[np.int16]:
    """Return one sound moved, noisy, louder or quieter, as sample `index` of a draw says.

    Args:
        sound: (samples,), int16.
        draw: of a view.
        index: of the sample.
    """
    if draw.shift is not None:
        sound = _moved(sound, int(draw.shift[index]))
    gain = 1.0 if draw.gain is None else float(draw.gain[index])
    if draw.noise is not None and draw.noise_ratio is not None:
        kind, start = draw.noise[index].tolist()
        return mixed(sound, KINDS[kind], start=start, ratio=float(draw.noise_ratio[index]), gain=gain)
    if draw.gain is None:
        return sound
    return np.rint(sound.astype(np.float64) * gain).clip(-32768, 32767).astype(np.int16)


def _moved(sound: NDArray[np.int16], later: int) -> NDArray[np.int16]:
    moved = np.zeros_like(sound)
    if abs(later) < len(sound):
        moved[max(later, 0) : len(sound) + min(later, 0)] = sound[max(-later, 0) : len(sound) - max(later, 0)]
    return moved


def _mask(inputs: NDArray[np.float32], draw: SoundDraw, index: int) -> None:
    """Set a stretch of frames and of features of (1, frames, features) to 0, the mean, in place."""
    if draw.masked_frames is not None:
        first, count = draw.masked_frames[index].tolist()
        inputs[:, first : first + count] = 0
    if draw.masked_bands is not None:
        first, count = draw.masked_bands[index].tolist()
        inputs[:, :, first : first + count] = 0
