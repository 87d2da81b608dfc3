"""The one place where samples are checked before anything else sees them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from edgedistill.data.arrays import IMAGE_AXES, resize_image
from edgedistill.data.masks import AXES, are_masks
from edgedistill.data.sound import features
from edgedistill.data.transfer_set import UNKNOWN, Samples
from edgedistill.errors import DataError, ResourceError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgedistill.data.preprocessing import (
        ArrayPreprocessing,
        AudioPreprocessing,
        ImagePreprocessing,
        NumericPreprocessing,
    )
    from edgedistill.data.transfer_set import Raw

Split = Literal["train", "test"]

MAX_CLASSES = 65_536
"""Most classes that are counted from labels alone; a higher label is more likely a mistake."""

MAX_BYTES = 16 << 30
"""Largest set of samples that is held in memory."""

CHECK_ROWS = 4096
"""Samples are searched for NaN in pieces of this many, so that a large set needs no copy."""


@dataclass(frozen=True)
class RawSplit:
    """One split as its source has it, unchecked.

    Args:
        raw: (n, ...), any numeric dtype.
        labels: (n,), or masks (n, height, width), any dtype.
        classes: class names in label order.
        fingerprint: sha256 over what it was read from.
        numbers: (n,), int64: each sample's number in the source; None where the split is all of it.
        synthetic: what made the samples, where no sensor or person did.
    """

    raw: NDArray[np.generic]
    labels: NDArray[np.generic]
    classes: tuple[str, ...]
    fingerprint: str
    numbers: NDArray[np.int64] | None = None
    synthetic: str = ""

    def number(self, index: int) -> int:
        """Return the number in the source of the split's sample `index`."""
        return index if self.numbers is None else int(self.numbers[index])


def checked_samples(
    found: RawSplit, *, source: str, split: Split, preprocessing: NumericPreprocessing, classes: tuple[str, ...]
) -> Samples:
    """Return samples that fit the preprocessing and the classes.

    Images of another size are resized and grey images are repeated where red, green, blue is wanted; numbers
    become float32 where arrays are wanted. Nothing else is changed.

    Args:
        found: the split as its source has it.
        source: as the recipe has it.
        split: "train" or "test".
        preprocessing: from raw sample to model input.
        classes: the recipe's class names; empty takes the source's own.

    Raises:
        DataError: NaN or Inf, another shape or dtype, a label out of range, a class without training sample;
            names the first sample at fault.
        ResourceError: the resized images would not fit into memory.
    """
    thing = f"'{source}' ({split})"
    names = _class_names(found.classes, classes, thing=thing)
    labels = checked_labels(found.labels, len(names), thing=thing)
    if are_masks(labels) and labels.shape[1:] != preprocessing.raw_shape[:2]:
        raise DataError(
            thing,
            found=f"masks {labels.shape[1:]} for samples {preprocessing.raw_shape}",
            wanted="a class for every pixel of the model's input",
            fix="set 'data.preprocessing.size' to the size of the masks",
        )
    if len(labels) != len(found.raw):
        raise DataError(thing, found=f"{len(found.raw)} samples and {len(labels)} labels")
    if not len(labels):
        raise DataError(thing, found="no samples")
    if split == "train":
        _refuse_empty_classes(labels, names, thing=thing)
    raw = _raw(found, preprocessing, thing=thing)
    text = "|".join((found.fingerprint, split, repr(preprocessing.raw_shape), repr(names)))
    fingerprint = hashlib.sha256(text.encode()).hexdigest()
    return Samples(raw=raw, labels=labels, classes=names, fingerprint=fingerprint, synthetic=found.synthetic)


def numbered_classes(labels: NDArray[np.generic], *, thing: str) -> tuple[str, ...]:
    """Return the names "0" to the highest of some labels.

    Raises:
        DataError: a label is no whole number from 0 to MAX_CLASSES - 1.
    """
    whole = checked_labels(labels, MAX_CLASSES, thing=thing)
    return tuple(str(label) for label in range(int(whole.max(initial=-1)) + 1))


def checked_labels(labels: NDArray[np.generic], classes: int, *, thing: str) -> NDArray[np.int64]:
    """Return labels as int64.

    Args:
        labels: (n,), or masks (n, height, width), whole numbers of any dtype. A mask may have UNKNOWN, -1, for pixels
            that are not to count.
        classes: how many classes there are.
        thing: what has them, for the error.

    Raises:
        DataError: another shape, or a label is no whole number from 0 to classes - 1; names the first one.
    """
    if labels.ndim not in (1, AXES) or labels.dtype.kind not in "iuf":
        wanted = "whole numbers (n,), or (n, height, width) where every pixel has a class"
        raise DataError(thing, found=f"labels {labels.dtype} {labels.shape}", wanted=wanted)
    least = UNKNOWN if labels.ndim == AXES else 0
    values = labels.astype(np.float64)  # exact for every label in range
    bad = ~((values >= least) & (values < classes) & (values == np.rint(values)))
    if bad.any():
        first = np.unravel_index(int(np.argmax(bad)), bad.shape)
        raise DataError(
            thing,
            found=f"label {labels[first]} of sample {first[0]} ({int(bad.sum())} such labels)",
            wanted=f"whole numbers from 0 to {classes - 1}",
            fix="where there are more classes, name them all in 'data.classes'",
        )
    return labels.astype(np.int64)


