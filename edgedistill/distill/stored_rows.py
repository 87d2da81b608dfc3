"""How the teacher's outputs of some samples are stored, and what storing costs.

Logits are kept in float16: all of them, or the k largest with their classes and one value that stands for every
other class, chosen so that at the recipe's temperature T the probability of the others together, and so that of each
class kept, is the teacher's. Only how the others share theirs is lost: the distribution read back differs from the
teacher's by a total variation of at most the others' probability. At another temperature it is an approximation.

Features are kept in float16, or as int8 codes with one scale per sample and channel (of maps), token or vector: each
value is then off by at most half a step, 1/254 of the largest value in its group.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgedistill.distill.cache_files import (
    FEATURES,
    LOGITS,
    SCALES,
    SHORT_CLASSES,
    TOP_CLASSES,
    TOP_REST,
    TOP_VALUES,
    Storage,
)
from edgedistill.errors import ModelError
from edgedistill.recipe import StoredFeatures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    Array = NDArray[np.float16] | NDArray[np.float32] | NDArray[np.int8] | NDArray[np.int16] | NDArray[np.int32]

LARGEST_HALF = 65504.0
LARGEST_CODE = 127


@dataclass(frozen=True)
class TeacherOutputs:
    """What the teacher said of some samples in one view.

    Args:
        logits: (batch, classes), or of maps (pixels of the batch, classes), float32, rounded to float16; a row beyond
            float16 is shifted so that its largest value is 0, which leaves its softmax as it was. Where only the
            largest were kept, all other classes have one value.
        features: by layer path, (batch, ...), float32, rounded to float16 or to int8 codes.
    """

    logits: Tensor
    features: Mapping[str, Tensor]


@dataclass(frozen=True)
class StoredRows:
    """Rows as they go into a shard.

    Args:
        tensors: by name, (rows, ...).
        lost: by what was stored, the sum of an error and the sum that it is a share of; see `errors_of`.
    """

    tensors: Mapping[str, Tensor]
    lost: Mapping[str, tuple[float, float]]


def stored(logits: Tensor, features: Mapping[str, Tensor], storage: Storage) -> StoredRows:
    """Return a teacher's outputs as they are stored.

    Args:
        logits: (rows, classes), float32; of maps (rows, classes, ...), of which all are kept.
        features: (rows, ...), floating point, by layer path.
        storage: how to keep them.

    Raises:
        ModelError: a value is not finite, or features are beyond float16.
    """
    tensors, lost = _stored_logits(logits, storage)
    for layer in sorted(features):
        if storage.features is StoredFeatures.FLOAT16:
            tensors[FEATURES + layer] = half_features(features[layer], layer=layer)
            continue
        codes, scales = int8_features(features[layer], layer=layer)
        tensors[FEATURES + layer], tensors[SCALES + layer] = codes, scales
        lost[FEATURES + layer] = _squares(features[layer].float(), codes, scales)
    return StoredRows(tensors, lost)


def errors_of(parts: Sequence[StoredRows]) -> dict[str, float]:
    """Return what storing some rows lost, by name.

    Of `logits`: the mean total variation (0 to 1) between the teacher's class distribution and the one read back, at
    the temperature of the storage. Of `features/LAYER`: the root mean square of the error relative to that of the
    features. What is kept whole in float16 is not in it.
    """
    errors = {}
    for name in parts[0].lost if parts else ():
        error, whole = (sum(part.lost[name][place] for part in parts) for place in (0, 1))
        share = error / whole if whole else 0.0
        errors[name] = share if name == LOGITS else math.sqrt(share)
    return errors


def read_back(arrays: Mapping[str, Array], *, classes: int) -> TeacherOutputs:
    """Return stored rows as the teacher's outputs.

    Args:
        arrays: by name, (rows, ...), as `stored` made them.
        classes: of the teacher.
    """
    # in numpy, because this runs in a loader's thread, where torch would start threads of its own
    if LOGITS in arrays:
        logits = _as_rows(arrays[LOGITS]).astype(np.float32)
    else:
        logits = np.repeat(arrays[TOP_REST].astype(np.float32), classes, axis=1)
        numbers = arrays[TOP_CLASSES].astype(np.int64)
        np.put_along_axis(logits, numbers, arrays[TOP_VALUES].astype(np.float32), axis=1)
    features = {
        name.removeprefix(FEATURES): torch.from_numpy(_features(name, arrays))
        for name in arrays
        if name.startswith(FEATURES)
    }
    return TeacherOutputs(torch.from_numpy(logits), features)


def _as_rows(logits: Array) -> Array:
    """Return logits (rows, classes, ...) of maps as (pixels, classes), as `pixels.pixel_rows` does; others as is."""
    return np.moveaxis(logits, 1, -1).reshape(-1, logits.shape[1]) if logits.ndim > 2 else logits  # noqa: PLR2004 - no pixels


def half_logits(logits: Tensor) -> Tensor:
    """Return logits (rows, classes) as float16, with the same softmax.

    A row with a value beyond ±65504 is shifted by its largest value. What is then still below -65504 becomes
    -65504: its probability is 0 in float32 before and after, at any temperature up to 600.

    Raises:
        ModelError: a value is not finite.
    """
    if not torch.isfinite(logits).all():
        raise ModelError(
            "teacher", found="its logits are not finite", wanted="finite logits", fix="check weights and data"
        )
    beyond = logits.abs().amax(1, keepdim=True) > LARGEST_HALF
    shifted = (logits - logits.amax(1, keepdim=True)).clamp(min=-LARGEST_HALF)
    return torch.where(beyond, shifted, logits).half()


def top_logits(logits: Tensor, *, k: int, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the k largest logits of each row, their classes, and the value that stands for each other class.

    That value is T · log of the mean of exp(logit / T) over the others: put in their place, it leaves their
    probability together as it was at temperature T.

    Args:
        logits: (rows, classes), float16 as `half_logits` gives them, with more than k classes.
        k: at least 1.
        temperature: T, above 0.

    Returns:
        Values (rows, k), float16; classes (rows, k), int16 or int32; the others' value (rows, 1), float16.
    """
    classes = logits.shape[1]
    values, numbers = logits.float().topk(k, 1)
    others = logits.double().scatter(1, numbers, -math.inf)
    rest = temperature * (torch.logsumexp(others / temperature, 1, keepdim=True) - math.log(classes - k))
    kind = torch.int16 if classes <= SHORT_CLASSES else torch.int32
    return values.half(), numbers.to(kind), rest.clamp(min=-LARGEST_HALF).half()


