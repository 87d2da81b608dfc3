"""From raw samples to model inputs, in numpy alone. This very file is copied onto devices.

It imports nothing but numpy and the standard library and runs on Python 3.8 with numpy 1.17 and later.
Every step is an integer operation or a single float32 operation of IEEE 754 (add, subtract, multiply,
divide), in a fixed order, so that the workstation and the device compute the same bits. Errors are
`ValueError`, because the device has no `edgedistill.errors`.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Raw = NDArray[np.uint8] | NDArray[np.float32]

PRECISION_BITS = 22
"""Fraction bits of a resize weight: 255 * 2^22 and its rounding stay below 2^31. Pillow uses as many."""

IMAGE_AXES = 4
"""Axes of a batch of images: n, height, width, channels."""


def preprocess(raw: Raw, manifest: Mapping[str, object]) -> NDArray[np.float32]:
    """Return model inputs of a batch of raw samples.

    Args:
        raw: (n, height, width, channels) uint8 for images of any size, or (n, *shape) float32 for arrays.
        manifest: JSON form of the preprocessing, `ImagePreprocessing.model_dump(mode="json")` or that of
            `ArrayPreprocessing`.

    Returns:
        (n, channels, height, width) or (n, *shape), float32, C-contiguous.

    Raises:
        ValueError: the batch's dtype or shape is not the one that the preprocessing wants.
    """
    scale, mean, std = (_numbers(manifest, name) for name in ("scale", "mean", "std"))
    kind = manifest["kind"]
    if kind == "image":
        return preprocess_images(
            _pixels(raw, manifest), size=_shape(manifest, "size"), scale=scale[0], mean=mean, std=std
        )
    if kind != "array":
        message = f"preprocessing kind: found {kind!r}; wanted 'image' or 'array'."
        raise ValueError(message)
    return preprocess_array(_values(raw, manifest), scale=scale[0], mean=mean, std=std)


def preprocess_images(
    raw: NDArray[np.uint8],
    *,
    size: Sequence[int],
    scale: float,
    mean: Sequence[float],
    std: Sequence[float],
) -> NDArray[np.float32]:
    """Return `(pixel * scale - mean) / std` of images, resized where their size is another.

    Args:
        raw: (n, height, width, channels), uint8.
        size: height and width in pixels that the model wants.
        scale: factor on the pixel value 0 to 255.
        mean: one value, or one per channel; subtracted after scaling.
        std: one value, or one per channel; divides last.

    Returns:
        (n, channels, *size), float32, C-contiguous.
    """
    height, width = size
    if raw.shape[1:3] != (height, width):
        resized = [resize_image(image, height, width) for image in raw]
        raw = np.stack(resized) if resized else np.zeros((0, height, width, raw.shape[3]), np.uint8)
    inputs = np.ascontiguousarray(raw.transpose(0, 3, 1, 2), dtype=np.float32)
    return _normalised(inputs, scale, _column(mean), _column(std))


def preprocess_array(
    raw: NDArray[np.float32], *, scale: float, mean: Sequence[float], std: Sequence[float]
) -> NDArray[np.float32]:
    """Return `(x * scale - mean) / std` along the last axis.

    Args:
        raw: (n, ..., elements), float32; stays as it is.
        scale: factor applied first.
        mean: one value, or one per element of the last axis; subtracted after scaling.
        std: one value, or one per element of the last axis; divides last.

    Returns:
        The same shape, float32, C-contiguous.
    """
    inputs = np.array(raw, dtype=np.float32, order="C")
    return _normalised(inputs, scale, np.asarray(mean, np.float32), np.asarray(std, np.float32))


def resize_image(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Return an image of another size: antialiased bilinear, in integers, the same bytes on every machine.

    The method is Pillow's (`Image.resize` with `BILINEAR`): a triangle filter, stretched by the factor of
    reduction, across the columns and then down the rows, rounded to whole grey levels after each. The
    result is within 1 grey level of Pillow's (Pillow 13 takes the axes in either order).

    Args:
        image: (rows, columns, channels), uint8.
        height: rows wanted, at least 1.
        width: columns wanted, at least 1.

    Returns:
        (height, width, channels), uint8.
    """
    rows, columns = image.shape[:2]
    if columns != width:
        image = _resized(image, width, axis=1)
    if rows != height:
        image = _resized(image, height, axis=0)
    return image


