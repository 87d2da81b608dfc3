"""From recorded sound to model inputs, in numpy alone. This very file is copied onto devices.

It imports nothing but numpy and the standard library and runs on Python 3.8 with numpy 1.17 and later. The
workstation and the device compute the same bits, because nothing depends on the order of a sum or on a library's
sine or logarithm: the Fourier transform and the cosine transform are products of whole numbers below 2^53 (exact in
float64, in whatever order a BLAS adds them), everything else is single operations of IEEE 754 in a fixed order, and
tables are computed in decimal arithmetic. Errors are `ValueError`, because the device has no `edgedistill.errors`.
"""

from __future__ import annotations

import functools
import wave
from decimal import Decimal, localcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Frames = NDArray[np.float64]

TABLE_BITS = 30
"""Fraction bits of sines and of the window; their product fits into int64."""

EXACT_BITS = 53
"""Whole numbers up to 2^53 and their sums are exact in float64."""

DECIBEL_BITS = 16
"""Fraction bits of a band's level before the cosine transform."""

CEPSTRUM_BITS = 20
"""Fraction bits of the cosine transform."""

SOUNDS_AT_ONCE = 8
"""Sounds of one piece: intermediate arrays stay in the CPU's cache."""

LARGEST_WAV_BYTES = 64 * 2**20
SAMPLE_BYTES = 2
FULL_SCALE = 32768


def preprocess(raw: NDArray[np.int16] | NDArray[np.str_], manifest: Mapping[str, object]) -> NDArray[np.float32]:
    """Return model inputs of a batch of sounds.

    Args:
        raw: (n, samples), int16, at the sample rate of the preprocessing; or (n,), paths of .wav files.
        manifest: JSON form of `AudioPreprocessing`.

    Returns:
        (n, 1, frames, features), float32, C-contiguous: `(x - mean) / std` of band levels in dB, or of their cepstrum.

    Raises:
        ValueError: the batch's dtype or shape is not the one that the preprocessing wants, or a file cannot be used.
    """
    if manifest["kind"] != "audio":
        message = f"preprocessing kind: found {manifest['kind']!r}; wanted 'audio'."
        raise ValueError(message)
    sounds = _sounds(raw, manifest)
    starts = range(0, len(sounds), SOUNDS_AT_ONCE)
    parts = [features(sounds[start : start + SOUNDS_AT_ONCE], manifest) for start in starts]
    inputs = np.concatenate(parts) if parts else features(sounds, manifest)
    inputs -= np.asarray(manifest["mean"], np.float32)
    inputs /= np.asarray(manifest["std"], np.float32)
    return np.ascontiguousarray(inputs[:, None])


def _sounds(raw: NDArray[np.int16] | NDArray[np.str_], manifest: Mapping[str, object]) -> NDArray[np.int16]:
    samples = sample_count(manifest)
    if raw.dtype.kind == "U":
        return np.array([sound_from_wav(Path(str(path)), manifest) for path in raw.ravel().tolist()])
    if raw.dtype != np.int16 or raw.ndim != 2 or raw.shape[1] != samples:  # noqa: PLR2004 - sounds, samples
        message = f"raw sounds: found {raw.dtype} {raw.shape}; wanted int16 (n, {samples})."
        raise ValueError(message)
    return raw  # type: ignore[return-value]  # the dtype was compared just now


def sample_count(manifest: Mapping[str, object]) -> int:
    """Return the samples of one sound."""
    return round(_number(manifest, "seconds") * _whole(manifest, "sample_rate"))


def features(raw: NDArray[np.int16], manifest: Mapping[str, object]) -> NDArray[np.float32]:
    """Return band levels in dB, or their cepstrum, not normalised: (n, frames, features), float32.

    0 dB is the power of the loudest sine wave; a band's level is at least `floor_db`.
    """
    rate = _whole(manifest, "sample_rate")
    window, hop = (round(_number(manifest, name) * rate / 1000) for name in ("window_ms", "hop_ms"))
    limits = (str(manifest["low_hz"]), str(manifest["high_hz"]))
    taps, weights, bins = band_taps(rate, window, _whole(manifest, "bands"), limits)
    power = spectrum(raw, window=window, hop=hop, bins=bins)
    energy = np.zeros((*power.shape[:2], len(taps)))
    for tap in range(taps.shape[1]):
        energy += np.take(power, taps[:, tap], axis=2) * weights[:, tap]
    level = decibels(energy, floor_db=_number(manifest, "floor_db"))
    cepstra = _whole(manifest, "cepstra")
    return (cepstrum(level, cepstra) if cepstra else level).astype(np.float32)


