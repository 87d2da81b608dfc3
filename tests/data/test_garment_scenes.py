from __future__ import annotations

import numpy as np
import pytest

from edgedistill.data import fashion_mnist, garment_scenes
from edgedistill.data.checks import RawSplit, Split


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    def pictures(split: Split) -> RawSplit:
        labels = np.arange(40) % 10
        raw = np.zeros((40, 28, 28, 1), np.uint8)
        raw[:, 4:24, 8:20, 0] = 100 + labels[:, None, None] + (100 if split == "test" else 0)
        raw[:, 4:24, 20, 0] = garment_scenes.GARMENT  # an edge that is not bright enough
        return RawSplit(raw, labels.astype(np.uint8), fashion_mnist.CLASSES, "pictures")

    monkeypatch.setattr(fashion_mnist, "read", pictures)
    monkeypatch.setattr(garment_scenes, "COUNTS", {"train": 60, "test": 20})


@pytest.mark.usefixtures("small")
def test_a_garments_pixels_have_its_class_and_no_others() -> None:
    split = garment_scenes.read("train")
    kinds = np.array(garment_scenes.KIND_OF)
    assert (split.raw.shape, split.labels.shape) == ((60, 48, 48, 1), (60, 48, 48))
    worn = split.labels > 0
    assert (kinds[split.raw[..., 0][worn].astype(int) - 100] == split.labels[worn]).all()
    assert set(np.unique(split.labels)) == set(range(len(garment_scenes.CLASSES)))
    present = [len(np.unique(mask[mask > 0])) for mask in split.labels]
    assert set(present) == {1, 2, 3}
    assert (split.labels > 0).sum((1, 2)).max() <= 3 * 20 * 12


@pytest.mark.usefixtures("small")
def test_scenes_are_the_same_every_time_and_differ_between_the_splits() -> None:
    first, again, other = (garment_scenes.read(split) for split in ("train", "train", "test"))
    assert first.raw.tobytes() == again.raw.tobytes()
    assert first.labels.tobytes() == again.labels.tobytes()
    assert (first.labels[:20] != other.labels).any()
    assert (other.raw[..., 0][other.labels > 0] >= 200).all()  # test scenes are made of test pictures alone


def test_every_class_of_fashion_mnist_has_one_here() -> None:
    assert len(garment_scenes.KIND_OF) == len(fashion_mnist.CLASSES)
    assert set(garment_scenes.KIND_OF) == set(range(1, len(garment_scenes.CLASSES)))


def test_grounds_have_texture_and_no_garments_brightness_alone() -> None:
    found = garment_scenes.grounds(30, np.random.default_rng(0))
    assert found.shape == (30, 48, 48)
    assert (found.std((1, 2)) > 3).all()
    assert found.mean((1, 2)).std() > 10
