"""Folders of image files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from edgedistill.data.arrays import resize_image
from edgedistill.data.image_folder import decoded
from edgedistill.data.preprocessing import ImagePreprocessing
from edgedistill.data.sources import fingerprint, load
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from edgedistill.data.transfer_set import Samples

COLOUR = ImagePreprocessing(size=(8, 6), channels=3)
GREY = ImagePreprocessing(size=(8, 6), channels=1)


def pixels(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def write(path: Path, image: np.ndarray | Image.Image, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(path, **options)


def flowers(root: Path, count: int = 10) -> Path:
    """Write count images of each of two classes, without a split."""
    for label, name in enumerate(("rose", "aster")):
        for index in range(count):
            write(root / "flowers" / name / f"{index}.png", pixels(100 * label + index, 12, 9, 3))
    return root


def loaded(root: Path, split: str, preprocessing: ImagePreprocessing = COLOUR, *classes: str) -> Samples:
    return load("image-folder:flowers", split, preprocessing, classes, root)


def test_classes_are_folders_and_a_fifth_of_each_is_for_testing(tmp_path: Path) -> None:
    flowers(tmp_path)
    train, test = loaded(tmp_path, "train"), loaded(tmp_path, "test")
    assert train.classes == ("aster", "rose")
    assert np.bincount(train.labels).tolist() == [8, 8]
    assert np.bincount(test.labels).tolist() == [2, 2]
    expected = {
        resize_image(np.asarray(Image.open(path)), 8, 6).tobytes() for path in (tmp_path / "flowers").rglob("*.png")
    }
    assert {image.tobytes() for image in (*train.raw, *test.raw)} == expected


def test_train_and_test_folders_are_taken_as_they_are(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("test", 2)):
        for name in ("a", "b"):
            for index in range(count):
                write(tmp_path / "flowers" / split / name / "deep" / f"{index}.jpg", pixels(index, 9, 9, 3))
    assert np.bincount(loaded(tmp_path, "train").labels).tolist() == [3, 3]
    assert np.bincount(loaded(tmp_path, "test").labels).tolist() == [2, 2]


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    for name in ("train", "plane"):
        write(tmp_path / "flowers" / name / "1.png", pixels(0, 9, 9, 3))
        write(tmp_path / "flowers" / name / "2.png", pixels(1, 9, 9, 3))
    assert loaded(tmp_path, "train").classes == ("plane", "train")


def test_a_train_folder_without_a_test_folder_is_refused(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write(tmp_path / "flowers" / split / "a" / "1.png", pixels(0, 9, 9, 3))
    with pytest.raises(DataError, match="beside: train, val"):
        loaded(tmp_path, "train")


def test_class_names_give_the_order_and_have_to_match(tmp_path: Path) -> None:
    flowers(tmp_path)
    turned = loaded(tmp_path, "train", COLOUR, "rose", "aster")
    assert turned.classes == ("rose", "aster")
    assert (turned.labels == 1 - loaded(tmp_path, "train").labels).all()
    with pytest.raises(DataError, match="did you mean 'rose'"):
        loaded(tmp_path, "train", COLOUR, "roses", "aster")
    with pytest.raises(DataError, match="does not name: aster"):
        loaded(tmp_path, "train", COLOUR, "rose")


def test_images_are_decoded_once_and_memory_mapped(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flowers(tmp_path)
    first = loaded(tmp_path, "train")
    assert isinstance(first.raw, np.memmap)
    assert len(list((cache / "image-folder").glob("*.npy"))) == 1
    monkeypatch.setattr("edgedistill.data.image_folder.decoded", None)
    again = loaded(tmp_path, "train")
    assert again.fingerprint == first.fingerprint
    assert (again.raw == first.raw).all()


def test_the_fingerprint_is_that_of_names_and_contents(tmp_path: Path) -> None:
    flowers(tmp_path)
    first = fingerprint("image-folder:flowers", tmp_path)
    path = tmp_path / "flowers" / "rose" / "0.png"
    os.utime(path, (1, 1))
    assert fingerprint("image-folder:flowers", tmp_path) == first
    write(path, pixels(7, 12, 9, 3))
    second = fingerprint("image-folder:flowers", tmp_path)
    path.rename(path.with_name("x.png"))
    assert len({first, second, fingerprint("image-folder:flowers", tmp_path)}) == 3


def test_photographs_are_turned_upright(tmp_path: Path) -> None:
    image = pixels(0, 12, 9, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated by 90 degrees
    write(tmp_path / "turned.png", image, exif=exif)
    assert (decoded(tmp_path / "turned.png", channels=3) == np.rot90(image, -1)).all()


def test_colours_become_grey_and_grey_becomes_colours(tmp_path: Path) -> None:
    image = pixels(0, 5, 4, 3)
    write(tmp_path / "colour.png", image)
    write(tmp_path / "grey.png", image[..., 0])
    luma = image @ np.array([0.299, 0.587, 0.114])
    assert abs(decoded(tmp_path / "colour.png", channels=1)[..., 0] - luma).max() <= 1
    assert (decoded(tmp_path / "grey.png", channels=3) == image[..., :1]).all()


def test_transparency_is_dropped(tmp_path: Path) -> None:
    image = pixels(0, 5, 4, 4)
    write(tmp_path / "transparent.png", Image.fromarray(image, "RGBA"))
    assert (decoded(tmp_path / "transparent.png", channels=3) == image[..., :3]).all()
    palette = Image.fromarray(image[..., :3]).quantize(4)
    write(tmp_path / "palette.png", palette, transparency=bytes([0, 128, 255, 255]))
    assert (decoded(tmp_path / "palette.png", channels=3) == np.asarray(palette.convert("RGB"))).all()


def test_images_of_more_than_8_bits_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "deep.png", np.full((4, 4), 40_000, np.uint16))
    with pytest.raises(DataError, match="more than 8 bits"):
        decoded(tmp_path / "deep.png", channels=1)


def test_an_unreadable_image_is_named(tmp_path: Path) -> None:
    flowers(tmp_path, count=1)
    broken = tmp_path / "flowers" / "rose" / "0.png"
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(DataError, match=r"image '.*rose/0\.png': it cannot be decoded"):
        loaded(tmp_path, "train")


def test_a_file_of_another_format_than_its_suffix_is_refused(tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(DataError, match="cannot be decoded"):
        decoded(tmp_path / "image.png", channels=1)


def test_large_images_are_refused_before_they_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "large.png", np.zeros((100, 100), np.uint8))
    monkeypatch.setattr("edgedistill.data.image_folder.MAX_PIXELS", 9_999)
    with pytest.raises(DataError, match="100 x 100 pixels"):
        decoded(tmp_path / "large.png", channels=1)
    monkeypatch.setattr("edgedistill.data.image_folder.MAX_PIXELS", 10_000)
    assert decoded(tmp_path / "large.png", channels=1).shape == (100, 100, 1)
    monkeypatch.setattr("edgedistill.data.image_folder.MAX_SIDE", 99)
    with pytest.raises(DataError, match="99 on a side"):
        decoded(tmp_path / "large.png", channels=1)
    monkeypatch.setattr("edgedistill.data.image_folder.MAX_FILE_BYTES", 50)
    with pytest.raises(DataError, match="at most 50"):
        decoded(tmp_path / "large.png", channels=1)


def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "bomb.png", np.zeros((100, 100), np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9_000)  # Pillow itself warns between this and twice this
    with pytest.raises(DataError, match="DecompressionBomb"):
        decoded(tmp_path / "bomb.png", channels=1)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    flowers(tmp_path, count=2)
    write(tmp_path / "secret.png", pixels(0, 9, 9, 3))
    (tmp_path / "flowers" / "rose" / "link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(DataError, match=r"'rose/link\.png' is a link out of the folder"):
        loaded(tmp_path, "train")


def test_a_linked_class_folder_is_refused(tmp_path: Path) -> None:
    flowers(tmp_path, count=2)
    write(tmp_path / "elsewhere" / "1.png", pixels(0, 9, 9, 3))
    (tmp_path / "flowers" / "tulip").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="is a link out of the folder"):
        loaded(tmp_path, "train")


def test_a_link_within_the_folder_is_taken(tmp_path: Path) -> None:
    flowers(tmp_path, count=2)
    (tmp_path / "flowers" / "rose" / "link.png").symlink_to(tmp_path / "flowers" / "rose" / "0.png")
    assert len(loaded(tmp_path, "train")) + len(loaded(tmp_path, "test")) == 5


def test_a_missing_or_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        loaded(tmp_path, "train")
    (tmp_path / "flowers" / "rose").mkdir(parents=True)
    with pytest.raises(DataError, match="no images; its subfolders: rose"):
        loaded(tmp_path, "train")


def test_a_single_class_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "flowers" / "rose" / "1.png", pixels(0, 9, 9, 3))
    with pytest.raises(DataError, match="at least 2 classes"):
        loaded(tmp_path, "train")


def test_a_split_without_images_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / "flowers" / name / "1.png", pixels(0, 9, 9, 3))
    with pytest.raises(DataError, match="no image for 'test'"):
        loaded(tmp_path, "test", GREY)
