"""A small transfer set of noise, for trainings whose result does not matter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedistill.data.transfer_set import Samples
from edgedistill.data.views import transfer_set
from edgedistill.recipe import Data

if TYPE_CHECKING:
    from edgedistill.data.transfer_set import TransferSet

SIDE = 16


def noise_set(count: int = 96) -> TransferSet:
    """Return `count` grey images of 16 x 16 pixels in 5 classes."""
    raw = np.random.default_rng(0).integers(0, 255, (count, SIDE, SIDE, 1), dtype=np.uint8)
    samples = Samples(raw, np.arange(count) % 5, tuple("abcde"), "noise")
    data = Data.model_validate(
        {
            "source": "shapes",
            "preprocessing": {"kind": "image", "size": [SIDE, SIDE], "channels": 1, "mean": [0.5], "std": [0.3]},
            "views": {"count": 1},
        }
    )
    return transfer_set(samples, data.preprocessing, data.views, 0)
