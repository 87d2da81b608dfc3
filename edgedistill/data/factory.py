"""Samples from a function of the user's that returns torch data sets."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from edgedistill.data.arrays import IMAGE_AXES, resize_image
from edgedistill.data.checks import RawSplit, numbered_classes, refuse_large
from edgedistill.data.user_code import user_function
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edgedistill.data.checks import Split
    from edgedistill.data.preprocessing import NumericPreprocessing
    from edgedistill.progress import Progress

PAIR = 2
RAW_DTYPES = {"image": np.uint8, "array": np.float32, "audio": np.int16}
"""Numbers of raw samples, by kind of preprocessing."""


@runtime_checkable
class SizedDataset(Protocol):
    """What `torch.utils.data.Dataset` has in its map style."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> object:
        """Return (sample, label)."""


def read(
    source: str,
    split: Split,
    *,
    preprocessing: NumericPreprocessing,
    classes: tuple[str, ...],
    recipe_folder: Path,
    progress: Progress,
) -> RawSplit:
    """Return one split of what `python:module:function` returns.

    The function takes no argument and returns `(train, test)` or an object with `.train` and `.test`. Each has a
    length and gives pairs (sample, label). An image is a uint8 array (height, width, channels), a Pillow image,
    or a uint8 tensor in torch's order (channels, height, width); an array is anything numpy can read.
    Class names are the recipe's, else the training set's `classes`, else the labels from "0" to the highest of
    the training set.

    Args:
        source: as the recipe has it.
        split: "train" or "test".
        preprocessing: from raw sample to model input.
        classes: the recipe's class names.
        recipe_folder: where the module is looked for first.
        progress: told of each sample that is read.

    Raises:
        DataError: the function cannot be had or fails, or a sample has another form; names the first one.
        ResourceError: the samples would not fit into memory.
    """
    train, test = _both(source, recipe_folder)
    raw, labels = _materialised(
        test if split == "test" else train, source, preprocessing=preprocessing, progress=progress
    )
    names = classes or _own_classes(train)
    if not names:
        names = numbered_classes(labels if split == "train" else _labels_of(train), thing=f"'{source}'")
    digest = hashlib.sha256(raw.tobytes())
    digest.update(labels.tobytes())
    return RawSplit(raw, labels, names, digest.hexdigest())


def fingerprint(source: str, *, recipe_folder: Path) -> str:
    """Return the sha256 of the module's source, without running it; what it reads or imports is not covered.

    Raises:
        DataError: there is no such module.
    """
    return user_function(source, recipe_folder, error=DataError).fingerprint


def _both(source: str, recipe_folder: Path) -> tuple[SizedDataset, SizedDataset]:
    function = user_function(source, recipe_folder, error=DataError).load()
    try:
        result = function()
    except Exception as error:
        raise DataError(f"'{source}'", found=f"it fails: {type(error).__name__}: {error}") from error
    train, test = (
        result
        if isinstance(result, tuple) and len(result) == PAIR
        else (getattr(result, "train", None), getattr(result, "test", None))
    )
    if not isinstance(train, SizedDataset) or not isinstance(test, SizedDataset):
        raise DataError(
            f"'{source}'",
            found=f"it returns a {type(result).__name__} with {type(train).__name__} and {type(test).__name__}",
            wanted="(train, test), each with a length and samples by number",
        )
    return train, test


def _own_classes(dataset: SizedDataset) -> tuple[str, ...]:
    names = getattr(dataset, "classes", ())
    return tuple(names) if all(isinstance(name, str) for name in names) else ()


def _labels_of(dataset: SizedDataset) -> NDArray[np.generic]:
    return np.array([_pair(dataset, index, thing="training set")[1] for index in range(len(dataset))])


def _materialised(
    dataset: SizedDataset, source: str, *, preprocessing: NumericPreprocessing, progress: Progress
) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    """Return all samples (n, *raw_shape) and labels (n,)."""
    dtype = np.dtype(RAW_DTYPES[preprocessing.kind])
    count = len(dataset)
    thing = f"'{source}'"
    refuse_large(count * int(np.prod(preprocessing.raw_shape)) * dtype.itemsize, thing=thing)
    raw = np.empty((count, *preprocessing.raw_shape), dtype)
    labels = []
    with progress.track("reading samples", total=count) as tracker:
        for index in range(count):
            sample, label = _pair(dataset, index, thing=thing)
            raw[index] = _sample(sample, preprocessing, thing=f"{thing}, sample {index}")
            labels.append(label)
            tracker.advance()
    return raw, np.array(labels)


def _pair(dataset: SizedDataset, index: int, *, thing: str) -> tuple[object, int | float]:
    """Return sample and label of one number."""
    try:
        item = dataset[index]
    except Exception as error:
        raise DataError(
            f"{thing}, sample {index}", found=f"reading it fails: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(item, (tuple, list)) or len(item) != PAIR:
        raise DataError(f"{thing}, sample {index}", found=f"a {type(item).__name__}", wanted="(sample, label)")
    label = np.asarray(item[1])
    if label.size != 1 or label.dtype.kind not in "iuf":
        raise DataError(f"{thing}, sample {index}", found=f"label {item[1]!r}", wanted="a whole number")
    return item[0], label.reshape(()).item()


def _sample(sample: object, preprocessing: NumericPreprocessing, *, thing: str) -> NDArray[np.generic]:
    """Return one raw sample at the shape that the preprocessing wants."""
    try:
        values = np.asarray(sample)
    except Exception as error:
        raise DataError(thing, found=f"no array can be made of it: {error}") from error
    shape = values.shape
    if preprocessing.kind == "audio":
        if values.dtype != np.int16 or shape != preprocessing.raw_shape:
            found = f"{values.dtype} {shape}"
            raise DataError(thing, found=found, wanted=f"int16 {preprocessing.raw_shape}, one channel")
        return values
    if preprocessing.kind == "array":
        if values.dtype.kind not in "iuf" or shape != preprocessing.raw_shape:
            found = f"{values.dtype} {shape}"
            raise DataError(thing, found=found, wanted=f"numbers {preprocessing.raw_shape}")
        return values
    if _is_tensor(sample) and values.ndim == IMAGE_AXES - 1:
        values = values.transpose(1, 2, 0)
    if values.ndim == IMAGE_AXES - 2:
        values = values[..., None]
    wrong = values.dtype != np.uint8 or values.ndim != IMAGE_AXES - 1 or 0 in shape
    if wrong or values.shape[2] != preprocessing.channels:
        raise DataError(
            thing,
            found=f"{values.dtype} {shape}",
            wanted=f"a uint8 image with {preprocessing.channels} channels",
            fix="return raw pixels: scaling belongs to 'data.preprocessing', which also runs on the device",
        )
    return resize_image(values, *preprocessing.size)


def _is_tensor(sample: object) -> bool:
    import torch  # noqa: PLC0415 - only here, where the user's own code has most likely loaded it

    return isinstance(sample, torch.Tensor)
