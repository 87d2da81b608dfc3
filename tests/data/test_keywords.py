"""Keywords in synthetic speech: with a stand-in for espeak-ng, and with the program itself where it is installed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from wav_files import tones

from edgedistill.data import keywords, speech
from edgedistill.data.preprocessing import AudioPreprocessing, ImagePreprocessing
from edgedistill.data.sources import fingerprint, load
from edgedistill.errors import DataError

FEATURES = AudioPreprocessing()


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, speech.Voice]]:
    """Let a stand-in speak, and return what it is asked to say."""
    asked: list[tuple[str, speech.Voice]] = []

    def stand_in(text: str, voice: speech.Voice, *, sample_rate: int) -> np.ndarray:
        asked.append((text, voice))
        return np.pad(tones(1, samples=sample_rate // 2)[0], (500, sample_rate))

    monkeypatch.setattr(speech, "spoken", stand_in)
    monkeypatch.setattr(speech, "installed", lambda: "espeak-ng 0.0")
    monkeypatch.setattr(keywords, "VOICES", {"train": ("m1", "f1"), "test": ("m5",)})
    return asked


def test_every_voice_says_every_word_and_is_on_one_side(said: list[tuple[str, speech.Voice]]) -> None:
    train = load("keywords", "train", FEATURES, (), Path())
    heard = {voice.variant for _, voice in said}
    test = load("keywords", "test", FEATURES, (), Path())
    assert heard == {"m1", "f1"}
    assert {voice.variant for _, voice in said} - heard == {"m5"}
    assert train.classes == keywords.CLASSES
    assert np.bincount(train.labels).tolist() == [20] * 10 + [40, 20]
    assert np.bincount(test.labels).tolist() == [14] * 10 + [28, 14]
    assert train.synthetic == test.synthetic == "speech synthesised by espeak-ng 0.0"
    labelled = {text for text, _ in said}
    assert set(keywords.KEYWORDS) <= labelled <= {*keywords.KEYWORDS, *keywords.OTHERS}


def test_no_voice_of_the_set_is_on_both_sides() -> None:
    train, test = keywords.VOICES["train"], keywords.VOICES["test"]
    assert not {voice.lower() for voice in train} & {voice.lower() for voice in test}
    assert not set(keywords.KEYWORDS) & set(keywords.OTHERS)


def test_it_is_made_once_and_goes_on_with_the_next_voice(
    said: list[tuple[str, speech.Voice]], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load("keywords", "train", FEATURES, (), Path())
    count = len(said)
    assert np.array_equal(load("keywords", "train", FEATURES, (), Path()).raw, first.raw)
    assert len(said) == count
    for path in cache.rglob("f1.*"):
        path.unlink()
    again = load("keywords", "train", FEATURES, (), Path())
    assert len(said) == count + count // 2
    assert np.array_equal(again.raw, first.raw)
    assert not keywords.is_here()
    load("keywords", "test", FEATURES, (), Path())
    assert keywords.is_here()
    before = fingerprint("keywords", Path())
    monkeypatch.setattr(speech, "installed", lambda: None)
    assert fingerprint("keywords", Path()) == before
    assert np.array_equal(load("keywords", "train", FEATURES, (), Path()).raw, first.raw)


def test_a_changed_file_is_noticed(said: list[tuple[str, speech.Voice]], cache: Path) -> None:
    load("keywords", "test", FEATURES, (), Path())
    assert said
    (path,) = cache.rglob("m5.npy")
    np.save(path, np.load(path) + np.int16(1))
    with pytest.raises(DataError, match=r"another content.*m5.json"):
        load("keywords", "test", FEATURES, (), Path())


def test_without_the_program_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for ask in (lambda: fingerprint("keywords", Path()), lambda: load("keywords", "train", FEATURES, (), Path())):
        with pytest.raises(DataError, match="sudo apt-get install espeak-ng"):
            ask()


def test_another_length_or_kind_is_refused() -> None:
    with pytest.raises(DataError, match=r"wanted 'sample_rate: 16000' and 'seconds: 1.0'"):
        load("keywords", "train", AudioPreprocessing(seconds=0.5), (), Path())
    with pytest.raises(DataError, match="kind: audio"):
        load("keywords", "train", ImagePreprocessing(size=(4, 4)), (), Path())


def test_a_program_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "espeak-ng"
    program.write_text("#!/bin/sh\necho no such voice >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(DataError, match="no such voice"):
        speech.spoken("yes", speech.Voice("en-gb", "m1", 150, 50), sample_rate=16_000)
    program.write_text("#!/bin/sh\nexit 0\n")
    with pytest.raises(DataError, match="made no sound of 'yes'"):
        speech.spoken("yes", speech.Voice("en-gb", "m1", 150, 50), sample_rate=16_000)
    with pytest.raises(DataError, match="does not say its version"):
        speech.installed()


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_the_program_says_the_same_every_time_and_every_voice_otherwise() -> None:
    assert speech.installed().startswith("espeak-ng ")
    sounds = []
    for variant in (*keywords.VOICES["train"], *keywords.VOICES["test"]):
        voice = speech.Voice("en-gb-scotland", variant, 160, 40)
        sounds.append(speech.spoken("yes", voice, sample_rate=16_000))
        assert 0.1 < np.flatnonzero(sounds[-1]).max() / 16_000 < 1.5
    assert len({sound.tobytes() for sound in sounds}) == len(sounds)
    assert speech.spoken("yes", voice, sample_rate=16_000).tobytes() == sounds[-1].tobytes()
