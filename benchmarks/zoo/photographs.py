"""Photographs that come with the package scikit-image (mixed licences, see its data/README.txt), read without it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 224


def crops(names: tuple[str, ...], count: int, *, seed: int, smallest: float) -> np.ndarray:
    """Return (count, 224, 224, 3), uint8: square crops of photographs, in turn.

    Args:
        names: of the photographs, without suffix.
        count: how many crops.
        seed: of their places and sizes.
        smallest: side of the smallest crop, as a share of the photograph's shorter side.
    """
    specification = find_spec("skimage")  # the package itself, which needs more packages, is not imported
    if specification is None or not specification.submodule_search_locations:
        raise SystemExit("the photographs need scikit-image: pip install --no-deps scikit-image==0.26.0")
    folder = Path(specification.submodule_search_locations[0]) / "data"
    files = sorted(path for path in folder.iterdir() if path.stem in names)
    images = [Image.open(path).convert("RGB") for path in files]
    generator = np.random.default_rng(seed)
    found = np.empty((count, SIDE, SIDE, 3), np.uint8)
    for index in range(count):
        image = images[index % len(images)]
        side = int(min(image.size) * generator.uniform(smallest, 1.0))
        left, top = (int(generator.integers(0, size - side + 1)) for size in image.size)
        crop = image.crop((left, top, left + side, top + side))
        found[index] = np.asarray(crop.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    return found
