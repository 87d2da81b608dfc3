"""Synthetic noise: uniform numbers summed in octaves, in whole numbers, so that every machine makes the same."""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLES = 1 << 20
"""Length of one kind's noise; a stretch of it begins anywhere."""

OCTAVES = {"white": (1, 0), "pink": (11, 0), "rumble": (11, 1)}
"""By name: octaves that have noise of their own (Voss's algorithm, Gardner 1978), and bits by which a lower octave is
louder than the one above: with 0 the power falls by about 3 dB per octave, with 1 by 6 dB."""

AMPLITUDE = 1 << 13


@functools.lru_cache(maxsize=len(OCTAVES))
def noise(kind: str) -> NDArray[np.int16]:
    """Return noise of one kind, (SAMPLES,), int16, its peak just below full scale; not to be written to."""
    octaves, louder = OCTAVES[kind]
    key = hashlib.sha256(f"edgedistill noise|{kind}".encode()).digest()[:16]
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
    total = np.zeros(SAMPLES, np.int64)
    for octave in range(octaves):
        held = generator.integers(-AMPLITUDE, AMPLITUDE + 1, SAMPLES >> octave, np.int64)
        total += np.repeat(held, 1 << octave) << (louder * octave)
    total -= total.sum() // SAMPLES
    result: NDArray[np.int16] = (total * 32_000 // np.abs(total).max()).astype(np.int16)
    result.flags.writeable = False
    return result


def noise_level(kind: str) -> float:
    """Return the root mean square of a kind of noise, in steps of int16."""
    return _level(kind)


@functools.lru_cache(maxsize=len(OCTAVES))
def _level(kind: str) -> float:
    values = noise(kind).astype(np.int64)
    return float(np.sqrt(float((values * values).sum()) / SAMPLES))


def mixed(
    sound: NDArray[np.int16], kind: str, *, start: int, ratio: float, gain: float = 1.0, level: float = 0.0
) -> NDArray[np.int16]:
    """Return `gain * (sound + noise)`, (samples,), int16, clipped at full scale.

    Args:
        sound: (samples,), int16.
        kind: of noise.
        start: where in the noise its stretch begins, 0 to SAMPLES - 1; it goes on at its beginning.
        ratio: root mean square of the noise divided by that of the sound.
        gain: factor on both.
        level: root mean square of the noise in steps of int16, where it is to have one of its own; 0 takes `ratio`.
    """
    values = sound.astype(np.float64)
    if not level:
        level = float(np.sqrt(float((sound.astype(np.int64) ** 2).sum()) / max(1, len(sound)))) * ratio
    stretch = np.take(noise(kind), np.arange(start, start + len(sound)), mode="wrap").astype(np.float64)
    stretch *= level / noise_level(kind)
    values += stretch
    values *= gain
    return np.rint(values).clip(-32768, 32767).astype(np.int16)
