"""What tasks measure outputs by: by hand, and on random embeddings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.errors import ShapeError
from edgedistill.evaluate.judges import (
    UNKNOWN,
    ClassJudge,
    EmbeddingJudge,
    nearest_neighbours,
    neighbours_kept,
    similarity_correlation,
)


def embeddings(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_samples_without_a_known_class_do_not_count() -> None:
    judge = ClassJudge(np.array([1, UNKNOWN, 0, 1]))
    outputs = np.array([[0, 1], [5, 0], [0, 1], [0, 1]], np.float32)
    assert judge.score(outputs) == 2 / 3
    assert judge.count(4) == 3
    assert judge.count(2) == 1
    assert judge.answers(outputs).tolist() == [1, 0, 1, 1]


def test_cosines_do_not_see_length() -> None:
    teacher = embeddings(0, 20, 8)
    judge = EmbeddingJudge(teacher)
    np.testing.assert_allclose(judge.score(teacher * np.float32(7)), 1, rtol=1e-6)
    assert judge.score(-teacher) == 0
    assert judge.count(30) == 20
    np.testing.assert_allclose(judge.score(embeddings(1, 5, 8)), _cosines(embeddings(1, 5, 8), teacher[:5]), rtol=1e-6)
    with pytest.raises(ShapeError):
        judge.score(embeddings(0, 20, 7))


def _cosines(ours: np.ndarray, theirs: np.ndarray) -> float:
    pairs = zip(ours.astype(float), theirs.astype(float), strict=True)
    found = float(np.mean([a @ b / np.sqrt(a @ a * (b @ b)) for a, b in pairs]))
    return max(found, 0.0)


@given(st.integers(1, 40), st.integers(0, 5))
def test_a_neighbour_is_the_nearest_of_the_others(count: int, seed: int) -> None:
    rows = embeddings(seed, count, 4)
    found = nearest_neighbours(rows)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -2)
    if count > 1:
        np.testing.assert_allclose(similarity[np.arange(count), found], similarity.max(1), rtol=1e-5)
        assert neighbours_kept(rows * np.float32(3), rows) == 1


def test_rank_correlation_sees_the_order_alone() -> None:
    teacher = embeddings(0, 60, 6)
    assert similarity_correlation(teacher, teacher) == pytest.approx(1)
    assert abs(similarity_correlation(embeddings(1, 60, 6), teacher)) < 0.2
    noisy = teacher + embeddings(2, 60, 6) / 4
    assert 0.8 < similarity_correlation(noisy, teacher) < 1


def test_equal_cosines_share_a_rank() -> None:
    same = np.ones((5, 3), np.float32)
    assert similarity_correlation(same, embeddings(0, 5, 3)) == 0