def half_features(features: Tensor, *, layer: str) -> Tensor:
    """Return features as float16.

    Raises:
        ModelError: a value is not finite or beyond float16; features, unlike logits, can't be shifted.
    """
    largest = float(features.abs().amax())
    if not largest <= LARGEST_HALF:
        raise ModelError(
            f"layer '{layer}' of the teacher",
            found=f"features up to {largest:g}",
            wanted=f"at most {LARGEST_HALF:g}, the largest float16",
            fix="name a layer behind a normalisation, or set `cache.features: int8`",
        )
    return features.half()


def int8_features(features: Tensor, *, layer: str) -> tuple[Tensor, Tensor]:
    """Return features (rows, ...) as int8 codes of the same shape, and scales (rows, groups), float32.

    A group is a channel of a map, a token, or a whole vector; a code times its group's scale is the value, within half
    a scale.

    Raises:
        ModelError: a value is not finite.
    """
    grouped = _grouped(features.float())
    largest = grouped.abs().amax(2)
    if not torch.isfinite(largest).all():
        raise ModelError(f"layer '{layer}' of the teacher", found="features that are not finite", wanted="finite ones")
    scales = largest / LARGEST_CODE
    codes = torch.where(scales[..., None] > 0, grouped / scales[..., None], 0.0)
    return codes.round().clamp(-LARGEST_CODE, LARGEST_CODE).to(torch.int8).reshape(features.shape), scales


def _stored_logits(logits: Tensor, storage: Storage) -> tuple[dict[str, Tensor], dict[str, tuple[float, float]]]:
    half = half_logits(logits)
    if not storage.top_k:
        return {LOGITS: half}, {}
    values, numbers, rest = top_logits(half, k=storage.top_k, temperature=storage.temperature)
    dense = rest.float().repeat(1, logits.shape[1]).scatter(1, numbers.long(), values.float())
    found = torch.softmax(dense / storage.temperature, 1)
    wanted = torch.softmax(logits / storage.temperature, 1)
    variation = float((found - wanted).abs().sum()) / 2
    return {TOP_VALUES: values, TOP_CLASSES: numbers, TOP_REST: rest}, {LOGITS: (variation, float(len(logits)))}


def _squares(features: Tensor, codes: Tensor, scales: Tensor) -> tuple[float, float]:
    grouped = _grouped(features)
    errors = _grouped(codes.float()) * scales[..., None] - grouped
    return float(errors.square().sum()), float(grouped.square().sum())


def _grouped(features: Tensor) -> Tensor:
    """Return features as (rows, groups, values)."""
    groups = features.shape[1] if features.ndim > 2 else 1  # noqa: PLR2004 - rows and one axis more
    return features.reshape(len(features), groups, -1)


def _features(name: str, arrays: Mapping[str, Array]) -> NDArray[np.float32]:
    values = arrays[name]
    wide = values.astype(np.float32)
    if values.dtype != np.int8:
        return wide
    scales = arrays[SCALES + name.removeprefix(FEATURES)]
    grouped = wide.reshape(*scales.shape, -1)
    grouped *= scales[..., None]
    return wide
