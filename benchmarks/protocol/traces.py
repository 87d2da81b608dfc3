"""Synthetic traces of one process, whose class and steady median are known because they were made so."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.bench.steady_state import Label

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Random = np.random.Generator
    Floats = NDArray[np.float64]

READINGS = 120
NOMINAL_MHZ = 2400.0
REFERENCE_SAMPLES = 4_000_000


@dataclass(frozen=True)
class Trace:
    """Samples of one process, and what is true of them.

    Args:
        label: what was simulated.
        samples: (n,), int64, nanoseconds.
        frequency_mhz: (readings,); none where the device has no such sensor.
        median_ns: median of what the steady state's samples are drawn from; none without one.
    """

    label: Label
    samples: NDArray[np.int64]
    frequency_mhz: Floats | None
    median_ns: float | None


@dataclass(frozen=True)
class Noise:
    """Factors around a level: lognormal, and now and then something of the system gets in between.

    Args:
        spread: standard deviation of the logarithm.
        interrupted: share of the samples that take 0 to 150 % longer (exponential, mean 30 %).
        correlation: of neighbours (first-order autoregressive).
    """

    spread: float
    interrupted: float
    correlation: float

    def draw(self, rng: Random, count: int) -> Floats:
        """Return factors, (count,)."""
        steps = rng.normal(0, 1, count)
        if self.correlation:
            fresh = np.sqrt(1 - self.correlation**2)
            for index in range(1, count):
                steps[index] = self.correlation * steps[index - 1] + fresh * steps[index]
        hit = rng.random(count) < self.interrupted
        return np.exp(self.spread * steps) * np.where(hit, 1 + rng.exponential(0.3, count), 1.0)


@cache
def median_factor(noise: Noise, modes: tuple[float, float] = (1.0, 0.0)) -> float:
    """Return the median of the noise, by four million draws of its own; `modes` are a second level and its share."""
    rng = np.random.default_rng(2026)
    factors = Noise(noise.spread, noise.interrupted, 0.0).draw(rng, REFERENCE_SAMPLES)
    factors[rng.random(REFERENCE_SAMPLES) < modes[1]] *= modes[0]
    return float(np.median(factors))


def trace(label: Label, rng: Random) -> Trace:
    """Return one trace of a class: 1,024 to 6,000 samples around 0.2 to 40 ms."""
    count = int(rng.integers(1024, 6000))
    base = float(np.exp(rng.uniform(np.log(0.2e6), np.log(40e6))))
    noise = Noise(*(float(rng.choice(values)) for values in ((0.005, 0.01, 0.03), (0.0, 0.01, 0.03), (0.0, 0.0, 0.3))))
    make = {
        Label.FLAT: _flat,
        Label.WARM_UP: _warm_up,
        Label.SLOW_DOWN: _slow_down,
        Label.BIMODAL: _bimodal,
        Label.THROTTLED: _throttled,
        Label.NO_STEADY_STATE: _restless,
    }[label]
    levels, frequency, steady = make(rng, count)
    if label is Label.BIMODAL:
        levels, modes = levels
        median = median_factor(noise, modes)
    else:
        median = median_factor(noise)
    samples = np.maximum(1, np.rint(base * levels * noise.draw(rng, count))).astype(np.int64)
    return Trace(label, samples, frequency, None if steady is None else base * steady * median)


def _frequency(rng: Random, mhz: Floats | float = NOMINAL_MHZ) -> Floats:
    return np.broadcast_to(mhz, READINGS) * (1 + rng.normal(0, 0.003, READINGS))


def _sometimes(rng: Random, frequency: Floats) -> Floats | None:
    return frequency if rng.random() < 0.5 else None  # noqa: PLR2004 - a coin


def _flat(rng: Random, count: int) -> tuple[Floats, Floats | None, float]:
    return np.ones(count), _sometimes(rng, _frequency(rng)), 1.0


def _warm_up(rng: Random, count: int) -> tuple[Floats, Floats | None, float]:
    """Slower by 10 to 150 % at first; falls in one to three steps, or exponentially, within 5 to 50 % of the trace."""
    warm, excess = int(count * rng.uniform(0.05, 0.5)), rng.uniform(0.1, 1.5)
    levels = np.ones(count)
    if rng.random() < 0.5:  # noqa: PLR2004 - a coin
        levels += excess * np.exp(-np.arange(count) / (warm / 8))
    else:
        steps = int(rng.integers(1, 4))
        for index, part in enumerate(np.array_split(np.arange(warm), steps)):
            levels[part] = 1 + excess * (1 - index / steps)
    return levels, _sometimes(rng, _frequency(rng)), 1.0


def _slow_down(rng: Random, count: int) -> tuple[Floats, Floats | None, float]:
    """Slower by 5 to 60 % from 15 to 65 % of the trace on, at the same frequency."""
    slower, at = 1 + rng.uniform(0.05, 0.6), int(count * rng.uniform(0.15, 0.65))
    levels = np.where(np.arange(count) < at, 1.0, slower)
    return levels, _sometimes(rng, _frequency(rng)), slower


def _bimodal(rng: Random, count: int) -> tuple[tuple[Floats, tuple[float, float]], Floats | None, float]:
    """A second mode 15 to 100 % slower takes 15 to 40 % of the samples, a few in a row."""
    slower, share = 1 + rng.uniform(0.15, 1.0), rng.uniform(0.15, 0.4)
    second = rng.random(count) < share
    levels = np.where(second, slower, 1.0)
    return (levels, (slower, round(float(share), 2))), _sometimes(rng, _frequency(rng)), 1.0


def _throttled(rng: Random, count: int) -> tuple[Floats, Floats | None, float]:
    """Full speed for 10 to 35 %, then two to five steps down to a plateau at 20 to 80 % more time, by 65 %."""
    begins, ends, slower = rng.uniform(0.1, 0.35), rng.uniform(0.5, 0.65), rng.uniform(0.2, 0.8)
    steps = int(rng.integers(2, 6))
    done = np.arange(count) / count
    taken = np.clip(np.ceil((done - begins) / (ends - begins) * steps), 0, steps) / steps
    levels = 1 + slower * taken
    frequency = NOMINAL_MHZ / levels[np.linspace(0, count - 1, READINGS).astype(int)]
    return levels, _sometimes(rng, _frequency(rng, frequency)), float(1 + slower)


def _restless(rng: Random, count: int) -> tuple[Floats, Floats | None, None]:
    """Three kinds: levels that keep changing, a ramp that does not end, a step in the last fifth."""
    kind = int(rng.integers(3))
    if kind == 0:
        levels = np.ones(count)
        place = 0
        while place < count:
            stays = int(count * rng.uniform(0.06, 0.16))
            levels[place : place + stays] = rng.choice([0.8, 1.0, 1.2, 1.5])
            place += stays
        levels[int(count * 0.88) :] = levels[int(count * 0.88) - 1] * 1.25
    elif kind == 1:
        levels = np.linspace(1, 1 + rng.uniform(0.3, 1.0), count)
    else:
        levels = np.where(np.arange(count) < count * rng.uniform(0.82, 0.93), 1.0, rng.choice([0.7, 0.85, 1.2, 1.5]))
    return levels, _frequency(rng), None