def refuse_large(size_bytes: int, *, thing: str) -> None:
    """Raise where samples are too large to be held in memory.

    Raises:
        ResourceError: they are.
    """
    if size_bytes > MAX_BYTES:
        raise ResourceError(
            thing,
            found=f"{size_bytes / 1e9:,.1f} GB of samples",
            wanted=f"at most {MAX_BYTES / 1e9:,.1f} GB in memory",
            fix="use fewer samples, a smaller 'data.preprocessing.size', or an `image-folder` (kept on disk)",
        )


def _class_names(own: tuple[str, ...], chosen: tuple[str, ...], *, thing: str) -> tuple[str, ...]:
    names = chosen or own
    if chosen and len(chosen) != len(own):
        raise DataError(
            thing,
            found=f"{len(own)} classes, and 'data.classes' names {len(chosen)}",
            wanted=f"{len(own)} names in label order",
        )
    if len(names) < 2:  # noqa: PLR2004 - one class is nothing to tell apart
        raise DataError(thing, found=f"classes: {', '.join(names) or 'none'}", wanted="at least 2 classes")
    if len(set(names)) < len(names) or not all(names):
        raise DataError(thing, found=f"classes: {', '.join(names)}", wanted="each name once, and none empty")
    return names


def _refuse_empty_classes(labels: NDArray[np.int64], names: tuple[str, ...], *, thing: str) -> None:
    counts = np.bincount(labels[labels != UNKNOWN], minlength=len(names))
    missing = [name for name, count in zip(names, counts, strict=True) if not count]
    if missing:
        raise DataError(
            thing,
            found=f"no training sample of {len(missing)} classes: {', '.join(missing[:5])}",
            wanted="at least one of each",
        )


def _raw(found: RawSplit, preprocessing: NumericPreprocessing, *, thing: str) -> Raw:
    if preprocessing.kind == "image":
        return _images(found.raw, preprocessing, thing=thing)
    if preprocessing.kind == "audio":
        return _sounds(found.raw, preprocessing, thing=thing)
    return _arrays(found, preprocessing, thing=thing)


def _sounds(raw: NDArray[np.generic], preprocessing: AudioPreprocessing, *, thing: str) -> NDArray[np.int16]:
    if raw.dtype != np.int16 or raw.shape[1:] != preprocessing.raw_shape:
        (samples,) = preprocessing.raw_shape
        raise DataError(
            thing,
            found=f"{raw.dtype} {raw.shape}",
            wanted=f"int16 sounds (n, {samples})",
            fix="keep sounds raw: features belong to 'data.preprocessing', which also runs on the device",
        )
    try:
        features(np.zeros((1, *preprocessing.raw_shape), np.int16), preprocessing.model_dump(mode="json"))
    except ValueError as error:  # a band without a frequency
        raise DataError("'data.preprocessing'", found=str(error)) from error
    return cast("NDArray[np.int16]", raw)


def _images(raw: NDArray[np.generic], preprocessing: ImagePreprocessing, *, thing: str) -> NDArray[np.uint8]:
    channels = preprocessing.channels
    if raw.ndim == IMAGE_AXES - 1 and channels == 1:
        raw = raw[..., None]
    if raw.dtype != np.uint8 or raw.ndim != IMAGE_AXES or raw.shape[3] not in (1, channels):
        raise DataError(
            thing,
            found=f"{raw.dtype} {raw.shape}",
            wanted=f"uint8 images (n, height, width, {channels})",
            fix="keep pixels raw: scaling belongs to 'data.preprocessing', which also runs on the device",
        )
    pixels = cast("NDArray[np.uint8]", raw)
    if pixels.shape[1:] == preprocessing.raw_shape:
        return pixels
    if 0 in pixels.shape:
        raise DataError(thing, found=f"images without pixels: {pixels.shape}")
    refuse_large(len(pixels) * int(np.prod(preprocessing.raw_shape)), thing=thing)
    if pixels.shape[1:3] != preprocessing.size:
        pixels = np.stack([resize_image(image, *preprocessing.size) for image in pixels])
    return np.repeat(pixels, channels // pixels.shape[3], axis=3)


def _arrays(found: RawSplit, preprocessing: ArrayPreprocessing, *, thing: str) -> NDArray[np.float32]:
    raw = found.raw
    if raw.dtype.kind not in "iuf" or raw.shape[1:] != preprocessing.raw_shape:
        raise DataError(thing, found=f"{raw.dtype} {raw.shape}", wanted=f"numbers (n, *{preprocessing.raw_shape})")
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes Inf, which is refused below
        values = raw.astype(np.float32, copy=False)
    for start in range(0, len(values), CHECK_ROWS):
        finite = np.isfinite(values[start : start + CHECK_ROWS]).reshape(-1, values[0].size).all(axis=1)
        if not finite.all():
            number = found.number(start + int(np.argmin(finite)))
            raise DataError(thing, found=f"NaN or Inf in sample {number}", wanted="finite float32 numbers")
    return values