@functools.lru_cache(maxsize=1024)
def resize_taps(source: int, target: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return which pixels of a line make each pixel of a resized line, and with what weight.

    With lengths in units of 1 / (2 * target) source pixels, every centre and every height of the triangle
    is a whole number, so that no rounding comes before the one that makes the weights.

    Args:
        source: pixels of the line, at least 1.
        target: pixels wanted, at least 1.

    Returns:
        Indices (target, taps), int64, within the line; weights (target, taps), int32, not negative, each row
        summing to 2^PRECISION_BITS within taps / 2.
    """
    reach = 2 * max(source, target)
    taps = (reach + target - 1) // target + 1
    centres = (2 * np.arange(target, dtype=np.int64) + 1) * source
    first = (centres - reach - target) // (2 * target) + 1
    indices = first[:, None] + np.arange(taps, dtype=np.int64)
    heights = reach - np.abs((2 * indices + 1) * target - centres[:, None])
    heights[(heights < 0) | (indices < 0) | (indices >= source)] = 0
    sums = heights.sum(axis=1, keepdims=True)
    weights = ((heights << (PRECISION_BITS + 1)) + sums) // (2 * sums)
    used = heights.any(axis=0)
    indices, weights = np.clip(indices, 0, source - 1)[:, used], weights[:, used].astype(np.int32)
    indices.flags.writeable = weights.flags.writeable = False  # the cache hands the same arrays to everyone
    return indices, weights


def _resized(image: NDArray[np.uint8], length: int, *, axis: int) -> NDArray[np.uint8]:
    indices, weights = resize_taps(image.shape[axis], length)
    shape = list(image.shape)
    shape[axis] = length
    total = np.full(shape, 1 << (PRECISION_BITS - 1), np.int32)
    for tap in range(indices.shape[1]):
        weight = weights[:, tap].reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        total += np.take(image, indices[:, tap], axis=axis).astype(np.int32) * weight
    pixels: NDArray[np.uint8] = np.minimum(total >> PRECISION_BITS, 255).astype(np.uint8)
    return pixels


def _normalised(
    inputs: NDArray[np.float32], scale: float, mean: NDArray[np.float32], std: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Normalise in place, each operation on its own: a fused multiply-add would round differently."""
    inputs *= np.float32(scale)
    inputs -= mean
    inputs /= std
    return inputs


def _column(values: Sequence[float]) -> NDArray[np.float32]:
    return np.asarray(values, np.float32).reshape(-1, 1, 1)


def _pixels(raw: Raw, manifest: Mapping[str, object]) -> NDArray[np.uint8]:
    channels = manifest["channels"]
    if raw.dtype != np.uint8 or raw.ndim != IMAGE_AXES or raw.shape[3] != channels or 0 in raw.shape[1:3]:
        message = f"raw images: found {raw.dtype} {raw.shape}; wanted uint8 (n, height, width, {channels})."
        raise ValueError(message)
    return raw  # type: ignore[return-value]  # the dtype was compared just now


def _values(raw: Raw, manifest: Mapping[str, object]) -> NDArray[np.float32]:
    shape = _shape(manifest, "shape")
    if raw.dtype != np.float32 or raw.shape[1:] != shape:
        message = "raw arrays: found {} {}; wanted float32 (n, {}).".format(
            raw.dtype, raw.shape, ", ".join(map(str, shape))
        )
        raise ValueError(message)
    return raw  # type: ignore[return-value]  # the dtype was compared just now


def _numbers(manifest: Mapping[str, object], name: str) -> tuple[float, ...]:
    value = manifest[name]
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)  # type: ignore[return-value]


def _shape(manifest: Mapping[str, object], name: str) -> tuple[int, ...]:
    value = manifest[name]
    if not isinstance(value, (list, tuple)):
        message = f"preprocessing {name}: found {value!r}; wanted a list of whole numbers."
        raise TypeError(message)
    return tuple(int(length) for length in value)
