"""A confusion matrix as cells with a strength of colour, and the pairs that are confused most."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from edgedistill.run.summary import Confusion

MAX_CLASSES: Final = 40
"""More classes than this do not fit a page as a matrix; the pairs are shown alone."""
_PAIRS: Final = 5


class Cell(NamedTuple):
    """One cell of the matrix.

    Args:
        samples: of this true and predicted class.
        strength: of the colour in per cent, 0 for none.
        right: whether it lies on the diagonal.
    """

    samples: int
    strength: int
    right: bool


class Row(NamedTuple):
    """One true class: its cells by predicted class, its samples, and the share of them that are right."""

    name: str
    cells: tuple[Cell, ...]
    total: int
    recall: float | None


class Pair(NamedTuple):
    """Samples of one class that were taken for another; `share` is of the true class's samples."""

    true: str
    predicted: str
    samples: int
    share: float


def confusion_rows(confusion: Confusion, classes: tuple[str, ...]) -> tuple[Row, ...]:
    """Return the matrix by true class.

    Right answers are coloured by their share of the class. Wrong ones are coloured by the square root of
    theirs, against the worst confusion of the matrix: otherwise a good model's errors could not be seen.
    """
    shares = [[count / max(1, sum(row)) for count in row] for row in confusion.counts]
    worst = max((share for i, row in enumerate(shares) for j, share in enumerate(row) if i != j), default=0.0)
    return tuple(
        Row(
            name=_name(classes, i),
            cells=tuple(
                Cell(count, _strength(shares[i][j], worst, right=i == j), right=i == j) for j, count in enumerate(row)
            ),
            total=sum(row),
            recall=shares[i][i] if sum(row) else None,
        )
        for i, row in enumerate(confusion.counts)
    )


def _strength(share: float, worst: float, *, right: bool) -> int:
    return round(100 * share) if right else round(100 * math.sqrt(share / worst)) if worst else 0


def confused_pairs(confusion: Confusion, classes: tuple[str, ...]) -> tuple[Pair, ...]:
    """Return the most frequent confusions, the largest count first."""
    pairs = [
        Pair(_name(classes, i), _name(classes, j), count, count / sum(row))
        for i, row in enumerate(confusion.counts)
        for j, count in enumerate(row)
        if i != j and count
    ]
    return tuple(sorted(pairs, key=lambda pair: -pair.samples)[:_PAIRS])


def _name(classes: tuple[str, ...], index: int) -> str:
    return classes[index] if index < len(classes) else f"class {index}"
