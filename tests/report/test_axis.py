"""Axes and their ticks."""

import math

from hypothesis import assume, given
from hypothesis import strategies as st

from edgedistill.report.axis import LinearAxis, LogAxis

positive = st.floats(1e-3, 1e4)


@given(low=positive, width=positive, count=st.integers(2, 10))
def test_ticks_are_inside_ascending_few_and_read_as_they_are(low: float, width: float, count: int) -> None:
    assume(width / low > 1e-4)
    high = low + width
    for axis in (LinearAxis(low, high, 0, 100), LogAxis(low, high, 0, 100)):
        ticks = axis.ticks(count)
        values = [value for value, _ in ticks]
        assert len(ticks) <= count
        assert values == sorted(set(values))
        assert all(low * (1 - 1e-6) <= value <= high * (1 + 1e-6) for value in values)
        assert all(math.isclose(float(label.replace(",", "")), value, rel_tol=1e-6) for value, label in ticks)


@given(low=positive, width=positive)
def test_the_ends_are_placed_at_the_ends(low: float, width: float) -> None:
    assume(width / low > 1e-4)
    for axis in (LinearAxis(low, low + width, 10, 90), LogAxis(low, low + width, 10, 90)):
        assert math.isclose(axis.place(axis.low), 10, abs_tol=1e-6)
        assert math.isclose(axis.place(axis.high), 90, abs_tol=1e-6)


def test_linear_ticks() -> None:
    ticks = LinearAxis(90.6, 94.4, 0, 100).ticks(5)
    assert ticks == ((91.0, "91"), (92.0, "92"), (93.0, "93"), (94.0, "94"))
    assert [label for _, label in LinearAxis(0.9, 2.1, 0, 100).ticks(3)] == ["1.0", "1.5", "2.0"]


def test_logarithmic_ticks() -> None:
    assert [label for _, label in LogAxis(0.27, 4.6, 0, 100).ticks(6)] == ["0.5", "1", "2"]
    assert [label for _, label in LogAxis(0.01, 1000, 0, 100).ticks(6)] == ["0.01", "0.1", "1", "10", "100", "1,000"]
    assert LogAxis(1, 100, 0, 100).place(10) == 50
