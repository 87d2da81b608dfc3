"""Traces whose answer is known: levels, steps, modes, drifts."""

from __future__ import annotations

import numpy as np
import pytest

from edgedistill.bench.change_points import change_points, noise_of
from edgedistill.bench.steady_state import Label, block_medians, decile_ratio, modes_of, steady_state


def noisy(levels: np.ndarray, *, seed: int = 0, spread: float = 0.01) -> np.ndarray:
    factors = np.exp(np.random.default_rng(seed).normal(0, spread, len(levels)))
    return (1e6 * levels * factors).astype(np.int64)


def steps(*parts: tuple[float, int]) -> np.ndarray:
    return np.concatenate([np.full(count, level) for level, count in parts])


def test_a_step_is_found_where_it_is() -> None:
    series = np.log(noisy(steps((1.0, 100), (1.1, 60)))[:])
    (found,) = change_points(series)
    assert abs(found - 100) <= 2


@pytest.mark.parametrize("seed", range(20))
def test_noise_alone_has_no_change_and_a_spike_is_none(seed: int) -> None:
    series = np.random.default_rng(seed).normal(0, 1, 200)
    assert change_points(series) == []
    series[120:122] += 50
    assert change_points(series) == []


def test_the_shortest_series_have_no_change() -> None:
    assert change_points(np.array([1.0] * 4 + [9.0] * 5)) == []
    assert change_points(np.array([1.0] * 5 + [9.0] * 5)) == [5]


def test_the_noise_is_that_around_the_levels() -> None:
    series = np.concatenate([np.zeros(500), np.full(500, 100.0)]) + np.random.default_rng(0).normal(0, 2, 1000)
    assert noise_of(series) == pytest.approx(2.0, rel=0.15)


@pytest.mark.parametrize(
    ("levels", "label", "begins"),
    [
        (steps((1.0, 2000)), Label.FLAT, 0),
        (steps((1.0, 2000)) + 0.5 * np.exp(-np.arange(2000) / 60), Label.WARM_UP, 400),
        (steps((2.0, 200), (1.4, 200), (1.0, 1600)), Label.WARM_UP, 800),
        (steps((1.0, 800), (1.2, 1200)), Label.SLOW_DOWN, 1400),
        (steps((1.0, 1800), (1.2, 200)), Label.NO_STEADY_STATE, None),
        (np.linspace(1.0, 1.0 + 1e-9, 39), Label.TOO_SHORT, None),
    ],
)
def test_each_class_is_named(levels: np.ndarray, label: Label, begins: int | None) -> None:
    frequency = np.full(100, 2400.0)
    found = steady_state(noisy(levels), frequency_mhz=frequency)
    assert found.label is label
    if begins is None:
        assert found.begins is None
    else:
        assert abs(found.begins - begins) <= 60


def test_what_decays_gets_as_long_again_to_settle() -> None:
    found = steady_state(noisy(steps((1.5, 300), (1.0, 1700))))
    assert abs(found.changes[0] - 300) <= 8
    assert abs(found.begins - 600) <= 16


def test_alternating_modes_are_a_flat_state_with_two_numbers() -> None:
    slow = np.random.default_rng(1).random(3000) < 0.3
    found = steady_state(noisy(np.where(slow, 1.4, 1.0)))
    assert found.label is Label.BIMODAL
    assert found.begins == 0
    assert found.modes_ms == pytest.approx((1.0, 1.4), rel=0.01)


def test_a_long_tail_is_no_second_mode() -> None:
    rng = np.random.default_rng(0)
    samples = (1e6 * (1 + rng.exponential(0.2, 4000))).astype(np.int64)
    assert modes_of(samples) is None
    assert modes_of(np.full(100, 5)) is None
    assert modes_of(noisy(np.where(rng.random(4000) < 0.03, 2.0, 1.0))) is None, "outliers are no mode"


RAMP = steps((1.0, 600), (1.1, 200), (1.2, 200), (1.3, 1000))


def test_slower_with_a_falling_frequency_is_throttled() -> None:
    falling = np.repeat([2400.0, 2180.0, 2000.0, 1850.0], [30, 10, 10, 50])
    found = steady_state(noisy(RAMP), frequency_mhz=falling)
    assert (found.label, found.throttled) == (Label.THROTTLED, True)
    assert found.frequency_ratio == pytest.approx(1850 / 2400)
    assert found.begins >= 1000


def test_slower_at_a_steady_frequency_is_a_slow_down() -> None:
    assert steady_state(noisy(RAMP), frequency_mhz=np.full(100, 2400.0)).label is Label.SLOW_DOWN


def test_a_drift_without_a_frequency_counts_as_throttled_and_one_step_does_not() -> None:
    assert steady_state(noisy(RAMP)).label is Label.THROTTLED
    assert steady_state(noisy(steps((1.0, 800), (1.2, 1200)))).label is Label.SLOW_DOWN


def test_a_falling_frequency_that_costs_nothing_is_no_throttling() -> None:
    assert steady_state(noisy(steps((1.0, 2000))), frequency_mhz=np.linspace(2400, 1200, 100)).label is Label.FLAT


def test_a_level_within_two_percent_is_the_same_level() -> None:
    assert steady_state(noisy(steps((1.015, 1000), (1.0, 1000)), spread=0.002)).label is Label.FLAT
    assert steady_state(noisy(steps((1.03, 1000), (1.0, 1000)), spread=0.002)).label is Label.WARM_UP


def test_blocks_and_deciles_in_closed_form() -> None:
    assert block_medians(np.array([1, 9, 2, 4, 4, 7, 8]), 3).tolist() == [2.0, 5.5]
    assert decile_ratio(np.arange(1, 101)) == pytest.approx(95.5 / 5.5)
