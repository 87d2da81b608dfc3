"""Scenes for segmentation: real garments of Fashion-MNIST on drawn, textured grounds, with a class for every pixel.

The garments are real pictures; where they lie, what covers what and the ground behind them are synthetic, so that the
mask of each scene is known exactly: a garment's pixels brighter than `GARMENT` are its own. One to three garments of
different kinds, cut out there, lie on each scene, later ones above earlier ones. Scenes for training are made of
training pictures alone, those for testing of test pictures. All numbers come from a seeded generator by arithmetic that
rounds exactly: every machine makes the same pixels.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.data import fashion_mnist
from edgedistill.data.checks import RawSplit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgedistill.data.checks import Split

NAME = "garment-scenes"
SIDE, GARMENT_SIDE = 48, 28
COUNTS: dict[Split, int] = {"train": 3000, "test": 500}
VERSION = 1
"""Raise it with every change of the pixels: caches of the teacher's outputs are keyed by it."""

CLASSES = ("ground", "top", "trousers", "dress", "footwear", "bag")
KIND_OF = (1, 2, 1, 3, 1, 4, 1, 4, 5, 4)
"""The class here of each class of Fashion-MNIST: shirts, pullovers and coats are tops, which 28 pixels tell apart."""

GARMENT = 31
"""Pixels of a picture brighter than this, of 255, are the garment; its darkest edge is left out."""
MOST_GARMENTS = 3
TEXTURES = (2, 4, 8, 16)
"""Cells across each layer of a ground; the layers' contrast halves from one to the next."""


def read(split: Split) -> RawSplit:
    """Return one split: scenes (n, 48, 48, 1) uint8 and masks (n, 48, 48) int64.

    Raises:
        DataError: Fashion-MNIST cannot be had.
    """
    pictures = fashion_mnist.read(split)
    key = hashlib.sha256(f"edgedistill {NAME}|{VERSION}|{split}".encode()).digest()[:16]
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
    count = COUNTS[split]
    scenes, masks = grounds(count, generator), np.zeros((count, SIDE, SIDE), np.int64)
    kinds = np.array(KIND_OF)[pictures.labels.astype(np.int64)]
    members = [np.flatnonzero(kinds == kind) for kind in range(1, len(CLASSES))]
    draws = generator.random((count, MOST_GARMENTS, 3))
    present = 1 + np.floor(generator.random(count) * MOST_GARMENTS).astype(int)
    order = np.argsort(generator.random((count, len(members))), axis=1)
    for scene in range(count):
        for place in range(present[scene]):
            kind, (which, down, right) = order[scene, place], draws[scene, place]
            picture = pictures.raw[members[kind][int(which * len(members[kind]))], ..., 0]
            top, left = (int(value * (SIDE - GARMENT_SIDE + 1)) for value in (down, right))
            window = np.s_[scene, top : top + GARMENT_SIDE, left : left + GARMENT_SIDE]
            own = np.asarray(picture > GARMENT)  # type: ignore[operator] # uint8 pixels
            scenes[window][own] = picture[own]
            masks[window][own] = kind + 1
    return RawSplit(scenes[..., None], masks, CLASSES, fingerprint())


def fingerprint() -> str:
    """Return a hash of this version of the scenes and of the pictures that they are made of."""
    return hashlib.sha256(f"edgedistill {NAME}|{VERSION}|{fashion_mnist.fingerprint()}".encode()).hexdigest()


def grounds(count: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Return textured grounds (count, 48, 48), uint8: layers of random cells, smoothed, from coarse to fine."""
    grey = 0.15 + 0.45 * generator.random((count, 1, 1))
    contrast = 0.1 + 0.5 * generator.random((count, 1, 1))
    for layer, cells in enumerate(TEXTURES):
        grey = grey + contrast * 0.5 ** (layer + 1) * _smoothed(generator.random((count, cells + 1, cells + 1)) - 0.5)
    grey = grey + 0.08 * (generator.random((count, SIDE, SIDE)) - 0.5)
    pixels: NDArray[np.uint8] = (np.clip(grey, 0, 1) * 255).astype(np.uint8)
    return pixels


def _smoothed(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values (n, 48, 48) between those at the corners (n, cells + 1, cells + 1), bilinearly."""
    cells = corners.shape[1] - 1
    place = (np.arange(SIDE) + 0.5) * cells / SIDE
    first = np.floor(place).astype(int)
    share = place - first
    rows = corners[:, first] * (1 - share)[:, None] + corners[:, first + 1] * share[:, None]
    smooth: NDArray[np.float64] = rows[:, :, first] * (1 - share) + rows[:, :, first + 1] * share
    return smooth
