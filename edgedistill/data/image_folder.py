"""A folder of image files, one subfolder per class, decoded once into the cache."""

from __future__ import annotations

import hashlib
import warnings
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.cache import cache_folder
from edgedistill.data import class_folder
from edgedistill.data.arrays import resize_image
from edgedistill.data.checks import RawSplit
from edgedistill.data.whole_file import written_whole
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image

    from edgedistill.data.checks import Split
    from edgedistill.data.class_folder import ClassFile
    from edgedistill.data.preprocessing import ImagePreprocessing
    from edgedistill.progress import Progress

FORMATS = {
    ".bmp": "BMP",
    ".jpeg": "JPEG",
    ".jpg": "JPEG",
    ".pgm": "PPM",
    ".png": "PNG",
    ".ppm": "PPM",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
}
"""Formats by suffix. Pillow is kept from guessing: one of its formats runs a PostScript interpreter."""

KIND = class_folder.FileKind("image-folder", tuple(FORMATS), lambda: f"pillow {version('pillow')}")

MAX_FILE_BYTES = 64 << 20
MAX_PIXELS, MAX_SIDE = 64_000_000, 32_768
"""Largest image that is decoded; a small file may claim to be much larger."""

DEEP_MODES = ("I", "F")
"""Pillow's modes of more than 8 bits, which it would clip to 255 without a word."""


def read(
    folder: Path,
    split: Split,
    *,
    preprocessing: ImagePreprocessing,
    classes: tuple[str, ...],
    progress: Progress,
) -> RawSplit:
    """Return one split; its pixels are memory-mapped from the cache.

    The folder holds `train/CLASS/*` and `test/CLASS/*`, or `CLASS/*`, of which a fifth of each class is for
    testing. Transparency is dropped, as `Image.convert` does.

    Args:
        folder: of the images.
        split: "train" or "test".
        preprocessing: size and channels wanted.
        classes: names in label order, which must be the folder's; empty takes them sorted.
        progress: told of each image that is decoded.

    Raises:
        DataError: the folder is empty, an image cannot be decoded or is too large, or a link leads out of it.
        ResourceError: the disk is full.
    """
    thing = f"'image-folder:{folder}'"
    files = class_folder.listed(folder, KIND, thing=thing)
    names = class_folder.class_names({file.label for file in files}, classes, thing=thing)
    mine = class_folder.of_split(files, names, split)
    if not mine:
        raise DataError(thing, found=f"no image for '{split}'", fix=f"add some below '{folder / split}'")
    labels = np.array([names.index(file.label) for file in mine], np.int64)
    content = class_folder.fingerprint(files, KIND)
    text = "|".join((content, split, repr(preprocessing.raw_shape), *(file.name for file in mine)))
    kept = cache_folder() / "image-folder" / f"{hashlib.sha256(text.encode()).hexdigest()}.npy"
    if not kept.exists():
        _decode(mine, preprocessing, kept, progress)
    return RawSplit(np.load(kept, mmap_mode="r"), labels, names, content)


def fingerprint(folder: Path) -> str:
    """Return the sha256 of all images' names and contents, and of the version of Pillow that decodes them.

    The contents are read again only where a name, size or time of change is another than before.

    Raises:
        DataError: the folder is empty, or a link leads out of it.
    """
    return class_folder.fingerprint(class_folder.listed(folder, KIND, thing=f"'image-folder:{folder}'"), KIND)


def _decode(files: list[ClassFile], preprocessing: ImagePreprocessing, kept: Path, progress: Progress) -> None:
    """Write the pixels of all files (n, height, width, channels), uint8, as one .npy."""
    with written_whole(kept) as path, progress.track("decoding images", total=len(files)) as tracker:
        shape = (len(files), *preprocessing.raw_shape)
        pixels = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
        for index, file in enumerate(files):
            image = decoded(file.path, channels=preprocessing.channels)
            pixels[index] = resize_image(image, *preprocessing.size)
            tracker.advance()
        pixels.flush()


def decoded(path: Path, *, channels: int) -> NDArray[np.uint8]:
    """Return the pixels of an image file, upright, (height, width, channels), uint8.

    Args:
        path: of the file; its suffix says its format.
        channels: 1 for grey, 3 for red, green, blue.

    Raises:
        DataError: the file is no image of its suffix's format, or is too large.
    """
    from PIL import Image, ImageOps  # noqa: PLC0415 - planning a run needs no decoder

    thing = f"image '{path}'"
    size_bytes = path.stat().st_size
    if size_bytes > MAX_FILE_BYTES:
        raise DataError(thing, found=f"{size_bytes:,} bytes", wanted=f"at most {MAX_FILE_BYTES:,}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a camera's broken remarks are no reason to refuse its picture
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=[FORMATS[path.suffix.lower()]]) as image:
                _refuse(image, thing=thing)
                upright = ImageOps.exif_transpose(image)
                pixels = np.asarray(_converted(upright, "L" if channels == 1 else "RGB"))
    except DataError:
        raise
    except Exception as error:  # Pillow's decoders raise whatever a broken file makes them
        raise DataError(
            thing, found=f"it cannot be decoded: {type(error).__name__}: {error}", fix="remove or replace it"
        ) from error
    return pixels.reshape(*pixels.shape[:2], channels)


def _refuse(image: Image.Image, *, thing: str) -> None:
    if image.width * image.height > MAX_PIXELS or max(image.size) > MAX_SIDE:
        found = f"{image.width} x {image.height} pixels"
        raise DataError(thing, found=found, wanted=f"at most {MAX_PIXELS:,}, and {MAX_SIDE:,} on a side")
    if image.mode.split(";")[0] in DEEP_MODES:
        fix = "convert it to 8 bits, scaled as the device's camera would"
        raise DataError(thing, found=f"more than 8 bits per channel (mode {image.mode})", fix=fix)


def _converted(image: Image.Image, mode: str) -> Image.Image:
    """Return the image in another mode; by way of RGBA where a palette has transparent colours."""
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert(mode)
