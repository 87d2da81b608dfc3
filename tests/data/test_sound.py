"""Features of sounds: against numpy's transforms, and the same bits wherever they are computed."""

from __future__ import annotations

import ast
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from wav_files import tones, write_wav

from edgedistill.data import sound
from edgedistill.data.checks import RawSplit, checked_samples
from edgedistill.data.preprocessing import AudioPreprocessing
from edgedistill.errors import DataError

LEVELS = AudioPreprocessing(mean=(-60.0,), std=(20.0,))
CEPSTRA = AudioPreprocessing(cepstra=10, window_ms=40, hop_ms=20)
PINNED = {
    "levels": "36fc5c389f07fa69a9f6178336f46af097b865e720215ea8acf71cca24079d81",
    "cepstra": "83f8f11d594eefeb64d302f7a394cb5461992a16491b945916fb99715f6c4127",
}
"""sha256 of the features of `tones(3)`, little-endian."""

ALONE = """
import hashlib, json, pathlib, sys
import numpy as np
here = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(here))
import sound
raw = np.load(str(here / "raw.npy"))
manifests = json.loads((here / "manifests.json").read_text())
print(json.dumps({name: hashlib.sha256(sound.preprocess(raw, item).astype("<f4").tobytes()).hexdigest()
                  for name, item in manifests.items()}))
"""


def manifest(preprocessing: AudioPreprocessing = LEVELS) -> dict[str, object]:
    return preprocessing.model_dump(mode="json")


def device_folder(folder: Path) -> Path:
    """Lay the file out as on a device, with sounds."""
    shutil.copy(sound.__file__, folder / "sound.py")
    (folder / "alone.py").write_text(ALONE)
    np.save(folder / "raw.npy", tones(3))
    manifests = {"levels": manifest(LEVELS), "cepstra": manifest(CEPSTRA)}
    (folder / "manifests.json").write_text(json.dumps(manifests))
    return folder


