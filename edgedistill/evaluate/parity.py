"""Parity: how far two executors of the same model agree, in output steps and in classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.errors import ShapeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

CODES = 255


@dataclass(frozen=True)
class Parity:
    """How far two sets of outputs agree.

    Args:
        n: samples compared.
        top1_agreement: share of samples (of maps: of pixels) with the same class, or another task's same answer.
        identical_outputs: share of output values with identical bits.
        within_steps: share of output values that differ by at most the allowed number of steps.
        largest_steps: largest difference, in steps.
        step: one output step, in the outputs' own unit.
        first_sample: index of the first sample with another class (of maps: at any pixel), or with an output beyond
            the allowed steps.
    """

    n: int
    top1_agreement: float
    identical_outputs: float
    within_steps: float
    largest_steps: float
    step: float
    first_sample: int | None


def output_step(reference: NDArray[np.float32]) -> float:
    """Return one output step: the range of the outputs divided by 255, as an 8-bit output would have it."""
    return float(reference.max() - reference.min()) / CODES


def largest_output(outputs: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the class (n,) of outputs (n, classes)."""
    found: NDArray[np.int64] = outputs.argmax(1)
    return found


def parity(
    reference: NDArray[np.float32],
    other: NDArray[np.float32],
    *,
    max_steps: float,
    answers: Callable[[NDArray[np.float32]], NDArray[np.int64]] = largest_output,
) -> Parity:
    """Compare outputs of the same samples.

    Args:
        reference: (n, classes), float32, or maps (n, classes, height, width).
        other: the same shape.
        max_steps: steps within which two values count as equal; at least 0.
        answers: what the outputs answer: the class (n,), the nearest neighbour of an embedding (n,), or the class of
            each pixel (n, height, width).

    Raises:
        ShapeError: the shapes differ, or there is no sample.
    """
    if reference.shape != other.shape or reference.ndim not in (2, 4) or not len(reference):
        raise ShapeError("parity", found=f"outputs of shapes {reference.shape} and {other.shape}", wanted="equal ones")
    step = output_step(reference)
    difference = np.abs(reference.astype(np.float64) - other.astype(np.float64))
    difference = np.where(np.isnan(difference), np.inf, difference)  # a NaN agrees with nothing
    steps = difference / step if step else np.where(difference > 0, np.inf, 0.0)
    same_class = answers(reference) == answers(other)
    agrees = _in_all(same_class) & _in_all(steps <= max_steps)
    return Parity(
        n=len(reference),
        top1_agreement=float(same_class.mean()),
        identical_outputs=float((_bits(reference) == _bits(other)).mean()),
        within_steps=float((steps <= max_steps).mean()),
        largest_steps=float(steps.max()),
        step=step,
        first_sample=None if agrees.all() else int(np.argmin(agrees)),
    )


def _in_all(values: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return for each sample (n,) whether all of its values are true."""
    return np.asarray(values.reshape(len(values), -1).all(1))


def _bits(values: NDArray[np.float32]) -> NDArray[np.uint32]:
    return np.ascontiguousarray(values, np.float32).view(np.uint32)
