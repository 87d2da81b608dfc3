"""The random parameters of one view of sounds, drawn for all samples at once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.data.noise import OCTAVES, SAMPLES
from edgedistill.data.view_draws import generator_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgedistill.data.preprocessing import AudioPreprocessing
    from edgedistill.recipe import AudioViews


@dataclass(frozen=True)
class SoundDraw:
    """The parameters of one view for all n samples; None where the view does not vary so.

    Args:
        shift: (n,), int32: samples, later where positive.
        gain: (n,), float32: factor on the sound.
        noise: (n, 2), int64: which of `noise.OCTAVES`, and where its stretch begins.
        noise_ratio: (n,), float32: root mean square of the noise divided by the sound's.
        masked_frames: (n, 2), int32: first frame, and how many.
        masked_bands: (n, 2), int32: first feature, and how many.
    """

    shift: NDArray[np.int32] | None
    gain: NDArray[np.float32] | None
    noise: NDArray[np.int64] | None
    noise_ratio: NDArray[np.float32] | None
    masked_frames: NDArray[np.int32] | None
    masked_bands: NDArray[np.int32] | None

    def digest(self) -> bytes:
        """Return the sha256 of all parameters."""
        digest = hashlib.sha256()
        for field in fields(self):
            values: NDArray[np.generic] | None = getattr(self, field.name)
            digest.update(b"none" if values is None else values.tobytes())
        return digest.digest()


def drawn_sounds(
    count: int, preprocessing: AudioPreprocessing, views: AudioViews, *, seed: int, view: int
) -> SoundDraw:
    """Draw the parameters of a view; each kind has a generator of its own, so that switching one on changes no other.

    Args:
        count: samples.
        preprocessing: gives sample rate, frames and features.
        views: how a sound is varied.
        seed: of the recipe, 0 or greater.
        view: number of the view.
    """
    shift = gain = noise = noise_ratio = None
    _, frames, features = preprocessing.input_shape
    if views.shift_ms:
        largest = round(views.shift_ms * preprocessing.sample_rate / 1000)
        numbers = generator_of(seed, view, "shift_ms").random(count)
        shift = (np.floor(numbers * (2 * largest + 1)).astype(np.int64) - largest).astype(np.int32)
    if views.gain_db:
        gain = _factors((2 * generator_of(seed, view, "gain_db").random(count) - 1) * views.gain_db)
    if views.snr_db is not None:
        low, high = views.snr_db
        kind, start, level = generator_of(seed, view, "snr_db").random((3, count))
        noise = np.stack([np.floor(kind * len(OCTAVES)), np.floor(start * SAMPLES)], axis=1).astype(np.int64)
        noise_ratio = _factors(-(low + (high - low) * level))
    return SoundDraw(
        shift=shift,
        gain=gain,
        noise=noise,
        noise_ratio=noise_ratio,
        masked_frames=_stretches(
            generator_of(seed, view, "mask_ms"), count, frames, views.mask_ms / preprocessing.hop_ms
        ),
        masked_bands=_stretches(generator_of(seed, view, "mask_bands"), count, features, views.mask_bands),
    )


def _factors(decibels: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.power(10.0, decibels / 20).astype(np.float32)


def _stretches(generator: np.random.Generator, count: int, length: int, most: float) -> NDArray[np.int32] | None:
    """Return stretches (n, 2), first and how many: 0 to `most` of them, evenly likely, anywhere within `length`."""
    longest = min(int(most), length)
    if not longest:
        return None
    first, size = generator.random((2, count))
    sizes = np.floor(size * (longest + 1))
    return np.stack([np.floor(first * (length - sizes + 1)), sizes], axis=1).astype(np.int32)
