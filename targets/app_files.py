"""What targets share that write a package of sources for an app: templates, golden samples, the resizing fixture."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.data.arrays import resize_image
from edgedistill.data.preprocessing import ImagePreprocessing
from edgedistill.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.resources.abc import Traversable
    from pathlib import Path

    from numpy.typing import NDArray

    from edgedistill.data.transfer_set import Inputs
    from edgedistill.targets.base import Package, Purpose

PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
FIXTURE_SIZES = ((4, 3), (9, 11), (7, 2))


def write_filled(source: Traversable, path: Path, values: Mapping[str, str]) -> None:
    """Write a template with its placeholders replaced; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(filled(source.read_text("utf-8"), values, name=source.name), "utf-8")


def filled(text: str, values: Mapping[str, str], *, name: str) -> str:
    """Return a template with every `{{placeholder}}` replaced.

    Raises:
        UnsupportedError: a placeholder has no value.
    """
    unknown = {key for key in PLACEHOLDER.findall(text) if key not in values}
    if unknown:
        listed = ", ".join(sorted(unknown))
        raise UnsupportedError(f"template '{name}'", found=f"placeholders without a value: {listed}")
    return PLACEHOLDER.sub(lambda match: values[match[1]], text)


def refuse_sound(purpose: Purpose, *, target: str) -> None:
    """Refuse what the sources for an app do not compute, before any work.

    Raises:
        UnsupportedError: the samples are sounds.
    """
    if purpose.preprocessing.kind == "audio":
        raise UnsupportedError(
            f"target '{target}'",
            found="its app computes no features of sounds, so that the model would see other numbers than in training",
            wanted="images, arrays or texts",
            fix="choose a board of arm-onnxruntime, whose runner computes them",
        )


def as_an_app_gives_them(package: Package, inputs: Inputs) -> NDArray[np.generic]:
    """Return golden samples for an app: images at the model's size, arrays as they are, texts as tokens.

    Args:
        package: holds the raw samples.
        inputs: the same, preprocessed.

    Returns:
        (n, height, width, channels) uint8, (n, *shape) float32, or (n, tokens) int32.
    """
    if package.preprocessing.kind == "text":
        return inputs
    raw = np.asarray(package.golden_raw)
    if not isinstance(package.preprocessing, ImagePreprocessing):
        return raw
    height, width = package.preprocessing.size
    return np.stack([resize_image(image, height, width) for image in raw])


def little_endian(array: NDArray[np.generic]) -> bytes:
    """Return the bytes of an array's numbers in order, little-endian."""
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()


def resize_fixture() -> dict[str, object]:
    """Return a small image and what `arrays.resize_image` makes of it: an app's own code must make the same."""
    rows, columns, channels = np.meshgrid(np.arange(7), np.arange(5), np.arange(3), indexing="ij")
    image = ((rows * 53 + columns * 101 + channels * 29 + rows * columns * 7) % 256).astype(np.uint8)
    resized = [_described(resize_image(image, height, width)) for height, width in FIXTURE_SIZES]
    return {"source": _described(image), "resized": resized}


def _described(image: NDArray[np.uint8]) -> dict[str, object]:
    height, width, channels = image.shape
    return {"height": height, "width": width, "channels": channels, "bytes": image.ravel().tolist()}
