import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.errors import ShapeError
from edgedistill.evaluate.metrics import accuracy, confusion_matrix

OUTPUTS = np.array([[0.1, 0.9, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 1.0], [5.0, 0.0, 1.0]], np.float32)


def test_accuracy_by_hand() -> None:
    assert accuracy(OUTPUTS, np.array([1, 0, 2, 1])) == 0.75


def test_confusion_matrix_by_hand() -> None:
    matrix = confusion_matrix(OUTPUTS, np.array([1, 0, 2, 1]))
    assert matrix.tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1))
def test_the_diagonal_is_the_accuracy(pairs: list[tuple[int, int]]) -> None:
    labels = np.array([label for label, _ in pairs])
    outputs = np.eye(4, dtype=np.float32)[[predicted for _, predicted in pairs]]
    matrix = confusion_matrix(outputs, labels)
    assert matrix.sum() == len(pairs)
    assert np.trace(matrix) / len(pairs) == accuracy(outputs, labels)


@pytest.mark.parametrize("labels", [np.array([], np.int64), np.array([1, 2])])
def test_other_numbers_of_samples_are_refused(labels: np.ndarray) -> None:  # type: ignore[type-arg]
    with pytest.raises(ShapeError, match="one row of class scores per label"):
        accuracy(OUTPUTS[: 0 if not len(labels) else 4], labels)
