"""The Wilson interval against its definition and known values."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.report.interval import Z95, wilson_interval


@given(right=st.integers(0, 10_000), n=st.integers(1, 10_000))
def test_bounds_are_the_shares_that_a_score_test_just_accepts(right: int, n: int) -> None:
    share = min(right, n) / n
    for bound in wilson_interval(share, n):
        assert math.isclose((share - bound) ** 2, Z95**2 * bound * (1 - bound) / n, rel_tol=1e-6, abs_tol=1e-12)


@given(right=st.integers(0, 10_000), n=st.integers(1, 10_000))
def test_the_share_lies_in_its_interval(right: int, n: int) -> None:
    share = min(right, n) / n
    low, high = wilson_interval(share, n)
    assert 0 <= low <= share <= high <= 1


def test_all_right_is_no_certainty() -> None:
    low, high = wilson_interval(1.0, 100)
    assert high == 1
    assert math.isclose(low, 100 / (100 + Z95**2), rel_tol=1e-12)


def test_known_value() -> None:
    # Newcombe 1998, Statistics in Medicine 17:857-872, table I: 81 of 263
    low, high = wilson_interval(81 / 263, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


@pytest.mark.parametrize(("share", "n"), [(0.5, 0), (1.1, 10), (-0.1, 10)])
def test_no_interval_without_samples(share: float, n: int) -> None:
    with pytest.raises(ValueError, match="no interval"):
        wilson_interval(share, n)
