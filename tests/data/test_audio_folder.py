"""Folders of .wav files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from wav_files import tones, write_wav

from edgedistill.data import audio_folder, sound
from edgedistill.data.audio_folder import decoded
from edgedistill.data.preprocessing import ArrayPreprocessing, AudioPreprocessing
from edgedistill.data.resampling import resampled
from edgedistill.data.sources import fingerprint, load
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from edgedistill.data.transfer_set import Samples

SHORT = AudioPreprocessing(seconds=0.25)
SAMPLES = 4000


def words(root: Path, *names: str, count: int = 5, form: str = "{}.wav") -> Path:
    """Write count sounds of each word."""
    sounds = tones(count * len(names), samples=SAMPLES)
    for label, name in enumerate(names):
        for index in range(count):
            write_wav(root / "words" / name / form.format(index), sounds[label * count + index])
    return root


def loaded(root: Path, split: str, *classes: str) -> Samples:
    return load("audio-folder:words", split, SHORT, classes, root)


def test_classes_are_folders_and_a_fifth_of_each_is_for_testing(tmp_path: Path) -> None:
    words(tmp_path, "yes", "no")
    train, test = loaded(tmp_path, "train"), loaded(tmp_path, "test")
    assert train.classes == ("no", "yes")
    assert (np.bincount(train.labels).tolist(), np.bincount(test.labels).tolist()) == ([4, 4], [1, 1])
    assert train.synthetic == ""
    found = {sound.tobytes() for sound in (*train.raw, *test.raw)}
    assert found == {sound.tobytes() for sound in tones(10, samples=SAMPLES)}
    assert train.fingerprint != test.fingerprint


def test_a_sound_is_the_one_that_the_device_reads(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", tones(1, samples=6000)[0])
    for seconds in (0.25, 0.5):
        manifest = AudioPreprocessing(seconds=seconds).model_dump(mode="json")
        here = decoded(path, sample_rate=16_000, samples=round(seconds * 16_000))
        assert np.array_equal(here, sound.sound_from_wav(path, manifest))


def test_files_of_one_speaker_stay_on_one_side(tmp_path: Path) -> None:
    words(tmp_path, "yes", "no", count=10, form="speaker{}_nohash_0.wav")
    sides = {}
    for split in ("train", "test"):
        files = audio_folder._labelled(audio_folder._listed(tmp_path / "words", thing="words"), ())
        chosen = audio_folder._of_split(tmp_path / "words", files, ("no", "yes"), split)
        sides[split] = {file.path.name for file in chosen}
        assert len(chosen) == 2 * len(sides[split])
    assert (len(sides["train"]), len(sides["test"])) == (8, 2)
    assert not sides["train"] & sides["test"]


def test_a_list_says_what_is_for_testing(tmp_path: Path) -> None:
    words(tmp_path, "yes", "no")
    before = fingerprint("audio-folder:words", tmp_path)
    (tmp_path / "words" / "testing_list.txt").write_text("yes/0.wav\nno/3.wav\nno/4.wav\n")
    assert np.bincount(loaded(tmp_path, "test").labels).tolist() == [2, 1]
    assert len(loaded(tmp_path, "train")) == 7
    assert fingerprint("audio-folder:words", tmp_path) != before


def test_folders_of_noise_are_no_class_and_other_words_are_unknown(tmp_path: Path) -> None:
    words(tmp_path, "yes", "no", "bed", "_background_noise_")
    assert loaded(tmp_path, "train").classes == ("bed", "no", "yes")
    samples = loaded(tmp_path, "train", "yes", "unknown")
    assert samples.classes == ("yes", "unknown")
    assert np.bincount(samples.labels).tolist() == [4, 8]
    with pytest.raises(DataError, match="does not name: bed, no"):
        loaded(tmp_path, "train", "yes")
    with pytest.raises(DataError, match="no class 'silence'"):
        loaded(tmp_path, "train", "yes", "unknown", "silence")


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_every_width_and_several_channels_are_read(tmp_path: Path, width: int) -> None:
    left, right = tones(2, samples=SAMPLES)
    path = write_wav(tmp_path / "a.wav", np.stack([left, right], axis=1), width=width)
    found = decoded(path, sample_rate=16_000, samples=SAMPLES).astype(int)
    wanted = (left.astype(int) + right) / 2
    assert np.abs(found - wanted).max() <= (256 if width == 1 else 1)


@pytest.mark.parametrize(("source", "target"), [(44_100, 16_000), (22_050, 16_000), (8000, 16_000), (44_101, 16_000)])
def test_another_rate_keeps_tones_below_both_limits(source: int, target: int) -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(source // 2) / source)
    found = resampled(tone, source, target)
    assert len(found) == -(-len(tone) * target // source)
    wanted = np.sin(2 * np.pi * 1000 * np.arange(len(found)) / target)
    np.testing.assert_allclose(found[200:-200], wanted[200:-200], atol=1e-3)
    above = np.sin(2 * np.pi * 10_000 * np.arange(22_050) / 44_100)
    assert np.abs(resampled(above, 44_100, 16_000)[200:-200]).max() < 1e-3


def test_a_header_that_promises_more_is_not_believed(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", tones(1, samples=100)[0])
    content = bytearray(path.read_bytes())
    content[40:44] = (2**31).to_bytes(4, "little")
    path.write_bytes(content)
    assert decoded(path, sample_rate=16_000, samples=SAMPLES).any()


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (20, 3, "cannot be decoded: unknown format: 3"),  # floating point
        (22, 0, "cannot be decoded|0 channels"),
        (22, 1000, "1000 channels"),
        (24, 1, "1 Hz"),
        (34, 0, "cannot be decoded"),
    ],
)
def test_hostile_headers_are_refused(tmp_path: Path, place: int, value: int, message: str) -> None:
    path = write_wav(tmp_path / "a.wav", tones(1, samples=100)[0])
    content = bytearray(path.read_bytes())
    content[place : place + 2] = value.to_bytes(2, "little")
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        decoded(path, sample_rate=16_000, samples=SAMPLES)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"not a sound" * 20])
def test_a_file_that_is_no_sound_is_named(tmp_path: Path, content: bytes) -> None:
    words(tmp_path, "yes", "no")
    for name in ("0", "1", "2", "3", "4"):
        (tmp_path / "words" / "no" / f"{name}.wav").write_bytes(content)
    with pytest.raises(DataError, match=r"no/\d.wav'.*ffmpeg"):
        loaded(tmp_path, "train")


def test_no_broken_header_gets_past_both_readers(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", tones(1, samples=300)[0])
    whole, manifest = path.read_bytes(), SHORT.model_dump(mode="json")
    generator = np.random.default_rng(0)
    refused = {DataError: 0, ValueError: 0}
    for _ in range(300):
        content = bytearray(whole)
        content[generator.integers(0, 48)] = generator.integers(0, 256)
        content[generator.integers(0, 48)] = generator.integers(0, 256)
        path.write_bytes(content)
        for error, reader in (
            (DataError, lambda: decoded(path, sample_rate=16_000, samples=SAMPLES)),
            (ValueError, lambda: sound.sound_from_wav(path, manifest)),
        ):
            try:
                assert reader().shape == (SAMPLES,)
            except error:
                refused[error] += 1
    assert min(refused.values()) > 100


def test_a_file_without_samples_and_one_too_large_are_refused(tmp_path: Path) -> None:
    empty = write_wav(tmp_path / "a.wav", np.zeros(0, np.int16))
    with pytest.raises(DataError, match="no samples"):
        decoded(empty, sample_rate=16_000, samples=SAMPLES)
    with empty.open("r+b") as file:
        file.truncate(audio_folder.MAX_FILE_BYTES + 1)
    with pytest.raises(DataError, match="wanted at most"):
        decoded(empty, sample_rate=16_000, samples=SAMPLES)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    words(tmp_path, "yes", "no")
    outside = write_wav(tmp_path / "secret.wav", tones(1)[0])
    (tmp_path / "words" / "no" / "9.wav").symlink_to(outside)
    with pytest.raises(DataError, match="link out of the folder"):
        loaded(tmp_path, "train")


def test_a_folder_without_sounds_says_what_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "words").mkdir()
    with pytest.raises(DataError, match=r"no sounds.*\.wav"):
        loaded(tmp_path, "train")
    with pytest.raises(DataError, match="kind: audio"):
        load("audio-folder:words", "train", ArrayPreprocessing(shape=(4,)), (), tmp_path)
