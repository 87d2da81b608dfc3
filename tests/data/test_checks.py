"""The one place where samples are checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedistill.data.arrays import resize_image
from edgedistill.data.checks import MAX_BYTES, RawSplit, checked_samples, refuse_large
from edgedistill.data.preprocessing import ArrayPreprocessing, ImagePreprocessing, Preprocessing
from edgedistill.errors import DataError, ResourceError

if TYPE_CHECKING:
    from edgedistill.data.transfer_set import Samples

GREY = ImagePreprocessing(size=(4, 5), channels=1)
ARRAY = ArrayPreprocessing(shape=(3,))


def checked(
    raw: np.ndarray,
    labels: np.ndarray,
    *,
    preprocessing: Preprocessing = ARRAY,
    own: tuple[str, ...] = ("a", "b"),
    classes: tuple[str, ...] = (),
) -> Samples:
    found = RawSplit(raw, labels, own, "f")
    return checked_samples(found, source="npz:x", split="train", preprocessing=preprocessing, classes=classes)


def numbers(n: int = 4) -> np.ndarray:
    return np.arange(3 * n, dtype=np.float32).reshape(n, 3)


def test_good_samples_pass_as_they_are() -> None:
    raw = numbers()
    samples = checked(raw, np.array([0, 1, 1, 0], np.uint8), classes=("no", "yes"))
    assert samples.raw is raw
    assert samples.labels.dtype == np.int64
    assert samples.classes == ("no", "yes")


@pytest.mark.parametrize("dtype", [np.float64, np.int16, np.uint8])
def test_numbers_become_float32(dtype: type[np.generic]) -> None:
    samples = checked(numbers().astype(dtype), np.array([0, 1, 1, 0]))
    assert samples.raw.dtype == np.float32
    assert (samples.raw == numbers()).all()


def test_whole_labels_stored_as_float_are_taken() -> None:
    assert checked(numbers(), np.array([0.0, 1.0, 1.0, 0.0])).labels.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_first_sample_that_is_not_finite_is_named(value: float) -> None:
    raw = numbers(10_000)
    raw[[5001, 9000], 1] = value
    with pytest.raises(DataError, match="NaN or Inf in sample 5001"):
        checked(raw, np.arange(10_000) % 2)


def test_a_number_beyond_float32_is_not_finite() -> None:
    raw = numbers().astype(np.float64)
    raw[2, 0] = 1e300
    with pytest.raises(DataError, match="sample 2"):
        checked(raw, np.array([0, 1, 1, 0]))


def test_a_sample_is_named_by_its_number_in_the_source() -> None:
    raw = numbers()
    raw[1] = np.nan
    found = RawSplit(raw, np.array([0, 1, 1, 0]), ("a", "b"), "f", np.array([10, 20, 30, 40]))
    with pytest.raises(DataError, match="sample 20"):
        checked_samples(found, source="npz:x", split="test", preprocessing=ARRAY, classes=())


@pytest.mark.parametrize("labels", [[0, 1, 2, 5], [0, 1, -1, 1], [0, 1, 0.5, 1], [0, 1, np.nan, 7], [0, 1, np.inf, 1]])
def test_the_first_label_out_of_range_is_named(labels: list[float]) -> None:
    with pytest.raises(DataError, match=r"of sample 2 .*wanted whole numbers from 0 to 1"):
        checked(numbers(), np.array(labels))


@pytest.mark.parametrize("labels", [np.array(["0", "1", "1", "0"]), np.zeros((4, 1), int), np.zeros(4, bool)])
def test_labels_of_another_form_are_refused(labels: np.ndarray) -> None:
    with pytest.raises(DataError, match="wanted whole numbers"):
        checked(numbers(), labels)


def test_a_class_without_training_sample_is_named() -> None:
    with pytest.raises(DataError, match="no training sample of 1 classes: c"):
        checked(numbers(), np.array([0, 1, 1, 3]), own=("a", "b", "c", "d"))


@pytest.mark.parametrize(
    ("own", "classes", "message"),
    [
        (("a", "b"), ("x", "y", "z"), "2 classes, and 'data.classes' names 3"),
        (("a",), (), "at least 2 classes"),
        (("a", "a"), (), "each name once"),
        (("a", "b"), ("x", ""), "each name once"),
    ],
)
def test_class_names_have_to_fit(own: tuple[str, ...], classes: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        checked(numbers(), np.array([0, 1, 1, 0]), own=own, classes=classes)


def test_as_many_labels_as_samples_are_wanted_and_at_least_one() -> None:
    with pytest.raises(DataError, match="4 samples and 3 labels"):
        checked(numbers(), np.array([0, 1, 1]))
    with pytest.raises(DataError, match="no samples"):
        checked(numbers(0), np.zeros(0, int))


def test_images_of_another_size_are_resized() -> None:
    raw = np.random.default_rng(0).integers(0, 256, (2, 9, 8, 1), dtype=np.uint8)
    samples = checked(raw, np.array([0, 1]), preprocessing=GREY)
    assert (samples.raw == np.stack([resize_image(image, 4, 5) for image in raw])).all()


def test_grey_images_are_repeated_where_colours_are_wanted() -> None:
    raw = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 1), dtype=np.uint8)
    samples = checked(raw, np.array([0, 1]), preprocessing=ImagePreprocessing(size=(4, 5), channels=3))
    assert (samples.raw == raw.repeat(3, axis=3)).all()


def test_grey_images_may_come_without_a_channel_axis() -> None:
    raw = np.zeros((2, 4, 5), np.uint8)
    assert checked(raw, np.array([0, 1]), preprocessing=GREY).raw.shape == (2, 4, 5, 1)


@pytest.mark.parametrize(
    "raw", [np.zeros((2, 4, 5, 3), np.uint8), np.zeros((2, 4, 5, 1), np.float32), np.zeros((2, 0, 5, 1), np.uint8)]
)
def test_images_of_another_form_are_refused(raw: np.ndarray) -> None:
    with pytest.raises(DataError):
        checked(raw, np.array([0, 1]), preprocessing=GREY)


def test_arrays_of_another_shape_are_refused() -> None:
    with pytest.raises(DataError, match=r"float32 \(4, 3\); wanted numbers \(n, \*\(4,\)\)"):
        checked(numbers(), np.array([0, 1, 1, 0]), preprocessing=ArrayPreprocessing(shape=(4,)))


def test_too_many_bytes_are_refused_before_they_are_made() -> None:
    refuse_large(MAX_BYTES, thing="x")
    with pytest.raises(ResourceError, match="wanted at most 17"):
        refuse_large(MAX_BYTES + 1, thing="x")
    with pytest.raises(ResourceError):
        checked(
            np.broadcast_to(np.zeros((1, 4, 5, 1), np.uint8), (2000, 4, 5, 1)),
            np.arange(2000) % 2,
            preprocessing=ImagePreprocessing(size=(4096, 4096), channels=1),
        )


def test_the_fingerprint_covers_split_shape_and_classes() -> None:
    labels = np.array([0, 1, 1, 0])
    base = checked(numbers(), labels).fingerprint
    assert base == checked(numbers(), labels).fingerprint
    assert base != checked(numbers(), labels, classes=("b", "a")).fingerprint
