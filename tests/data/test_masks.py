"""Masks move as their images do, and stand for one class where one is wanted."""

from __future__ import annotations

import numpy as np
import pytest

from edgedistill.data.checks import RawSplit, checked_labels, checked_samples
from edgedistill.data.few_labels import with_few_labels
from edgedistill.data.masks import moved, strata
from edgedistill.data.preprocessing import ImagePreprocessing
from edgedistill.data.transfer_set import UNKNOWN, Samples
from edgedistill.data.view_draws import drawn
from edgedistill.data.views import transfer_set
from edgedistill.errors import DataError
from edgedistill.recipe import Views

COUNT, HEIGHT, WIDTH = 20, 9, 8
PLAIN = ImagePreprocessing(size=(HEIGHT, WIDTH), channels=1, scale=1 / 50)


def some_samples() -> Samples:
    """Return samples whose pixels are 50 at class 0, 100 at class 1 and so on, so that an image is its mask."""
    masks = np.random.default_rng(0).integers(0, 4, (COUNT, HEIGHT, WIDTH))
    raw = (50 * (masks + 1)).astype(np.uint8)[..., None]
    return Samples(raw, masks, ("a", "b", "c", "d"), "masks")


@pytest.mark.parametrize("views", [Views(flip=True), Views(shift=3), Views(flip=True, shift=3)])
def test_a_mask_moves_with_its_image(views: Views) -> None:
    samples = transfer_set(some_samples(), PLAIN, views, 5)
    for view in range(samples.view_count):
        batch = samples.batch(range(COUNT), view=view)
        # what is shifted in is 0 in the image, one below class 0, as UNKNOWN is
        assert (np.rint(batch.inputs[:, 0]).astype(int) - 1 == batch.labels).all()
    assert (samples.batch([2], view=0).labels != samples.batch([2], view=1).labels).any()


def test_a_crop_takes_the_nearest_pixel() -> None:
    views = Views(crop=0.3)
    masks = some_samples().labels
    draw = drawn((COUNT, HEIGHT, WIDTH, 1), views, seed=1, view=0)
    assert draw.crop is not None
    chosen = np.array([3, 11])
    found = moved(masks[chosen], draw, chosen)
    for place, sample in enumerate(chosen):
        top, left, rows, columns = draw.crop[sample].tolist()
        for row in range(HEIGHT):
            for column in range(WIDTH):
                source = (top + int((row + 0.5) * rows / HEIGHT), left + int((column + 0.5) * columns / WIDTH))
                assert found[place, row, column] == masks[sample][source]


def test_a_crop_of_a_wide_edge_stays_with_the_image() -> None:
    masks = np.zeros((COUNT, 40, 40), np.int64)
    masks[:, :, 20:] = 1
    raw = (masks * 200).astype(np.uint8)[..., None]
    preprocessing = ImagePreprocessing(size=(40, 40), channels=1, scale=1 / 200)
    views = transfer_set(Samples(raw, masks, ("a", "b"), "f"), preprocessing, Views(crop=0.4, flip=True, shift=2), 0)
    batch = views.batch(range(COUNT), view=0)
    known = batch.labels != UNKNOWN
    assert ((batch.inputs[:, 0] > 0.5) == (batch.labels == 1))[known].mean() > 0.98


def test_mixed_views_have_the_partners_masks() -> None:
    batch = transfer_set(some_samples(), PLAIN, Views(mixup=1.0, shift=1), 0).batch(range(COUNT), view=0)
    one, other = batch.labels + 1, batch.mixed_labels + 1
    share = batch.mix[:, None, None]
    np.testing.assert_allclose(batch.inputs[:, 0], (1 - share) * one + share * other, rtol=1e-5, atol=1e-5)


def test_a_mask_stands_for_the_class_that_it_has_more_of_than_others() -> None:
    masks = np.zeros((4, 3, 3), np.int64)
    masks[1, 0, 0], masks[2, :2], masks[3] = 1, 2, UNKNOWN
    assert strata(masks).tolist() == [0, 1, 2, UNKNOWN]
    assert strata(np.array([3, UNKNOWN])).tolist() == [3, UNKNOWN]


def test_few_labels_leave_whole_masks_unknown() -> None:
    few = with_few_labels(some_samples(), share=0.25, seed=0)
    known = (few.labels != UNKNOWN).reshape(COUNT, -1)
    assert (known.all(1) | ~known.any(1)).all()
    assert 0 < known.all(1).sum() < COUNT / 2


def test_masks_are_checked() -> None:
    samples = some_samples()
    assert checked_labels(np.full((1, 2, 2), UNKNOWN), 2, thing="x").tolist() == [[[-1, -1], [-1, -1]]]
    with pytest.raises(DataError, match="label 4 of sample 1"):
        checked_labels(np.array([[[0, 0]], [[0, 4]]]), 4, thing="x")
    with pytest.raises(DataError, match="label -1 of sample 0"):
        checked_labels(np.array([UNKNOWN]), 4, thing="x")
    with pytest.raises(DataError, match="size of the masks"):
        checked_samples(
            RawSplit(samples.raw, samples.labels[:, 1:], samples.classes, "f"),
            source="x",
            split="train",
            preprocessing=PLAIN,
            classes=(),
        )
