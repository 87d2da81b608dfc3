from __future__ import annotations

import numpy as np
import pytest

from edgedistill.data.preprocessing import ArrayPreprocessing, ImagePreprocessing
from edgedistill.data.transfer_set import Samples
from edgedistill.data.views import ViewedSamples
from edgedistill.errors import DataError
from edgedistill.recipe import Views

PREPROCESSING = ArrayPreprocessing(shape=(16, 2), mean=(1.0, 2.0), std=(2.0, 4.0))


def viewed(seed: int = 0, **views: float) -> ViewedSamples:
    raw = np.random.default_rng(3).normal(size=(40, 16, 2)).astype(np.float32)
    samples = Samples(raw=raw, labels=np.arange(40) % 2, classes=("a", "b"), fingerprint="f")
    return ViewedSamples(samples, PREPROCESSING, Views(count=3, **views), seed)


def test_noise_has_the_deviation_of_a_normalised_input() -> None:
    signals = viewed(noise=0.25)
    everything = range(40)
    noise = signals.batch(everything, view=0).inputs - signals.plain(everything).inputs
    assert noise.std() == pytest.approx(0.25, rel=0.05)
    assert abs(noise.mean()) < 0.02


def test_a_view_of_a_sample_is_the_same_whatever_is_asked_for_with_it() -> None:
    signals = viewed(noise=0.25, gain=0.2)
    whole = signals.batch(range(40), view=1).inputs
    assert (signals.batch([7, 3], view=1).inputs == whole[[7, 3]]).all()
    assert not (signals.batch([7, 3], view=2).inputs == whole[[7, 3]]).any()
    assert not (
        viewed(1, noise=0.25).batch([7], view=1).inputs == viewed(0, noise=0.25).batch([7], view=1).inputs
    ).any()


def test_gain_multiplies_the_raw_signal() -> None:
    signals = viewed(gain=0.2)
    inputs = signals.batch(range(40), view=0).inputs
    raw = inputs * np.float32([2, 4]) + np.float32([1, 2])
    factors = (raw / signals.samples.raw).reshape(40, -1)
    np.testing.assert_allclose(factors, factors[:, :1].repeat(32, 1), rtol=2e-3)
    assert 0.8 <= factors.min() < 0.9
    assert 1.1 < factors.max() <= 1.2


@pytest.mark.parametrize("name", ["noise", "gain"])
def test_images_have_neither(name: str) -> None:
    samples = Samples(np.zeros((2, 8, 8, 1), np.uint8), np.zeros(2, np.int64), ("a", "b"), "f")
    with pytest.raises(DataError, match=name):
        ViewedSamples(samples, ImagePreprocessing(size=(8, 8), channels=1), Views(**{name: 0.1}), 0)


def test_views_without_them_have_the_fingerprint_they_had_before_these_settings() -> None:
    assert "noise" not in Views(count=3).model_dump_json(exclude=Views(count=3).unused)
    assert viewed().fingerprint != viewed(noise=0.1).fingerprint
    assert viewed().fingerprint != viewed(gain=0.1).fingerprint
