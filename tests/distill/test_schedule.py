from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.distill.schedule import (
    Schedule,
    learning_rate_at,
    order_of,
    schedule_of,
    seed_of,
    view_of,
    views_used,
)
from edgedistill.errors import DataError
from edgedistill.recipe import Training

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.distill.conftest import NoiseSet


def schedule(*, samples: int = 10, batch_size: int = 4, epochs: float = 3, view_count: int = 2) -> Schedule:
    return Schedule(samples, view_count, batch_size, epochs, warmup=0.2, highest=0.4, seed=7)


def test_learning_rate_rises_to_its_highest_and_falls_to_zero() -> None:
    rates = [learning_rate_at(step, total_steps=10, warmup=0.2, highest=0.4) for step in range(11)]
    assert rates[:3] == pytest.approx([0.2, 0.4, 0.4], rel=1e-12)
    assert rates[6] == pytest.approx(0.2, rel=1e-12)  # half a cosine, half way
    assert rates[7] == pytest.approx(0.2 * (1 + math.cos(math.pi * 5 / 8)), rel=1e-12)
    assert rates[10] == pytest.approx(0, abs=1e-15)
    assert rates[2:] == sorted(rates[2:], reverse=True)


@pytest.mark.parametrize("warmup", [0.0, 1.0])
def test_learning_rate_with_no_warmup_and_with_nothing_else(warmup: float) -> None:
    rates = [learning_rate_at(step, total_steps=4, warmup=warmup, highest=1) for step in range(4)]
    assert max(rates) == 1
    assert min(rates) > 0


@given(epochs=st.floats(0.1, 20), view_count=st.integers(1, 8))
def test_a_training_sees_exactly_the_views_that_the_teacher_labels(epochs: float, view_count: int) -> None:
    steps = schedule(epochs=epochs, view_count=view_count).steps()
    assert {step.view for step in steps} <= set(range(views_used(epochs, view_count)))
    whole = schedule(epochs=math.ceil(epochs), view_count=view_count)
    assert {step.view for step in whole.steps()} == set(range(views_used(epochs, view_count)))


def test_views_cycle() -> None:
    assert [view_of(epoch, 3) for epoch in range(7)] == [0, 1, 2, 0, 1, 2, 0]
    assert (views_used(2.5, 8), views_used(12, 8), views_used(0, 8)) == (3, 8, 0)


def test_an_epoch_shows_every_sample_once_in_an_order_of_its_own() -> None:
    steps = list(schedule().steps())
    epochs = [np.concatenate([step.indices for step in steps if step.epoch == epoch]) for epoch in range(3)]
    assert [sorted(order) for order in epochs] == [list(range(10))] * 3
    assert len({tuple(order) for order in epochs}) == 3
    assert [len(step.indices) for step in steps[:3]] == [4, 4, 2]
    assert np.array_equal(epochs[1], order_of(1, samples=10, seed=7))
    assert not np.array_equal(epochs[1], order_of(1, samples=10, seed=8))


def test_a_last_batch_of_one_is_left_out() -> None:
    assert [len(step.indices) for step in schedule(samples=9, epochs=1).steps()] == [4, 4]
    assert schedule(samples=3, batch_size=1, epochs=1).total_steps == 3


@given(start=st.integers(0, 9))
def test_steps_go_on_from_anywhere(start: int) -> None:
    whole, rest = list(schedule().steps())[start:], list(schedule().steps(start=start))
    assert len(whole) == len(rest)
    for one, other in zip(whole, rest, strict=True):
        assert np.array_equal(one.indices, other.indices)
        assert (one.number, one.epoch, one.view, one.learning_rate) == (
            other.number,
            other.epoch,
            other.view,
            other.learning_rate,
        )


def test_fractions_of_epochs_and_their_ends() -> None:
    one_and_a_half = schedule(epochs=1.4)
    assert one_and_a_half.total_steps == 4
    assert [one_and_a_half.ends_epoch(number) for number in range(4)] == [False, False, True, True]
    assert schedule(epochs=0.01).total_steps == 1
    assert schedule(epochs=0).total_steps == 0


def test_seeds_differ_by_purpose_and_never_change() -> None:
    assert seed_of(0, "order", 1) != seed_of(0, "step", 1)
    assert seed_of(0, "order", 1) == int(hashlib.sha256(b"(0, 'order', 1)").hexdigest()[:16], 16) // 2
    assert 0 <= seed_of("x") < 2**63


def test_a_single_sample_is_refused(noise_set: Callable[..., NoiseSet]) -> None:
    with pytest.raises(DataError, match=r"1 sample\(s\); wanted at least 2"):
        schedule_of(Training(), noise_set(1, view_count=1), seed=0)


def test_short_epochs_are_looked_at_every_few() -> None:
    one_step = schedule(samples=4, epochs=300)
    assert [number for number in range(300) if one_step.reports(number)] == [29, *range(59, 300, 30)]
    few = schedule(samples=12, epochs=7.5)
    assert [number for number in range(22) if few.reports(number)] == [2, 5, 8, 11, 14, 17, 20, 21]
    long = schedule(samples=4000, batch_size=4, epochs=30)
    assert [number for number in range(3000) if long.reports(number)] == [999, 1999, 2999]