@pytest.mark.parametrize(("window", "hop"), [(512, 320), (400, 160), (250, 100)])
def test_the_spectrum_is_that_of_numpy(window: int, hop: int) -> None:
    raw = np.random.default_rng(0).integers(-20_000, 20_000, (2, 4000)).astype(np.int16)
    weights = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    starts = range(0, 4000 - window + 1, hop)
    frames = np.stack([[row[start : start + window] * weights for start in starts] for row in raw])
    wanted = np.abs(np.fft.rfft(frames)[..., 1 : window // 2]) ** 2 / (32768 * window / 4) ** 2
    found = sound.spectrum(raw, window=window, hop=hop, bins=(1, window // 2))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-14)


def test_a_sine_wave_of_full_scale_has_about_0_db_in_its_band_and_silence_the_floor() -> None:
    time = np.arange(16_000) / 16_000
    loud = np.rint(32_767 * np.sin(2 * np.pi * 1000 * time)).astype(np.int16)
    level = sound.features(np.stack([loud, np.zeros_like(loud)]), manifest())
    assert abs(level[0].max(axis=1)).max() < 1.8
    assert (level[1] == -100).all()


@given(st.integers(8, 2048).map(lambda half: 2 * half))
@settings(max_examples=15, deadline=None)
def test_sums_of_the_transform_stay_exact_in_float64(window: int) -> None:
    cosines, sines, _ = sound.transform(window, (1, window // 2))
    for table in (cosines, sines):
        assert np.array_equal(table, np.rint(table))
        assert np.abs(table).sum(axis=0).max() * 65_536 <= 2**53


def test_the_order_of_a_sum_changes_no_bit() -> None:
    cosines, _, _ = sound.transform(512, (1, 244))
    frames = np.random.default_rng(0).integers(-65_536, 65_536, (50, 256)).astype(np.float64)
    order = np.random.default_rng(1).permutation(256)
    assert np.array_equal(frames @ cosines, frames[:, order] @ cosines[order])


def test_decibels_are_those_of_the_logarithm() -> None:
    energy = 10 ** np.random.default_rng(0).uniform(-19, 3, 10_000)
    np.testing.assert_allclose(sound.decibels(energy, floor_db=-200), 10 * np.log10(energy), rtol=0, atol=1e-7)
    assert sound.decibels(np.zeros(1), floor_db=-80)[0] == -80


def test_bands_are_triangles_on_the_mel_scale() -> None:
    taps, weights, (start, stop) = sound.band_taps(16_000, 512, 40, ("20.0", "7600.0"))
    found = np.zeros((40, stop))
    for band in range(40):
        np.add.at(found[band], taps[band] + start, weights[band])
    mel = np.linspace(*(2595 * np.log10(1 + np.array([20, 7600]) / 700)), 42)
    edges = 700 * (10 ** (mel / 2595) - 1)
    place = np.arange(stop) * 16_000 / 512
    for band, (low, middle, high) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        wanted = np.maximum(0, np.minimum((place - low) / (middle - low), (high - place) / (high - middle)))
        np.testing.assert_allclose(found[band], wanted, atol=1e-8)


def test_the_cepstrum_is_the_orthonormal_cosine_transform() -> None:
    level = np.random.default_rng(0).uniform(-100, 0, (3, 5, 40))
    band, number = np.arange(40), np.arange(13)[:, None]
    table = np.cos(np.pi * number * (2 * band + 1) / 80) * np.where(number, np.sqrt(2 / 40), np.sqrt(1 / 40))
    np.testing.assert_allclose(sound.cepstrum(level, 13), level @ table.T, atol=0.01)


def test_a_sound_has_the_same_bits_alone_and_among_others() -> None:
    raw = tones(19)
    together = sound.preprocess(raw, manifest())
    assert together.shape == (19, *LEVELS.input_shape) == (19, 1, 49, 40)
    assert together.flags.c_contiguous
    for index in (0, 7, 8, 18):
        assert sound.preprocess(raw[index : index + 1], manifest()).tobytes() == together[index].tobytes()
    assert sound.preprocess(raw[:0], manifest()).shape == (0, 1, 49, 40)


def test_normalisation_is_one_subtraction_and_one_division() -> None:
    raw = tones(2)
    plain = sound.features(raw, manifest())
    wanted = (plain - np.float32(-60)) / np.float32(20)
    assert sound.preprocess(raw, manifest())[:, 0].tobytes() == wanted.tobytes()


def test_the_file_alone_computes_the_bits_that_are_pinned(tmp_path: Path) -> None:
    folder = device_folder(tmp_path)
    command = [sys.executable, "-I", str(folder / "alone.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == PINNED


def test_the_pinned_bits_are_those_of_this_process() -> None:
    for name, preprocessing in (("levels", LEVELS), ("cepstra", CEPSTRA)):
        found = sound.preprocess(tones(3), manifest(preprocessing)).astype("<f4").tobytes()
        assert hashlib.sha256(found).hexdigest() == PINNED[name]


def test_it_is_python_3_8_with_numpy_alone() -> None:
    tree = ast.parse(Path(sound.__file__).read_text("utf-8"), feature_version=(3, 8))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {str(name).partition(".")[0] for name in modules} - {"numpy"} <= sys.stdlib_module_names


@pytest.mark.parametrize(
    "raw", [np.zeros((2, 16_000), np.float32), np.zeros((2, 8000), np.int16), np.zeros(16_000, np.int16)]
)
def test_other_sounds_are_refused(raw: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"wanted int16 \(n, 16000\)"):
        sound.preprocess(raw, manifest())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window_ms": 31.97}, "whole number"),
        ({"window_ms": 199.9375}, "even number"),
        ({"hop_ms": 10.01}, "hop_ms is"),
        ({"seconds": 0.05, "window_ms": 100}, "window within the sound"),
        ({"high_hz": 8001}, "low < high"),
        ({"low_hz": 7600}, "low < high"),
        ({"cepstra": 41}, "at most as many as bands"),
        ({"mean": (0.0, 1.0)}, "wanted 1 or 40"),
        ({"cepstra": 10, "std": (1.0,) * 40}, "wanted 1 or 10"),
    ],
)
def test_a_preprocessing_that_cannot_be_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        AudioPreprocessing(**changes)


def test_bands_without_a_frequency_are_refused_before_anything_is_learned() -> None:
    found = RawSplit(tones(4), np.arange(4) % 2, ("a", "b"), "sounds")
    with pytest.raises(DataError, match="no frequency lies in band 3 of 200"):
        checked_samples(found, source="a", split="train", preprocessing=AudioPreprocessing(bands=200), classes=())


def test_a_wav_file_is_a_raw_sample(tmp_path: Path) -> None:
    raw = tones(1)[0]
    path = write_wav(tmp_path / "a.wav", raw)
    assert np.array_equal(sound.sound_from_wav(path, manifest()), raw)
    short = sound.sound_from_wav(write_wav(tmp_path / "b.wav", raw[:5000]), manifest())
    assert np.array_equal(short[:5000], raw[:5000])
    assert not short[5000:].any()
    long = sound.sound_from_wav(write_wav(tmp_path / "c.wav", np.tile(raw, 2)), manifest())
    assert np.array_equal(long, raw)
    paths = np.array([str(path), str(tmp_path / "b.wav")])
    assert np.array_equal(sound.preprocess(paths, manifest()), sound.preprocess(np.stack([raw, short]), manifest()))


@pytest.mark.parametrize(
    ("rate", "width", "channels", "message"),
    [(8000, 2, 1, "8000 Hz"), (16_000, 1, 1, "8 bits"), (16_000, 2, 2, r"2 channel\(s\)")],
)
def test_a_device_converts_no_sound(tmp_path: Path, rate: int, width: int, channels: int, message: str) -> None:
    path = write_wav(tmp_path / "a.wav", np.stack([tones(1)[0]] * channels, axis=1), rate=rate, width=width)
    with pytest.raises(ValueError, match=f"{message}.*wanted 16000 Hz, 1 channel, 16 bits"):
        sound.sound_from_wav(path, manifest())


@pytest.mark.parametrize("content", [b"", b"RIFF", b"RIFF\x10\0\0\0WAVEfmt \x10\0\0\0", b"no sound at all" * 9])
def test_what_is_no_wav_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"sound '.*a\.wav'"):
        sound.sound_from_wav(path, manifest())
    with pytest.raises(ValueError, match="No such file"):
        sound.sound_from_wav(tmp_path / "none.wav", manifest())
