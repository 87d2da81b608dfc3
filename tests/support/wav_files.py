"""Writes .wav files of any form."""

from __future__ import annotations

import wave
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path


def write_wav(path: Path, sound: np.ndarray, *, rate: int = 16_000, width: int = 2) -> Path:
    """Write int16 samples (n,) or (n, channels) as PCM of 1 to 4 bytes."""
    values = (sound[:, None] if sound.ndim == 1 else sound).astype(np.int64)
    if width == 1:
        content = (values // 256 + 128).astype(np.uint8).tobytes()
    else:
        wide = (values << 16).astype("<i4").view(np.uint8).reshape(-1, 4)
        content = wide[:, 4 - width :].tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(values.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(content)
    return path


def tones(count: int, *, samples: int = 16_000) -> np.ndarray:
    """Return (count, samples) int16: chirps of whole-number arithmetic, the same on every machine."""
    time = np.arange(samples, dtype=np.int64)
    number = np.arange(1, count + 1, dtype=np.int64)[:, None]
    phase = (time * 37 * number + time * time * number // 64) % 2000
    triangle = np.abs(phase - 1000) * 40 - 20_000
    return (triangle * (time % 4000) // 4000).astype(np.int16)
