"""The random parameters of one view, drawn for all samples at once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgedistill.recipe import Views

LARGEST_ASPECT = 4 / 3
"""Largest aspect ratio of a crop, relative to the image's own (arXiv:1409.4842, section 6)."""

MIX_STEPS = 1 << 16
"""The share of a mixed-in sample is a multiple of 1 / MIX_STEPS: it and 1 minus it are exact in float32."""

HALF = 0.5


@dataclass(frozen=True)
class ViewDraw:
    """The parameters of one view for all n samples; None where the view does not vary so.

    Args:
        crop: (n, 4), int32: top, left, height, width in pixels.
        shift: (n, 2), int32: down and right in pixels.
        flip: (n,), bool.
        partner: (n,), int64: the sample mixed in; a permutation.
        mix: (n,), float32: its share.
        gain: (n,), float32: factor on a sample's amplitude.
        seed: of the recipe.
        view: number of the view.
    """

    crop: NDArray[np.int32] | None
    shift: NDArray[np.int32] | None
    flip: NDArray[np.bool_] | None
    partner: NDArray[np.int64] | None
    mix: NDArray[np.float32] | None
    gain: NDArray[np.float32] | None = None
    seed: int = 0
    view: int = 0

    @property
    def varies_pixels(self) -> bool:
        """Whether raw pixels are moved."""
        return self.crop is not None or self.shift is not None or self.flip is not None

    def digest(self) -> bytes:
        """Return the sha256 of all parameters."""
        digest = hashlib.sha256()
        for values in (self.crop, self.shift, self.flip, self.partner, self.mix):
            digest.update(b"none" if values is None else values.tobytes())
        if self.gain is not None:
            digest.update(self.gain.tobytes())
        return digest.digest()

    def noise(self, sample: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return the noise of one sample, standard normal: a generator for each, as all of it would not fit."""
        return generator_of(self.seed, self.view, f"noise {sample}").standard_normal(shape, np.float32)


def drawn(raw_shape: tuple[int, ...], views: Views, *, seed: int, view: int) -> ViewDraw:
    """Draw the parameters of a view.

    Each kind has a generator of its own, so that switching one on changes no other.

    Args:
        raw_shape: shape of all raw samples, (n, height, width, channels) or (n, ...).
        views: how a sample is varied.
        seed: of the recipe, 0 or greater.
        view: number of the view.
    """
    count = raw_shape[0]
    crop = shift = flip = partner = mix = gain = None
    if views.crop < 1:
        crop = _crops(generator_of(seed, view, "crop"), raw_shape, least=views.crop)
    if views.shift:
        shift = _shifts(generator_of(seed, view, "shift"), count, largest=views.shift)
    if views.flip:
        flip = generator_of(seed, view, "flip").random(count) < HALF
    if views.mixup:
        partner = generator_of(seed, view, "partner").permutation(count)
        mix = _shares(generator_of(seed, view, "mix"), count, alpha=views.mixup)
    if views.gain:
        factors = 1 + views.gain * (2 * generator_of(seed, view, "gain").random(count) - 1)
        gain = factors.astype(np.float32)
    return ViewDraw(crop=crop, shift=shift, flip=flip, partner=partner, mix=mix, gain=gain, seed=seed, view=view)


def generator_of(seed: int, view: int, kind: str) -> np.random.Generator:
    """Return the generator of one kind of variation of one view."""
    key = hashlib.sha256(f"edgedistill view|{seed}|{view}|{kind}".encode()).digest()[:16]
    return np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))


def _crops(generator: np.random.Generator, raw_shape: tuple[int, ...], *, least: float) -> NDArray[np.int32]:
    """Return boxes (n, 4) that keep at least a share of the area; top, left, height, width in pixels.

    The aspect ratio stays where a box of the drawn area fits into the image, so that no draw is repeated.
    Only operations with exact rounding are used, no logarithm: every machine draws the same boxes.
    """
    count, height, width = raw_shape[:3]
    area, aspect, upright, down, right = generator.random((5, count))
    area = least + (1 - least) * area
    aspect = 1 + (np.minimum(LARGEST_ASPECT, 1 / area) - 1) * aspect
    aspect = np.where(upright < HALF, aspect, 1 / aspect)
    rows = np.clip(np.ceil(height * np.sqrt(area * aspect)), 1, height)
    columns = np.clip(np.ceil(width * np.sqrt(area / aspect)), 1, width)
    top, left = np.floor(down * (height - rows + 1)), np.floor(right * (width - columns + 1))
    return np.stack([top, left, rows, columns], axis=1).astype(np.int32)


def _shifts(generator: np.random.Generator, count: int, *, largest: int) -> NDArray[np.int32]:
    steps = np.floor(generator.random((count, 2)) * (2 * largest + 1)).astype(np.int32)
    return steps - np.int32(largest)


def _shares(generator: np.random.Generator, count: int, *, alpha: float) -> NDArray[np.float32]:
    """Return shares (n,) from Beta(alpha, alpha) in multiples of 1 / MIX_STEPS."""
    steps = np.rint(generator.beta(alpha, alpha, count) * MIX_STEPS)
    return (steps / MIX_STEPS).astype(np.float32)
