"""Quantiles, MAD and intervals of samples whose answer is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgedistill.bench import statistics
from edgedistill.bench.statistics import (
    median_absolute_deviation,
    median_interval,
    outlier_count,
    samples_needed,
    tail,
)
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@pytest.mark.parametrize(("share", "needed"), [(0.90, 44), (0.99, 459), (0.999, 4603)])
def test_samples_needed_is_the_first_count_whose_largest_bounds_the_quantile(share: float, needed: int) -> None:
    assert samples_needed(share) == needed
    assert 1 - share**needed >= 0.99 > 1 - share ** (needed - 1)


def test_a_tail_is_a_sample_that_was_observed() -> None:
    samples = np.random.default_rng(0).permutation(np.arange(1, 1001))
    assert (tail(samples, 0.90), tail(samples, 0.99)) == (900.0, 990.0)


def test_a_tail_that_cannot_be_bounded_is_no_number() -> None:
    assert tail(np.arange(458), 0.99) is None
    assert tail(np.arange(459), 0.99) == 454.0


def test_median_absolute_deviation_of_known_samples() -> None:
    assert median_absolute_deviation(np.array([1, 1, 2, 2, 4, 6, 9])) == 1.0


def test_outliers_are_those_beyond_five_mad_on_both_sides() -> None:
    samples = np.array([95, 98, 99, 100, 101, 102, 105])  # median 100, MAD 2
    assert outlier_count(np.append(samples, [110, 90])) == 0
    assert outlier_count(np.append(samples, [111, 89])) == 2


def test_equal_samples_have_an_interval_without_width() -> None:
    assert median_interval(np.full((2, 50), 7), seed=0) == (7.0, 7.0)


def test_two_processes_that_differ_span_the_interval() -> None:
    """Half of the draws take both processes, a quarter each of them twice: 2.5 % and 97.5 % are the pure ones."""
    assert median_interval(np.repeat([[100], [110]], 500, axis=1), seed=0) == (100.0, 110.0)


def test_the_same_seed_gives_the_same_interval_and_another_another() -> None:
    processes = np.random.default_rng(0).integers(900, 1100, (3, 60))
    assert median_interval(processes, seed=1) == median_interval(processes, seed=1)
    assert median_interval(processes, seed=1) != median_interval(processes, seed=2)


def test_the_interval_covers_the_true_median_about_as_often_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within one process, where the samples are independent, 95 % is what is promised."""
    monkeypatch.setattr(statistics, "MOST_REPLICATES", 200)
    rng = np.random.default_rng(0)
    traces = [rng.exponential(1000.0, 200).astype(np.int64) for _ in range(300)]
    intervals = [median_interval(trace[None], seed=index) for index, trace in enumerate(traces)]
    covered = sum(low <= 1000 * np.log(2) <= high for low, high in intervals)
    assert 0.91 <= covered / len(traces) <= 0.98


@settings(max_examples=30)
@given(arrays(np.int64, st.tuples(st.integers(1, 5), st.integers(1, 20)), elements=st.integers(1, 10**9)))
def test_an_interval_lies_within_the_samples(processes: NDArray[np.int64]) -> None:
    low, high = median_interval(processes, seed=0)
    assert processes.min() <= low <= high <= processes.max()


def test_the_size_of_a_chunk_changes_memory_and_not_what_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    processes = np.random.default_rng(0).integers(900, 1100, (3, 200))
    whole = median_interval(processes, seed=0)
    monkeypatch.setattr(statistics, "LARGEST_CHUNK", 6000)
    assert median_interval(processes, seed=0) == pytest.approx(whole, abs=4)


@pytest.mark.parametrize("shape", [(0, 5), (2, 0), (5,)])
def test_nothing_has_no_interval(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="processes, samples"):
        median_interval(np.ones(shape, np.int64), seed=0)


def test_many_samples_get_fewer_replicates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "LARGEST_DRAW", 1000)
    counts = []
    original = statistics._medians

    def counted(processes: NDArray[np.int64], rng: np.random.Generator, *, replicates: int) -> NDArray[np.float64]:
        counts.append(replicates)
        return original(processes, rng, replicates=replicates)

    monkeypatch.setattr(statistics, "_medians", counted)
    median_interval(np.arange(1, 101)[None], seed=0)
    assert sum(counts) == statistics.FEWEST_REPLICATES
