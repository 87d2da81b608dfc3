"""The transfer set: samples plus views, a view being a pure function of (sample, view number, seed)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import numpy as np

from edgedistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgedistill.data.preprocessing import Preprocessing

    Raw = NDArray[np.uint8] | NDArray[np.float32] | NDArray[np.int16] | NDArray[np.str_]
    Inputs = NDArray[np.float32] | NDArray[np.int32]

UNKNOWN = -1
"""The label of a sample whose class is not known."""


class Origin(StrEnum):
    """Where samples come from."""

    GIVEN = "given"
    SYNTHESISED = "synthesised from the teacher"


@dataclass(frozen=True)
class Samples:
    """Raw samples and their labels, in memory or memory-mapped.

    Args:
        raw: (n, *raw_shape); uint8 pixels (height, width, channels), float32 arrays, int16 sounds (samples,), or
            texts (n,).
        labels: (n,), int64, 0 to len(classes) - 1, or UNKNOWN; masks (n, height, width) have one for every pixel.
        classes: class names in label order.
        fingerprint: sha256 over everything the samples were read from.
        answers: (n, classes), float32: what a teacher answered when these samples were recorded, as log
            probabilities; None where they hold no such answers.
        gold: whether the labels are people's; False where they are the recorded teacher's own answers.
        synthetic: what made the samples, where no sensor or person did: "speech synthesised by espeak-ng 1.51".
        origin: whether they were given, or made from the teacher.
    """

    raw: Raw
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    fingerprint: str
    answers: NDArray[np.float32] | None = None
    gold: bool = True
    synthetic: str = ""
    origin: Origin = Origin.GIVEN

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Batch:
    """Model inputs of some samples, and what is known of their classes.

    Args:
        inputs: (batch, *input_shape), preprocessed: float32, or int32 token numbers.
        labels: (batch,), or masks (batch, height, width), int64; UNKNOWN where the class is not known.
        mixed_labels: the same shape, int64: the label of the sample mixed in; the sample's own without mixup.
        mix: (batch,), float32, share of the mixed-in sample, 0 without mixup.
    """

    inputs: Inputs
    labels: NDArray[np.int64]
    mixed_labels: NDArray[np.int64]
    mix: NDArray[np.float32]


class TransferSet(Protocol):
    """What teacher and student are shown."""

    samples: Samples
    preprocessing: Preprocessing

    @property
    def fingerprint(self) -> str:
        """Sha256 of samples, preprocessing, view settings and seed."""

    @property
    def view_count(self) -> int:
        """Views of each sample."""

    def __len__(self) -> int: ...

    def batch(self, indices: Sequence[int] | NDArray[np.int64], *, view: int) -> Batch:
        """Return view `view` (0 to view_count - 1) of some samples; the same every time."""

    def plain(self, indices: Sequence[int] | NDArray[np.int64]) -> Batch:
        """Return samples preprocessed and not varied, as in evaluation."""


def part_of(samples: Samples, chosen: NDArray[np.int64], *, name: str) -> Samples:
    """Return some samples, in the order of their numbers, which may repeat.

    Args:
        samples: they are left as they are.
        chosen: (n,), int64.
        name: of the choice, for the fingerprint.
    """
    text = f"{samples.fingerprint}|{name}|{hashlib.sha256(chosen.tobytes()).hexdigest()}"
    return replace(
        samples,
        raw=samples.raw[chosen],
        labels=samples.labels[chosen],
        answers=None if samples.answers is None else samples.answers[chosen],
        fingerprint=hashlib.sha256(text.encode()).hexdigest(),
    )


def require_view(view: int, *, count: int) -> None:
    """Check the number of a view.

    Raises:
        DataError: there is no such view.
    """
    if not 0 <= view < count:
        raise DataError(f"view {view}", found=f"the set has {count} views, counted from 0")


def checked_indices(indices: Sequence[int] | NDArray[np.int64], *, count: int) -> NDArray[np.int64]:
    """Return the numbers of some samples, (n,), int64.

    Raises:
        DataError: there is no such sample.
    """
    chosen = np.asarray(indices, np.int64).reshape(-1)
    outside = chosen[(chosen < 0) | (chosen >= count)]
    if len(outside):
        raise DataError(f"sample {outside[0]}", found=f"the set has {count} samples, counted from 0")
    return chosen
