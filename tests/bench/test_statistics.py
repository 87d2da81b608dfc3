"""Quantiles, MAD and intervals of samples whose answer is known."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedistill.bench import statistics
from edgedistill.bench.statistics import (
    correlation_time,
    interval_across_processes,
    interval_samples_needed,
    median_absolute_deviation,
    outlier_count,
    quantile_interval,
    samples_needed,
    tail,
    upper_bound,
)
from edgedistill.bench.student import student_quantile
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


@pytest.mark.parametrize(("share", "needed"), [(0.5, 6), (0.9, 36), (0.99, 368)])
def test_an_interval_needs_so_many_samples(share: float, needed: int) -> None:
    assert interval_samples_needed(share) == needed
    assert max(share**needed, (1 - share) ** needed) <= 0.025 < max(share ** (needed - 1), (1 - share) ** (needed - 1))
    assert quantile_interval(np.arange(1, needed), share) is None
    assert quantile_interval(np.arange(1, needed + 1), share) is not None


@pytest.mark.parametrize(("count", "ranks"), [(10, (2, 9)), (20, (6, 15)), (50, (18, 33)), (100, (40, 61))])
def test_the_ranks_around_the_median_are_the_published_ones(count: int, ranks: tuple[int, int]) -> None:
    """Conover, Practical Nonparametric Statistics, section 3.2; each side wrong with at most 2.5 %."""
    low, _ = ranks
    chances = [math.comb(count, k) / 2**count for k in range(count + 1)]
    assert sum(chances[:low]) <= 0.025 < sum(chances[: low + 1])
    assert quantile_interval(np.random.default_rng(0).permutation(np.arange(1, count + 1)), 0.5) == ranks


def test_a_count_that_varies_more_moves_the_ranks_apart() -> None:
    samples = np.arange(1, 101)
    assert quantile_interval(samples, 0.5, correlation=4.0) == (30.0, 72.0)
    assert quantile_interval(samples, 0.5, correlation=1e9) == (1.0, 100.0)


def test_the_bound_at_99_percent_is_the_largest_of_44_for_the_90th_percentile() -> None:
    assert upper_bound(np.arange(1, 45), 0.9) == 44.0
    assert upper_bound(np.arange(1, 44), 0.9) is None
    assert upper_bound(np.arange(1, 1001), 0.9) == 922.0  # P(X <= 921) >= 0.99 > P(X <= 920), X ~ B(1000, 0.9)


def test_independent_samples_have_no_correlation_and_repeated_ones_theirs() -> None:
    samples = np.random.default_rng(0).integers(1, 10**9, 4096)
    assert correlation_time(samples, 0.5) < 1.5
    assert 6 < correlation_time(np.repeat(samples[:512], 8), 0.5) < 10
    assert correlation_time(np.full(1000, 7), 0.5) == 1.0


def test_equal_samples_have_an_interval_without_width() -> None:
    assert interval_across_processes([np.full(50, 7)] * 2) == pytest.approx((7.0, 7.0))


def test_the_interval_across_two_processes_is_students_t_on_their_logarithms() -> None:
    """Of two processes, each is drawn twice with probability 1/4, and both with 1/2."""
    low, high = interval_across_processes([np.full(500, 100), np.full(501, 110)])
    distance = math.log(110 / 100)
    # the draw of both has the larger process's value as its median
    deviation = math.sqrt(0.25 * 0.75) * distance * math.sqrt(2)
    assert low == pytest.approx(110 * math.exp(-12.7062047 * deviation), rel=1e-6)
    assert high == pytest.approx(110 * math.exp(12.7062047 * deviation), rel=1e-6)


def test_the_same_seed_gives_the_same_interval_and_another_another() -> None:
    processes = list(np.random.default_rng(0).integers(900, 1100, (7, 60)))
    assert interval_across_processes(processes, seed=1) == interval_across_processes(processes, seed=1)
    assert interval_across_processes(processes, seed=1) != interval_across_processes(processes, seed=2)


def test_random_draws_agree_with_all_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    processes = list(np.random.default_rng(0).integers(900, 1100, (5, 60)))
    exact = interval_across_processes(processes)
    monkeypatch.setattr(statistics, "ENUMERATED_PROCESSES", 1)
    assert interval_across_processes(processes) == pytest.approx(exact, rel=2e-3)


@pytest.mark.parametrize("between", [0.0, 0.02])
def test_the_interval_across_processes_covers_about_as_often_as_it_says(between: float) -> None:
    rng, covered = np.random.default_rng(0), 0
    for _ in range(300):
        factors = np.exp(rng.normal(0, between, 5))
        processes = [(1e6 * factor * np.exp(rng.normal(0, 0.03, 100))).astype(np.int64) for factor in factors]
        low, high = interval_across_processes(processes)
        covered += low <= 1e6 <= high
    assert 0.91 <= covered / 300 <= 0.985


def test_one_process_says_what_its_samples_say() -> None:
    samples = np.random.default_rng(0).permutation(np.arange(1, 101))
    assert interval_across_processes([samples]) == (40.0, 61.0)


@pytest.mark.parametrize("processes", [[], [np.array([], np.int64)], [np.arange(1, 6)]])
def test_too_little_has_no_interval(processes: list[NDArray[np.int64]]) -> None:
    with pytest.raises(DataError):
        interval_across_processes(processes)


@pytest.mark.parametrize(
    ("degrees", "at_975", "at_995"),
    [
        (1, 12.7062047, 63.6567412),
        (2, 4.30265273, 9.92484320),
        (5, 2.57058184, 4.03214298),
        (30, 2.04227246, 2.749995654),
    ],
)
def test_students_t_has_the_tables_quantiles(degrees: int, at_975: float, at_995: float) -> None:
    assert student_quantile(0.975, degrees=degrees) == pytest.approx(at_975, rel=1e-8)
    assert student_quantile(0.995, degrees=degrees) == pytest.approx(at_995, rel=1e-8)
