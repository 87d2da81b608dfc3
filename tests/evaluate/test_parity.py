import numpy as np
import pytest

from edgedistill.errors import ShapeError
from edgedistill.evaluate.parity import output_step, parity

REFERENCE = np.array([[0.0, 2.55], [1.0, 0.5]], np.float32)


def test_one_step_is_the_range_over_255() -> None:
    assert output_step(REFERENCE) == pytest.approx(0.01)


def test_equal_outputs_agree_completely() -> None:
    found = parity(REFERENCE, REFERENCE.copy(), max_steps=1)
    assert (found.top1_agreement, found.identical_outputs, found.within_steps, found.largest_steps) == (1, 1, 1, 0)
    assert found.first_sample is None


def test_differences_are_counted_in_steps() -> None:
    other = REFERENCE + np.array([[0.005, 0.0], [0.0, 0.6]], np.float32)
    found = parity(REFERENCE, other, max_steps=1)
    assert found.n == 2
    assert found.top1_agreement == 0.5
    assert found.identical_outputs == 0.5
    assert found.within_steps == 0.75
    assert found.largest_steps == pytest.approx(60, rel=1e-5)
    assert found.first_sample == 1


def test_a_nan_agrees_with_nothing() -> None:
    other = REFERENCE.copy()
    other[0, 0] = np.nan
    found = parity(REFERENCE, other, max_steps=1)
    assert found.within_steps == 0.75
    assert found.largest_steps == np.inf
    assert found.first_sample == 0


def test_minus_zero_is_not_the_same_bits_but_the_same_value() -> None:
    found = parity(np.zeros((1, 2), np.float32), np.full((1, 2), -0.0, np.float32), max_steps=1)
    assert found.identical_outputs == 0
    assert found.within_steps == 1


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ShapeError, match="outputs of shapes"):
        parity(REFERENCE, REFERENCE[:1], max_steps=1)
