"""Photographs that come with the package scikit-image (mixed licences, see its data/README.txt), read without it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image

SIDE = 224
MEAN, DEVIATION = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
SEEN = (
    "astronaut",
    "brick",
    "camera",
    "coffee",
    "grass",
    "horse",
    "ihc",
    "logo",
    "motorcycle_left",
    "retina",
    "rocket",
    "text",
)
"""For calibration and training."""
UNSEEN = (
    "cell",
    "chelsea",
    "clock_motion",
    "coins",
    "gravel",
    "hubble_deep_field",
    "microaneurysms",
    "moon",
    "page",
)
"""For evaluation; none of them is a photograph of `SEEN`."""


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


def normalised_crops(names: tuple[str, ...], count: int, *, seed: int, smallest: float) -> torch.Tensor:
    """Return crops as ImageNet models want them: (count, 3, 224, 224), float32; arguments as for `crops`."""
    raw = crops(names, count, seed=seed, smallest=smallest)
    images = torch.from_numpy(raw.astype(np.float32) / 255)
    return ((images - MEAN) / DEVIATION).permute(0, 3, 1, 2).contiguous()
