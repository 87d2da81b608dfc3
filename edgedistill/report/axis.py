"""From a value to a pixel, and where the ticks stand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Protocol

_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
_LEADS: Final = ((1.0, 2.0, 5.0), (1.0,))
_DECADE: Final = 10.0


class Axis(Protocol):
    """One direction of a plot."""

    def place(self, value: float) -> float:
        """Return the pixel of a value."""

    def ticks(self, count: int) -> tuple[tuple[float, str], ...]:
        """Return at most `count` round values within the axis, ascending, each with its label."""


@dataclass(frozen=True)
class LinearAxis:
    """A linear axis.

    Args:
        low: value at `start`.
        high: value at `end`; above `low`.
        start: pixel.
        end: pixel; below `start` for an axis that points up.
    """

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """Return the pixel of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, count: int) -> tuple[tuple[float, str], ...]:
        """Return at most `count` evenly spaced values, labelled with equally many decimals."""
        return _even_ticks(self.low, self.high, count)


@dataclass(frozen=True)
class LogAxis:
    """A logarithmic axis of positive values; the arguments are those of `LinearAxis`."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """Return the pixel of a value."""
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, count: int) -> tuple[tuple[float, str], ...]:
        """Return 1, 2, 5, 10 ... or decades; evenly spaced values where the axis is shorter than a decade."""
        if self.high / self.low < _DECADE:
            return _even_ticks(self.low, self.high, count)
        fitting = [ticks for leads in _LEADS if len(ticks := self._multiples(leads)) <= count]
        ticks = fitting[0] if fitting else self._multiples(_LEADS[-1])
        every = math.ceil(len(ticks) / count)
        return tuple((tick, f"{tick:,.9g}") for tick in ticks[::every])

    def _multiples(self, leads: tuple[float, ...]) -> list[float]:
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        values = [float(f"{lead}e{power}") for power in powers for lead in leads]
        return [value for value in values if self.low <= value <= self.high]


def _even_ticks(low: float, high: float, count: int) -> tuple[tuple[float, str], ...]:
    power = math.floor(math.log10((high - low) / count))
    for step in _STEPS:
        size = step * 10.0**power
        first, last = math.ceil(low / size - 1e-9), math.floor(high / size + 1e-9)
        if last - first + 1 <= count:
            break
    places = max(0, -power + (step == 2.5) - (step == 10.0))  # noqa: PLR2004 - the steps above
    return tuple((index * size, f"{index * size:,.{places}f}") for index in range(first, last + 1))
