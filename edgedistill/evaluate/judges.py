"""Judges: what a task measures outputs by, and what counts as the same answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from edgedistill.errors import ShapeError
from edgedistill.evaluate.metrics import accuracy

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNKNOWN = -1
NEIGHBOUR_ROWS = 512
"""Rows whose similarities to all others are held in memory at a time."""


class Judge(Protocol):
    """What a task measures outputs by."""

    @property
    def metric(self) -> str:
        """Name of the metric, for people."""

    def score(self, outputs: NDArray[np.float32]) -> float:
        """Return the metric, 0 to 1, of the outputs (n, ...) of the evaluation set's first n samples."""

    def count(self, rows: int) -> int:
        """Return how many of the first so many samples the metric is taken over."""

    def answers(self, outputs: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return an answer (n,) for each row: equal numbers are the same answer."""


@dataclass(frozen=True)
class ClassJudge:
    """Classification: the share of samples whose largest output is at their label.

    Args:
        labels: (n,), of the evaluation set; UNKNOWN where the class is not known, which then does not count.
        metric: what the labels make of it: "accuracy", or "agreement with the teacher" where they are the teacher's.
    """

    labels: NDArray[np.int64]
    metric: str = "accuracy"

    def score(self, outputs: NDArray[np.float32]) -> float:
        """Return the share of known samples whose largest output is at their label."""
        labels = self.labels[: len(outputs)]
        known = labels != UNKNOWN
        return accuracy(outputs[known], labels[known])

    def count(self, rows: int) -> int:
        """Return how many of the first so many samples have a known class."""
        return int((self.labels[:rows] != UNKNOWN).sum())

    def answers(self, outputs: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the class of each row."""
        found: NDArray[np.int64] = outputs.argmax(1)
        return found


@dataclass(frozen=True)
class EmbeddingJudge:
    """Sentence embeddings: the mean cosine between an embedding and the teacher's; the same answer is a neighbour.

    Args:
        teacher: (n, width), float32: the teacher's embeddings of the evaluation set.
    """

    teacher: NDArray[np.float32]
    metric: str = "cosine to the teacher"

    def score(self, outputs: NDArray[np.float32]) -> float:
        """Return the mean cosine to the teacher's embeddings, below 0 taken as 0."""
        teacher = self.teacher[: len(outputs)]
        if outputs.shape != teacher.shape or not len(outputs):
            raise ShapeError("evaluation", found=f"embeddings {outputs.shape}", wanted=f"{teacher.shape}")
        return max(float((unit_rows(outputs) * unit_rows(teacher)).sum(1).mean()), 0.0)

    def count(self, rows: int) -> int:
        """Return the number of samples: every one counts."""
        return min(rows, len(self.teacher))

    def answers(self, outputs: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the number of each row's nearest neighbour."""
        return nearest_neighbours(outputs)


def unit_rows(embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return rows scaled to length 1; a row of zeros stays one."""
    rows = embeddings.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: NDArray[np.float64] = rows / np.where(lengths > 0, lengths, 1)
    return scaled


def nearest_neighbours(embeddings: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return for each row the number of the other row with the largest cosine; 0 where there is no other."""
    rows = unit_rows(embeddings)
    found = np.zeros(len(rows), np.int64)
    for start in range(0, len(rows) if len(rows) > 1 else 0, NEIGHBOUR_ROWS):
        similarity = rows[start : start + NEIGHBOUR_ROWS] @ rows.T
        similarity[np.arange(len(similarity)), start + np.arange(len(similarity))] = -np.inf
        found[start : start + NEIGHBOUR_ROWS] = similarity.argmax(1)
    return found


def neighbours_kept(embeddings: NDArray[np.float32], teacher: NDArray[np.float32]) -> float:
    """Return the share of rows whose nearest neighbour is the same by both embeddings, 0 to 1."""
    return float((nearest_neighbours(embeddings) == nearest_neighbours(teacher)).mean())


def similarity_correlation(
    embeddings: NDArray[np.float32], teacher: NDArray[np.float32], *, pairs: int = 20_000, seed: int = 0
) -> float:
    """Return Spearman's rank correlation between the cosines of random pairs by both embeddings, -1 to 1.

    Source: the measure of semantic textual similarity, Cer et al. 2017, arXiv:1708.00055, section 4, with the
    teacher's similarity in place of people's.

    Args:
        embeddings: (n, any width), n at least 3.
        teacher: (n, width).
        pairs: how many pairs of different rows.
        seed: of their choice.
    """
    rng = np.random.default_rng(seed)
    first = rng.integers(0, len(teacher), pairs)
    second = (first + rng.integers(1, len(teacher), pairs)) % len(teacher)
    cosines = [(rows[first] * rows[second]).sum(1) for rows in (unit_rows(embeddings), unit_rows(teacher))]
    ours, theirs = (_ranks(values) - (pairs + 1) / 2 for values in cosines)
    scale = float(np.sqrt((ours @ ours) * (theirs @ theirs)))
    return float(ours @ theirs) / scale if scale else 0.0


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks, equal values sharing their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: NDArray[np.float64] = (last - (counts - 1) / 2)[inverse]
    return ranks
