"""Views: pure functions of sample, number and seed; what they do to pixels; what they cost nothing to ask for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.data.arrays import preprocess, resize_image
from edgedistill.data.preprocessing import ArrayPreprocessing, ImagePreprocessing
from edgedistill.data.transfer_set import Batch, Samples, TransferSet
from edgedistill.data.view_draws import drawn
from edgedistill.data.views import transfer_set
from edgedistill.errors import DataError
from edgedistill.recipe import Views

COUNT = 40
EVERYTHING = Views(count=3, flip=True, shift=2, crop=0.5, mixup=0.4)
IMAGES = ImagePreprocessing(size=(9, 8), channels=1, mean=(0.3,), std=(0.4,))


def image_samples(channels: int = 1, fingerprint: str = "images") -> Samples:
    generator = np.random.default_rng(0)
    raw = generator.integers(0, 256, (COUNT, 9, 8, channels), dtype=np.uint8)
    return Samples(raw, generator.integers(0, 4, COUNT), ("a", "b", "c", "d"), fingerprint)


def array_samples() -> Samples:
    generator = np.random.default_rng(0)
    raw = generator.normal(size=(COUNT, 5, 2)).astype(np.float32)
    return Samples(raw, generator.integers(0, 2, COUNT), ("a", "b"), "arrays")


def images_in(views: Views, *, seed: int = 0) -> TransferSet:
    return transfer_set(image_samples(), IMAGES, views, seed)


def equal(one: Batch, other: Batch) -> bool:
    names = ("inputs", "labels", "mixed_labels", "mix")
    return all(getattr(one, name).tobytes() == getattr(other, name).tobytes() for name in names)


@given(st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=12), st.integers(0, 2))
def test_a_view_does_not_depend_on_what_else_is_asked_for(indices: list[int], view: int) -> None:
    together = images_in(EVERYTHING).batch(indices, view=view)
    for place, index in enumerate(indices):
        alone = images_in(EVERYTHING).batch([index], view=view)
        assert alone.inputs[0].tobytes() == together.inputs[place].tobytes()
        assert alone.mixed_labels[0] == together.mixed_labels[place]
        assert alone.mix[0] == together.mix[place]


def test_a_view_is_the_same_every_time_also_after_many_others() -> None:
    views = images_in(Views(count=50, flip=True, shift=2, mixup=0.2))
    first = views.batch(range(COUNT), view=3)
    for view in range(50):
        views.batch([0], view=view)
    assert equal(first, views.batch(range(COUNT), view=3))


def test_views_and_seeds_differ() -> None:
    views, others = images_in(EVERYTHING), images_in(EVERYTHING, seed=1)
    everything = range(COUNT)
    assert not equal(views.batch(everything, view=0), views.batch(everything, view=1))
    assert not equal(views.batch(everything, view=0), others.batch(everything, view=0))


def test_without_settings_a_view_is_the_plain_sample() -> None:
    views = images_in(Views())
    plain = preprocess(views.samples.raw, IMAGES.model_dump(mode="json"))
    assert views.batch(range(COUNT), view=1).inputs.tobytes() == plain.tobytes()
    batch = views.plain([7, 3])
    assert batch.inputs.tobytes() == plain[[7, 3]].tobytes()
    assert (batch.labels == views.samples.labels[[7, 3]]).all()
    assert (batch.mixed_labels == batch.labels).all()
    assert (batch.mix == 0).all()


def test_pixels_are_cropped_shifted_and_mirrored_as_drawn() -> None:
    settings = Views(flip=True, shift=3, crop=0.4)
    samples = image_samples(channels=3)
    preprocessing = ImagePreprocessing(size=(9, 8), channels=3)
    found = transfer_set(samples, preprocessing, settings, 5).batch(range(COUNT), view=2).inputs
    draw = drawn(samples.raw.shape, settings, seed=5, view=2)
    assert draw.crop is not None
    assert draw.shift is not None
    assert draw.flip is not None
    for index in range(COUNT):
        top, left, rows, columns = draw.crop[index]
        image = resize_image(samples.raw[index, top : top + rows, left : left + columns], 9, 8)
        down, right = draw.shift[index]
        padded = np.zeros((15, 14, 3), np.uint8)
        padded[3:12, 3:11] = image
        image = padded[3 - down : 12 - down, 3 - right : 11 - right]
        image = image[:, ::-1] if draw.flip[index] else image
        expected = preprocess(image[None], preprocessing.model_dump(mode="json"))
        assert found[index].tobytes() == expected[0].tobytes()


def test_mixup_is_with_the_same_view_of_the_partner() -> None:
    plain = images_in(Views(flip=True, shift=2, crop=0.5)).batch(range(COUNT), view=2).inputs
    mixed = images_in(Views(flip=True, shift=2, crop=0.5, mixup=0.4)).batch(range(COUNT), view=2)
    partner = drawn((COUNT, 9, 8, 1), Views(mixup=0.4), seed=0, view=2).partner
    assert partner is not None
    share = mixed.mix[:, None, None, None].astype(np.float64)
    np.testing.assert_allclose(mixed.inputs, (1 - share) * plain + share * plain[partner], rtol=1e-5, atol=1e-6)
    assert (mixed.mixed_labels == image_samples().labels[partner]).all()


def test_draws_are_distributed_as_asked_for() -> None:
    n = 20_000
    draw = drawn((n, 64, 48, 3), Views(flip=True, shift=2, crop=0.3, mixup=1.0), seed=0, view=0)
    assert draw.crop is not None
    assert draw.shift is not None
    assert draw.flip is not None
    assert draw.partner is not None
    assert draw.mix is not None
    assert abs(draw.flip.mean() - 0.5) < 0.02
    assert set(np.unique(draw.shift)) == {-2, -1, 0, 1, 2}
    assert abs(draw.shift.mean()) < 0.05
    assert (np.sort(draw.partner) == np.arange(n)).all()
    assert abs(np.quantile(draw.mix, [0.25, 0.5, 0.75]) - [0.25, 0.5, 0.75]).max() < 0.02  # Beta(1, 1) is uniform
    assert ((draw.mix * 65_536) % 1 == 0).all()
    top, left, rows, columns = draw.crop.T
    share = rows * columns / (64 * 48)
    assert share.min() >= 0.3
    assert 0.62 < share.mean() < 0.68
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + rows <= 64).all()
    assert (left + columns <= 48).all()
    assert ((top + rows == 64) & (rows < 64)).any()
    aspect = (rows / 64) / (columns / 48)
    assert 0.72 < aspect.min() < 0.77
    assert 1.3 < aspect.max() < 1.4


@given(st.floats(0.01, 0.999), st.integers(1, 40), st.integers(1, 40))
def test_a_crop_keeps_its_share_and_lies_within_the_image(least: float, height: int, width: int) -> None:
    crop = drawn((200, height, width, 1), Views(crop=least), seed=0, view=0).crop
    assert crop is not None
    top, left, rows, columns = crop.T
    assert (rows * columns >= least * height * width * (1 - 1e-12)).all()
    assert (np.minimum(top, left) >= 0).all()
    assert (top + rows <= height).all()
    assert (left + columns <= width).all()


def test_one_kind_of_variation_does_not_change_another() -> None:
    alone = drawn((COUNT, 9, 8, 1), Views(flip=True), seed=0, view=0)
    both = drawn((COUNT, 9, 8, 1), Views(flip=True, shift=2, mixup=0.2), seed=0, view=0)
    assert alone.flip is not None
    assert both.flip is not None
    assert (alone.flip == both.flip).all()


def test_large_images_are_varied_in_pieces_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = images_in(EVERYTHING).batch(range(COUNT), view=0)
    monkeypatch.setattr("edgedistill.data.views.CHUNK_BYTES", 1000)
    assert equal(whole, images_in(EVERYTHING).batch(range(COUNT), view=0))


@pytest.mark.parametrize(
    ("name", "views"), [("flip", {"flip": True}), ("shift", {"shift": 1}), ("crop", {"crop": 0.9})]
)
def test_views_of_images_are_refused_for_arrays(name: str, views: dict[str, float]) -> None:
    with pytest.raises(DataError, match=rf"'data\.views\.{name}'"):
        transfer_set(array_samples(), ArrayPreprocessing(shape=(5, 2)), Views(**views), 0)


def test_arrays_can_be_mixed() -> None:
    samples = array_samples()
    batch = transfer_set(samples, ArrayPreprocessing(shape=(5, 2)), Views(mixup=1.0), 0).batch([1, 2], view=0)
    assert batch.inputs.shape == (2, 5, 2)
    assert (batch.mix > 0).all()


def test_the_fingerprint_covers_samples_preprocessing_views_and_seed() -> None:
    samples = image_samples()
    base = transfer_set(samples, IMAGES, EVERYTHING, 0).fingerprint
    assert base == transfer_set(samples, IMAGES, EVERYTHING, 0).fingerprint
    others = [
        transfer_set(image_samples(fingerprint="other"), IMAGES, EVERYTHING, 0),
        transfer_set(samples, IMAGES.model_copy(update={"mean": (0.31,)}), EVERYTHING, 0),
        transfer_set(samples, IMAGES, EVERYTHING.model_copy(update={"shift": 3}), 0),
        transfer_set(samples, IMAGES, EVERYTHING, 1),
    ]
    assert len({base, *(other.fingerprint for other in others)}) == 5


def test_the_fingerprint_notices_another_stream_of_random_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    base = images_in(EVERYTHING).fingerprint
    monkeypatch.setattr(
        "edgedistill.data.view_draws.generator_of", lambda seed, view, _: np.random.default_rng([seed, view])
    )
    assert images_in(EVERYTHING).fingerprint != base


@pytest.mark.parametrize("view", [-1, 3])
def test_a_view_that_does_not_exist_is_refused(view: int) -> None:
    with pytest.raises(DataError, match="3 views"):
        images_in(EVERYTHING).batch([0], view=view)


@pytest.mark.parametrize("index", [-1, COUNT])
def test_a_sample_that_does_not_exist_is_refused(index: int) -> None:
    with pytest.raises(DataError, match=f"sample {index}"):
        images_in(EVERYTHING).plain([0, index])


def test_samples_of_another_shape_are_refused() -> None:
    with pytest.raises(DataError, match="wanted uint8"):
        transfer_set(image_samples(), IMAGES.model_copy(update={"size": (8, 8)}), Views(), 0)


def test_an_empty_batch_is_empty() -> None:
    assert images_in(EVERYTHING).batch([], view=0).inputs.shape == (0, 1, 9, 8)