def spectrum(raw: NDArray[np.int16], *, window: int, hop: int, bins: tuple[int, int]) -> Frames:
    """Return the power of each frequency of each frame, 1 for a sine wave of full scale.

    Args:
        raw: (n, samples), int16.
        window: samples of a frame, even; weighted by a periodic Hann window.
        hop: samples from one frame to the next.
        bins: first and last frequency plus one, in units of sample rate / window.

    Returns:
        (n, frames, bins), float64.
    """
    cosines, sines, bits = transform(window, bins)
    half = window // 2
    starts = np.arange(0, raw.shape[1] - window + 1, hop)[:, None]
    # a window that is symmetric about its middle, and 0 at its start, lets each product serve two samples
    left = raw[:, starts + np.arange(1, half + 1)].astype(np.int32)
    right = raw[:, starts + np.arange(window - 1, half - 1, -1)].astype(np.int32)
    right[..., -1] = 0  # the middle counts once
    real = (left + right).astype(np.float64) @ cosines
    imaginary = (left - right)[..., :-1].astype(np.float64) @ sines
    scale = 1.0 / (1 << bits)
    real, imaginary = real * scale, imaginary * scale
    real *= real
    imaginary *= imaginary
    real += imaginary
    # a sine wave of amplitude a gives a peak of (a * window / 4)^2
    real /= float((FULL_SCALE * window // 4) ** 2)
    return real


@functools.lru_cache(maxsize=16)
def transform(window: int, bins: tuple[int, int]) -> tuple[Frames, Frames, int]:
    """Return the windowed Fourier transform of half a frame in whole numbers, and their fraction bits.

    Returns:
        Cosines (window / 2, bins) for samples 1 to window / 2; sines (window / 2 - 1, bins); bits.
    """
    half = window // 2
    turn = _cosines(window)
    samples = np.arange(1, half + 1)[:, None]
    place = samples * np.arange(*bins) % window
    hann = ((1 << TABLE_BITS) - turn[samples]) >> 1
    bits = min(EXACT_BITS - 16 - (half - 1).bit_length(), TABLE_BITS)
    shift = 2 * TABLE_BITS - bits
    rounding = np.int64(1) << np.int64(shift - 1)
    cosines = (turn[place] * hann + rounding) >> np.int64(shift)
    # cos(x - 90 degrees) is sin(x); the quarter is a whole place where 4 divides the window, else a finer circle has it
    quarter = _cosines(4 * window)[(4 * place - window) % (4 * window)]
    sines = (quarter * hann + rounding) >> np.int64(shift)
    return cosines.astype(np.float64), sines[:-1].astype(np.float64), bits


@functools.lru_cache(maxsize=16)
def band_taps(
    rate: int, window: int, bands: int, limits: tuple[str, str]
) -> tuple[NDArray[np.int64], Frames, tuple[int, int]]:
    """Return which frequencies make each band, with what weight: triangles of equal width on the mel scale.

    The scale is 2595 log10(1 + f / 700 Hz) (O'Shaughnessy 1987), the triangle's height 1.

    Args:
        rate: samples per second.
        window: samples of a frame.
        bands: triangles.
        limits: lowest and highest edge in Hz, in decimal digits.

    Returns:
        Taps (bands, most), int64, counted from the first frequency in use; weights (bands, most), float64, multiples of
        2^-30; the first and last frequency in use plus one.

    Raises:
        ValueError: a band is so narrow that no frequency lies in it.
    """
    with localcontext() as context:
        context.prec = 40
        edges = _mel_edges(bands, limits)
        step = Decimal(rate) / window
        rows = []
        for low, middle, high in zip(edges, edges[1:], edges[2:]):  # noqa: B905 - Python 3.8 has no strict
            first, last = int(low / step) + 1, int(high / step)
            rows.append(
                [
                    (place, int(_triangle(place * step, low, middle, high) * (1 << TABLE_BITS)))
                    for place in range(first, last + 1)
                ]
            )
    empty = [number for number, row in enumerate(rows) if not any(weight for _, weight in row)]
    if empty:
        narrow = f"no frequency lies in band {empty[0] + 1} of {bands}"
        message = f"preprocessing bands: {narrow}; wanted fewer bands, or a longer window."
        raise ValueError(message)
    start = min(row[0][0] for row in rows)
    stop = max(row[-1][0] for row in rows) + 1
    most = max(len(row) for row in rows)
    taps = np.zeros((bands, most), np.int64)
    weights = np.zeros((bands, most))
    for number, row in enumerate(rows):
        taps[number, : len(row)] = [place - start for place, _ in row]
        weights[number, : len(row)] = [weight / (1 << TABLE_BITS) for _, weight in row]
    return taps, weights, (start, stop)


def decibels(energy: Frames, *, floor_db: float) -> Frames:
    """Return `10 log10(energy)`, at least `floor_db`, within 1e-7 dB, in operations that round the same everywhere."""
    mantissa, exponent = np.frexp(np.maximum(energy, 1e-30))
    small = mantissa < 0.70710678  # noqa: PLR2004 - near the square root of a half: the series is short on both sides
    mantissa = np.where(small, mantissa * 2, mantissa)
    ratio = (mantissa - 1) / (mantissa + 1)
    square = ratio * ratio
    series = np.full_like(square, 1 / 13)
    for odd in (11, 9, 7, 5, 3, 1):
        series *= square
        series += 1 / odd
    level = ratio * series
    level *= 8.685889638065036  # 20 / ln(10): the series is half the logarithm
    level += (exponent - small) * 3.010299956639812
    result: Frames = np.maximum(level, floor_db)
    return result


def cepstrum(level: Frames, count: int) -> Frames:
    """Return the first coefficients of the orthonormal cosine transform (DCT-II) along the last axis.

    Args:
        level: (..., bands), dB, between -1000 and 1000.
        count: coefficients.

    Returns:
        (..., count), float64.
    """
    codes = np.rint(level * (1 << DECIBEL_BITS))
    result: Frames = codes @ _cosine_transform(level.shape[-1], count) / float(1 << (DECIBEL_BITS + CEPSTRUM_BITS))
    return result


@functools.lru_cache(maxsize=16)
def _cosine_transform(bands: int, count: int) -> Frames:
    turn = _cosines(4 * bands)
    place = (2 * np.arange(bands)[:, None] + 1) * np.arange(count) % (4 * bands)
    with localcontext() as context:
        context.prec = 40
        root = int((Decimal(2) / bands).sqrt() * (1 << TABLE_BITS))
        first = int((Decimal(1) / bands).sqrt() * (1 << TABLE_BITS))
    norms = np.full(count, root, np.int64)
    norms[:1] = first
    table: NDArray[np.int64] = (turn[place] * norms) >> np.int64(2 * TABLE_BITS - CEPSTRUM_BITS)
    return table.astype(np.float64)


@functools.lru_cache(maxsize=16)
def _cosines(count: int) -> NDArray[np.int64]:
    """Return cos(2 pi i / count) in whole numbers of 2^-30, the same on every machine."""
    with localcontext() as context:
        context.prec = 40
        circle = Decimal("6.283185307179586476925286766559005768394")
        values = [
            int((_cosine(circle * place / count) * (1 << TABLE_BITS)).to_integral_value()) for place in range(count)
        ]
    return np.array(values, np.int64)


def _cosine(angle: Decimal) -> Decimal:
    """Return the cosine of 0 to 2 pi, by its series."""
    total = term = Decimal(1)
    square, number = angle * angle, 0
    while abs(term) > Decimal("1e-36") or number < 4:  # noqa: PLR2004 - terms grow at first
        number += 2
        term = -term * square / (number * (number - 1))
        total += term
    return total


def _mel_edges(bands: int, limits: tuple[str, str]) -> Sequence[Decimal]:
    low, high = ((1 + Decimal(limit) / 700).ln() for limit in limits)
    return [700 * ((low + (high - low) * place / (bands + 1)).exp() - 1) for place in range(bands + 2)]


def _triangle(place: Decimal, low: Decimal, middle: Decimal, high: Decimal) -> Decimal:
    return min((place - low) / (middle - low), (high - place) / (high - middle))


def sound_from_wav(path: Path, manifest: Mapping[str, object]) -> NDArray[np.int16]:
    """Return the sound of a .wav file as a raw sample: (samples,), int16, cut or filled with silence at its end.

    Args:
        path: 16-bit, one channel, at the sample rate of the preprocessing: nothing is converted on the device.
        manifest: JSON form of `AudioPreprocessing`.

    Raises:
        ValueError: the file cannot be read, or is of another form.
    """
    rate, samples = _whole(manifest, "sample_rate"), sample_count(manifest)
    try:
        if path.stat().st_size > LARGEST_WAV_BYTES:
            message = f"sound '{path}': found {path.stat().st_size} bytes; wanted at most {LARGEST_WAV_BYTES}."
            raise ValueError(message)
        with wave.open(str(path), "rb") as file:
            found = (file.getframerate(), file.getnchannels(), file.getsampwidth())
            content = file.readframes(samples)
    except (OSError, EOFError, RuntimeError, wave.Error) as error:  # RuntimeError: a chunk that ends behind the file
        message = f"sound '{path}': {error or 'it ends too early'}."
        raise ValueError(message) from error
    if found != (rate, 1, SAMPLE_BYTES):
        form = f"{found[0]} Hz, {found[1]} channel(s), {8 * found[2]} bits"
        message = f"sound '{path}': found {form}; wanted {rate} Hz, 1 channel, 16 bits."
        raise ValueError(message)
    values = np.frombuffer(content[: len(content) // SAMPLE_BYTES * SAMPLE_BYTES], "<i2")
    sound = np.zeros(samples, np.int16)
    sound[: len(values)] = values
    return sound


def _number(manifest: Mapping[str, object], name: str) -> float:
    value = manifest[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        message = f"preprocessing {name}: found {value!r}; wanted a number."
        raise ValueError(message)  # noqa: TRY004 - what the runner turns into a message
    return float(value)


def _whole(manifest: Mapping[str, object], name: str) -> int:
    return int(_number(manifest, name))
