"""A small synthetic image set that needs no download: six shapes, drawn in noise, 28x28, grey.

It is made by arithmetic that rounds exactly, from a seeded generator's uniform numbers, so that every machine
draws the same pixels.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.data.checks import RawSplit

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgedistill.data.checks import Split

    Plane = NDArray[np.float64]

SIDE = 28
COUNTS: dict[Split, int] = {"train": 1200, "test": 600}
VERSION = 1
"""Raise it with every change of the pixels: caches of the teacher's outputs are keyed by it."""

SYNTHETIC = "shapes drawn by edgedistill"

NOISE = 0.22
"""Half width of the uniform noise, of a full range of 1; the shape's contrast is 0.25 to 0.6."""


def read(split: Split) -> RawSplit:
    """Return one split: images (n, 28, 28, 1) uint8 and labels (n,) int64, as many of each class."""
    key = hashlib.sha256(f"edgedistill shapes|{VERSION}|{split}".encode()).digest()[:16]
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
    labels = np.arange(COUNTS[split], dtype=np.int64) % len(SHAPES)
    return RawSplit(_drawn(labels, generator), labels, tuple(SHAPES), fingerprint(), synthetic=SYNTHETIC)


def fingerprint() -> str:
    """Return a hash of this version of the drawing."""
    return hashlib.sha256(f"edgedistill shapes|{VERSION}".encode()).hexdigest()


def _drawn(labels: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.uint8]:
    """Return images (n, 28, 28, 1): a shape of random place, size, turn, grey on a sloping, noisy ground."""
    count = len(labels)
    right, down, size, turn, ground, slope_x, slope_y, contrast = generator.random((8, count, 1, 1))
    across = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    x, y = np.broadcast_arrays(across[None, None, :], across[None, :, None])
    u, v = _turned(x - 0.6 * (right - 0.5), y - 0.6 * (down - 0.5), turn)
    size = 0.4 + 0.3 * size
    inside = np.zeros((count, SIDE, SIDE), np.bool_)
    for label, shape in enumerate(SHAPES.values()):
        mine = labels == label
        inside[mine] = shape(u[mine] / size[mine], v[mine] / size[mine])
    grey = 0.1 + 0.3 * ground + 0.2 * (slope_x - 0.5) * x + 0.2 * (slope_y - 0.5) * y
    grey += inside * (0.25 + 0.35 * contrast)
    grey += NOISE * (2 * generator.random((count, SIDE, SIDE)) - 1)
    pixels: NDArray[np.uint8] = (np.clip(grey, 0, 1) * 255).astype(np.uint8)
    return pixels[..., None]


def _turned(x: Plane, y: Plane, turn: Plane) -> tuple[Plane, Plane]:
    """Turn by -45 to 45 degrees; the rational form of sine and cosine rounds the same everywhere."""
    half = (2 * turn - 1) * (2**0.5 - 1)
    cosine, sine = (1 - half * half) / (1 + half * half), 2 * half / (1 + half * half)
    return cosine * x - sine * y, sine * x + cosine * y


def _disc(u: Plane, v: Plane) -> NDArray[np.bool_]:
    return u * u + v * v < 1


def _ring(u: Plane, v: Plane) -> NDArray[np.bool_]:
    radius = u * u + v * v
    return (radius < 1) & (radius > 0.35)  # noqa: PLR2004 - where the hole ends


def _square(u: Plane, v: Plane) -> NDArray[np.bool_]:
    return np.maximum(abs(u), abs(v)) < 0.85  # noqa: PLR2004 - about the disc's area


def _triangle(u: Plane, v: Plane) -> NDArray[np.bool_]:
    return (v < 0.75) & (v > 2 * abs(u) - 1)  # noqa: PLR2004 - the base


def _cross(u: Plane, v: Plane) -> NDArray[np.bool_]:
    return (np.minimum(abs(u), abs(v)) < 0.3) & (np.maximum(abs(u), abs(v)) < 1)  # noqa: PLR2004 - half an arm


def _bars(u: Plane, v: Plane) -> NDArray[np.bool_]:
    return (abs(u) < 1) & (abs(abs(v) - 0.6) < 0.3)  # noqa: PLR2004 - half a bar


SHAPES: dict[str, Callable[[Plane, Plane], NDArray[np.bool_]]] = {
    "disc": _disc,
    "ring": _ring,
    "square": _square,
    "triangle": _triangle,
    "cross": _cross,
    "bars": _bars,
}
"""Each says which points of a plane, in units of its size, are inside."""
