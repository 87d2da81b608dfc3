"""The synthetic image set."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from edgedistill.data.preprocessing import ImagePreprocessing
from edgedistill.data.sources import load

PREPROCESSING = ImagePreprocessing(size=(28, 28), channels=1)
# Teacher outputs are cached by VERSION: whoever changes a pixel raises it, and then this.
PIXELS = {
    "train": "6bbabba155f0cc7ff05f8828db9c825eaf55e3e54281b26b4eacf25cc10c0896",
    "test": "17da73ae6a312e4afe655a3bc2e7b69d685f9135a0262d7096560296741133c0",
}


def test_the_pixels_are_those_of_this_version() -> None:
    for split, expected in PIXELS.items():
        samples = load("shapes", split, PREPROCESSING, (), Path())
        assert hashlib.sha256(samples.raw.tobytes()).hexdigest() == expected


def test_classes_are_balanced_and_the_splits_differ() -> None:
    train, test = (load("shapes", split, PREPROCESSING, (), Path()) for split in ("train", "test"))
    assert np.bincount(train.labels).tolist() == [200] * 6
    assert np.bincount(test.labels).tolist() == [100] * 6
    assert not (train.raw[:600] == test.raw).all()
    assert train.classes == ("disc", "ring", "square", "triangle", "cross", "bars")


def test_the_set_is_learnable_and_not_trivial() -> None:
    train, test = (load("shapes", split, PREPROCESSING, (), Path()) for split in ("train", "test"))
    x, z = (samples.raw.reshape(len(samples), -1) / 255.0 - 0.4 for samples in (train, test))
    nearest = ((x**2).sum(1) - 2 * z @ x.T).argmin(1)
    accuracy = (train.labels[nearest] == test.labels).mean()
    assert 0.4 < accuracy < 0.85  # by the nearest training image; guessing gives 0.17, a small CNN 0.95
