"""The choice of calibration samples, and the check of the two halves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.calibration.ranges import Range
from edgedistill.calibration.samples import check_drift, choose_samples, drift
from edgedistill.errors import DataError

LABELS = st.lists(st.integers(0, 6), min_size=1, max_size=300).map(np.array)


@given(LABELS, st.integers(1, 350), st.integers(0, 5))
def test_classes_keep_their_proportions(labels: np.ndarray, count: int, seed: int) -> None:
    chosen = choose_samples(labels, count=count, seed=seed)
    total = min(count, len(labels))
    assert len(set(chosen.tolist())) == len(chosen) == total
    every, mine = np.bincount(labels, minlength=7), np.bincount(labels[chosen], minlength=7)
    present = every > 0
    if total >= present.sum():
        assert (mine[present] >= 1).all()
    exact = every * total / len(labels)
    raised = (exact < 1) & present
    assert (mine[~raised] <= np.ceil(exact)[~raised]).all()
    if not raised.any():
        assert (mine >= np.floor(exact)).all()


@given(LABELS, st.integers(2, 350))
def test_both_halves_and_every_stretch_are_stratified(labels: np.ndarray, count: int) -> None:
    chosen = labels[choose_samples(labels, count=count, seed=0)]
    halves = [np.bincount(half, minlength=7) for half in (chosen[::2], chosen[1::2])]
    assert abs(halves[0] - halves[1]).max() <= 2
    quarter = len(chosen) // 4
    share = np.bincount(chosen, minlength=7) * (quarter / max(1, len(chosen)))
    assert abs(np.bincount(chosen[:quarter], minlength=7) - share).max() <= 2


def test_the_choice_is_the_same_every_time_and_another_with_another_seed() -> None:
    labels = np.arange(1000) % 10
    one, again, other = (choose_samples(labels, count=100, seed=seed) for seed in (0, 0, 1))
    assert (one == again).all()
    assert (one != other).any()


def test_a_rare_class_is_never_left_out() -> None:
    labels = np.array([0] * 997 + [1, 2, 3])
    assert np.bincount(labels[choose_samples(labels, count=10, seed=0)]).tolist() == [7, 1, 1, 1]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (Range(-1, 2), Range(-1, 2), 0.0),
        (Range(-1, 2), Range(-1, 3), 0.25),
        (Range(-1, 3), Range(-3, 3), 1 / 3),
        (Range(0, 0), Range(0, 5), 1.0),
        (Range(0, 0), Range(0, 0), 0.0),
    ],
)
def test_drift_is_the_larger_difference_of_the_ends(first: Range, second: Range, expected: float) -> None:
    assert drift(first, second) == pytest.approx(expected)
    assert drift(second, first) == pytest.approx(expected)


def test_the_tensor_that_drifts_most_is_named() -> None:
    first = {"stem": Range(0, 1), "add": Range(0, 1), "head": Range(-1, 1)}
    second = {"stem": Range(0, 1.1), "add": Range(0, 4), "head": Range(-1, 3)}
    check_drift(first, second, max_drift=0.75)
    with pytest.raises(DataError, match=r"calibration of 'add'.*drift of 0\.75 \(2 of 3 tensors.*at most 0\.4"):
        check_drift(first, second, max_drift=0.4)
