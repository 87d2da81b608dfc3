"""The arithmetic of preprocessing: closed form, Pillow, and the oldest Python it has to run on."""

from __future__ import annotations

import ast
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edgedistill.data import arrays
from edgedistill.data.preprocessing import ArrayPreprocessing, ImagePreprocessing

SIDES = st.integers(1, 30)


def random_image(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def by_pillow(image: np.ndarray, height: int, width: int) -> np.ndarray:
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    return np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR)).reshape(height, width, -1)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_scaled_centred_and_turned(channels: int) -> None:
    raw = random_image(0, 5, 6, 7, channels)
    mean, std = (0.1, 0.2, 0.3)[:channels], (0.5, 0.25, 2.0)[:channels]
    preprocessing = ImagePreprocessing(size=(6, 7), channels=channels, mean=mean, std=std)
    found = arrays.preprocess(raw, preprocessing.model_dump(mode="json"))
    expected = ((raw / 255.0 - mean) / std).transpose(0, 3, 1, 2)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-6)


def test_each_operation_rounds_once_to_float32() -> None:
    raw = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    preprocessing = ImagePreprocessing(size=(16, 16), channels=1, mean=(0.2860,), std=(0.3530,))
    found = arrays.preprocess(raw, preprocessing.model_dump(mode="json"))
    one = np.float32
    expected = [(one(pixel) * one(1 / 255) - one(0.2860)) / one(0.3530) for pixel in range(256)]
    assert found.ravel().tobytes() == np.array(expected, np.float32).tobytes()


def test_arrays_are_normalised_along_the_last_axis() -> None:
    raw = np.random.default_rng(0).normal(size=(4, 5, 3)).astype(np.float32)
    kept = raw.copy()
    preprocessing = ArrayPreprocessing(shape=(5, 3), scale=2, mean=(1, 2, 3), std=(0.5, 1, 2))
    found = arrays.preprocess(raw, preprocessing.model_dump(mode="json"))
    np.testing.assert_allclose(found, (raw * 2.0 - [1, 2, 3]) / [0.5, 1, 2], rtol=1e-5, atol=1e-6)
    assert (raw == kept).all()


@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from([1, 3]))
def test_resizing_is_within_one_grey_level_of_pillow(
    rows: int, columns: int, height: int, width: int, channels: int
) -> None:
    image = random_image(rows, rows, columns, channels)
    found = arrays.resize_image(image, height, width).astype(int)
    assert abs(found - by_pillow(image, height, width)).max() <= 1


@given(SIDES, SIDES)
def test_resizing_along_one_axis_is_exactly_pillow(length: int, wanted: int) -> None:
    image = random_image(length, 3, length, 3)
    assert (arrays.resize_image(image, 3, wanted) == by_pillow(image, 3, wanted)).all()


@given(st.integers(1, 12), st.integers(1, 12))
def test_weights_are_those_of_a_triangle_in_exact_fractions(source: int, target: int) -> None:
    indices, weights = arrays.resize_taps(source, target)
    stretch = max(Fraction(1), Fraction(source, target))
    for pixel in range(target):
        centre = (pixel + Fraction(1, 2)) * source / target
        heights = [max(Fraction(0), 1 - abs(x + Fraction(1, 2) - centre) / stretch) for x in range(source)]
        found = np.zeros(source, np.int64)
        np.add.at(found, indices[pixel], weights[pixel])
        exact = [float(height / sum(heights) * 2**arrays.PRECISION_BITS) for height in heights]
        np.testing.assert_allclose(found, exact, atol=0.5001)


@given(st.integers(0, 255), SIDES, SIDES)
def test_a_plain_image_stays_plain(grey: int, side: int, wanted: int) -> None:
    image = np.full((side, side, 1), grey, np.uint8)
    assert (arrays.resize_image(image, wanted, wanted) == grey).all()


def test_a_large_reduction_does_not_wrap_around() -> None:
    assert (arrays.resize_image(np.full((1, 65_000, 1), 255, np.uint8), 1, 1) == 255).all()


def test_images_of_another_size_are_resized_and_an_empty_batch_stays_empty() -> None:
    manifest = ImagePreprocessing(size=(4, 5), channels=1).model_dump(mode="json")
    assert arrays.preprocess(random_image(0, 2, 9, 8, 1), manifest).shape == (2, 1, 4, 5)
    assert arrays.preprocess(np.zeros((0, 9, 8, 1), np.uint8), manifest).shape == (0, 1, 4, 5)


@pytest.mark.parametrize(
    ("raw", "manifest"),
    [
        (np.zeros((2, 4, 4, 3), np.uint8), ImagePreprocessing(size=(4, 4), channels=1)),
        (np.zeros((4, 4, 1), np.uint8), ImagePreprocessing(size=(4, 4), channels=1)),
        (np.zeros((2, 4, 4, 1), np.float32), ImagePreprocessing(size=(4, 4), channels=1)),
        (np.zeros((2, 4), np.float64), ArrayPreprocessing(shape=(4,))),
        (np.zeros((2, 5), np.float32), ArrayPreprocessing(shape=(4,))),
    ],
)
def test_another_shape_or_dtype_is_refused(raw: np.ndarray, manifest: ImagePreprocessing | ArrayPreprocessing) -> None:
    with pytest.raises(ValueError, match=r"found .*; wanted"):
        arrays.preprocess(raw, manifest.model_dump(mode="json"))


def test_the_file_stands_alone_and_parses_as_python_38() -> None:
    tree = ast.parse(Path(arrays.__file__).read_text("utf-8"), feature_version=(3, 8))
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported - {"numpy"} <= sys.stdlib_module_names
