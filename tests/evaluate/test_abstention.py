"""Accuracy against the share answered: by hand, and what holds for any outputs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.errors import ShapeError
from edgedistill.evaluate.abstention import abstention_curve, confidence


def test_by_hand() -> None:
    outputs = np.array([[9, 0], [0, 3], [2, 0], [0, 1]], np.float32)
    curve = abstention_curve(outputs, np.array([0, 1, 1, 0]), shares=(1, 0.75, 0.5, 0.25))
    assert [(point.answered, point.accuracy) for point in curve] == [(1, 0.5), (0.75, 2 / 3), (0.5, 1), (0.25, 1)]
    assert [round(point.threshold, 4) for point in curve] == [0.7311, 0.8808, 0.9526, 0.9999]


def test_equal_confidence_is_answered_together() -> None:
    outputs = np.array([[1, 0]] * 4 + [[5, 0]], np.float32)
    curve = abstention_curve(outputs, np.zeros(5, np.int64), shares=(1, 0.6, 0.2))
    assert [point.answered for point in curve] == [1, 0.2]


def test_confidence_is_the_largest_probability() -> None:
    outputs = np.array([[1000, 999], [0, 0]], np.float32)
    np.testing.assert_allclose(confidence(outputs), [1 / (1 + np.exp(-1)), 0.5])


@given(st.integers(1, 50), st.integers(2, 4), st.integers(0, 9))
def test_everything_answered_is_the_accuracy(count: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    outputs, labels = rng.normal(size=(count, classes)).astype(np.float32), rng.integers(0, classes, count)
    curve = abstention_curve(outputs, labels)
    assert curve[0].answered == 1
    assert curve[0].accuracy == (outputs.argmax(1) == labels).mean()
    assert [point.threshold for point in curve] == sorted(point.threshold for point in curve)
    assert [point.answered for point in curve] == sorted((point.answered for point in curve), reverse=True)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ShapeError):
        abstention_curve(np.zeros((3, 2), np.float32), np.zeros(2, np.int64))
    with pytest.raises(ShapeError):
        abstention_curve(np.zeros((0, 2), np.float32), np.zeros(0, np.int64))
