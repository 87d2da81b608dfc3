"""What a classifier's accuracy becomes when it may abstain where it is least sure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.errors import ShapeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SHARES = tuple(share / 100 for share in (100, 98, 95, 90, 85, 80, 75, 70, 60, 50, 40, 30, 20, 10))


@dataclass(frozen=True)
class Answered:
    """Accuracy among the samples that are answered.

    Args:
        threshold: a sample is answered if its largest probability is at least this, 0 to 1.
        answered: share of samples that are answered, 0 to 1.
        accuracy: share of those that are right, 0 to 1.
    """

    threshold: float
    answered: float
    accuracy: float


def abstention_curve(
    outputs: NDArray[np.float32], labels: NDArray[np.int64], *, shares: Sequence[float] = SHARES
) -> tuple[Answered, ...]:
    """Return the accuracy against the share answered, the surest samples being answered first.

    Source: El-Yaniv and Wiener 2010, Journal of Machine Learning Research 11, section 2 (the risk-coverage curve);
    confidence is the largest softmax probability, Geifman and El-Yaniv 2017, arXiv:1705.08500, section 4. Samples of
    equal confidence are answered together, so that a share may be larger than the one asked for; shares that come to
    the same threshold are given once.

    Args:
        outputs: (n, classes), logits.
        labels: (n,), 0 to classes - 1.
        shares: shares of the samples to answer, above 0 to 1, falling.

    Raises:
        ShapeError: the numbers of samples differ, or there is none.
    """
    if outputs.ndim != 2 or len(outputs) != len(labels) or not len(labels):  # noqa: PLR2004 - samples and classes
        raise ShapeError("abstention", found=f"outputs {outputs.shape} for {len(labels)} labels", wanted="one row each")
    sure = confidence(outputs)
    right = outputs.argmax(1) == labels
    falling = np.sort(sure)[::-1]
    points: dict[float, Answered] = {}
    for share in shares:
        threshold = float(falling[min(max(round(share * len(sure)), 1), len(sure)) - 1])
        answered = sure >= threshold
        points[threshold] = Answered(threshold, float(answered.mean()), float(right[answered].mean()))
    return tuple(points.values())


def confidence(outputs: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the largest softmax probability (n,) of logits (n, classes)."""
    shifted = outputs.astype(np.float64) - outputs.max(1, keepdims=True)
    largest: NDArray[np.float64] = 1 / np.exp(shifted).sum(1)
    return largest
