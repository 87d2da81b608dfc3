"""The recipe's `data.source`."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgedistill.data.preprocessing import ArrayPreprocessing, ImagePreprocessing
from edgedistill.data.sources import fingerprint, load
from edgedistill.errors import DataError

IMAGE = ImagePreprocessing(size=(28, 28), channels=1)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("shape", "did you mean 'shapes'"),
        ("", "it has: audio-folder, fashion-mnist, garment-scenes, image-folder, keywords, npz, python, shapes"),
        ("npz", "wanted 'npz:PATH'"),
        ("image-folder:", "wanted 'image-folder:PATH'"),
        ("shapes:28", "wanted 'shapes'"),
    ],
)
def test_an_unknown_source_lists_what_there_is(source: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(source, "train", IMAGE, (), Path())
    with pytest.raises(DataError, match=message):
        fingerprint(source, Path())


def test_sources_differ_in_their_fingerprints() -> None:
    assert fingerprint("shapes", Path()) != fingerprint("fashion-mnist", Path())


def test_images_are_not_read_as_arrays() -> None:
    with pytest.raises(DataError, match="kind: image"):
        load("shapes", "train", ArrayPreprocessing(shape=(784,)), (), Path())


def test_a_built_in_set_is_resized_and_coloured_as_the_recipe_wants() -> None:
    samples = load("shapes", "test", ImagePreprocessing(size=(14, 20), channels=3), (), Path())
    assert samples.raw.shape == (600, 14, 20, 3)
