"""Keywords in synthetic speech: ten words, other words (`unknown`) and no word (`silence`), 1 s at 16 kHz.

espeak-ng says them in many voices, accents, speeds and pitches; synthetic noise is mixed in at a stated ratio. The
voices for testing are others than those for training. Nobody ever said any of it: results on this set say that the way
from teacher to device works, and not how well a model hears people.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.cache import cache_folder
from edgedistill.data import speech
from edgedistill.data.checks import RawSplit
from edgedistill.data.noise import OCTAVES, SAMPLES, mixed
from edgedistill.data.whole_file import written_whole
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from edgedistill.data.checks import Split
    from edgedistill.data.preprocessing import AudioPreprocessing
    from edgedistill.progress import Progress

NAME = "keywords"
VERSION = 1
"""Raise it with every change of the sounds: caches of the teacher's outputs are keyed by it."""

KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
"""The ten keywords of the Speech Commands data set (arXiv:1804.03209, section 5.1)."""

OTHERS = (
    "bed", "bird", "cat", "dog", "happy", "house", "marvin", "sheila", "tree", "wow",
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "zero",
)  # fmt: skip
CLASSES = (*KEYWORDS, "unknown", "silence")
VOICES: dict[Split, tuple[str, ...]] = {
    "train": (
        "m1", "m2", "m3", "m4", "m6", "m8", "f1", "f2", "f3", "f5",
        "adam", "Alex", "Andrea", "Annie", "benjamin", "belinda", "edward", "steph",
    ),
    "test": ("m5", "m7", "f4", "Alicia", "Michael", "linda"),
}  # fmt: skip
"""Variants of espeak-ng, its speakers; none is on both sides."""

ACCENTS = ("en-us", "en-us-nyc", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029")
TIMES: dict[Split, int] = {"train": 10, "test": 14}
"""How often each voice says each keyword; it says twice as many other words, and is silent as often."""

SNRS_DB = (30, 20, 10, 5, 0)
"""Signal-to-noise ratios: root mean square of the whole second with the word, against that of the noise."""

SPEEDS_WPM, PITCHES = (130, 210), (15, 85)
PEAKS_DB = (-25.0, -1.0)
"""Level of the word's peak, to full scale."""

SILENCES_DB = (-70.0, -25.0)
"""Level of the noise where there is no word: root mean square, to full scale."""

RATE, LENGTH = 16_000, 16_000
LONGEST = 15_200
FULL_SCALE = 32768
AUDIBLE = 128
"""A sample is part of the word from this fraction of the peak on."""


def read(split: Split, *, preprocessing: AudioPreprocessing, progress: Progress) -> RawSplit:
    """Return one split: sounds (n, 16000), int16.

    They are made once and kept in the cache, a file for each voice: what is interrupted goes on with the next voice.

    Raises:
        DataError: espeak-ng is not installed and nothing is kept, a kept file was changed, or the preprocessing wants
            another sample rate or length.
    """
    if preprocessing.sample_rate != RATE or preprocessing.raw_shape != (LENGTH,):
        raise DataError(
            "'data.preprocessing'",
            found=f"{preprocessing.sample_rate} Hz, {preprocessing.seconds:g} s",
            wanted=f"'sample_rate: {RATE}' and 'seconds: 1.0', as the data set '{NAME}' has",
        )
    maker = _maker()
    folder = _folder(maker)
    voices = VOICES[split]
    missing = [voice for voice in voices if not (folder / f"{voice}.json").is_file()]
    if missing:
        with progress.track(f"synthesising speech ({split})", total=len(missing) * _utterances(split)) as tracker:
            for voice in missing:
                _keep(folder, voice, np.stack(list(_said(voice, split, tracker.advance))), maker)
    sounds = np.concatenate([_kept(folder, voice) for voice in voices])
    labels = np.tile(_labels(split), len(voices))
    return RawSplit(sounds, labels, CLASSES, _fingerprint(maker), synthetic=f"speech synthesised by {maker}")


def fingerprint() -> str:
    """Return a hash of this version of the set and of the program that says it; nothing is made for it.

    Raises:
        DataError: espeak-ng is not installed and nothing is kept.
    """
    return _fingerprint(_maker())


def is_here() -> bool:
    """Tell whether all voices were made before.

    Raises:
        DataError: espeak-ng is not installed and nothing is kept.
    """
    return _complete(_folder(_maker()))


def _complete(folder: Path) -> bool:
    return all((folder / f"{voice}.json").is_file() for voices in VOICES.values() for voice in voices)


def _fingerprint(maker: str) -> str:
    return hashlib.sha256(f"edgedistill {NAME}|{VERSION}|{maker}".encode()).hexdigest()


def _maker() -> str:
    """Return the program that speaks: the one installed, else the one that made what is kept whole.

    Raises:
        DataError: there is neither.
    """
    maker = speech.installed()
    if maker is not None:
        return maker
    for folder in sorted((cache_folder() / NAME).glob(f"{VERSION} *")):
        if _complete(folder):
            return folder.name.partition(" ")[2]
    raise DataError(
        f"data set '{NAME}'",
        found=f"the program '{speech.PROGRAM}', which speaks, is not installed",
        fix=f"`sudo apt-get install {speech.PROGRAM}` (Debian, Ubuntu), or your system's package of that name",
    )


def _folder(maker: str) -> Path:
    return cache_folder() / NAME / f"{VERSION} {maker}"


def _utterances(split: Split) -> int:
    return TIMES[split] * (len(KEYWORDS) + 2)


def _labels(split: Split) -> NDArray[np.int64]:
    """Return the labels of one voice's sounds, in their order."""
    times = TIMES[split]
    counts = [*[times] * len(KEYWORDS), 2 * times, times]
    return np.repeat(np.arange(len(CLASSES), dtype=np.int64), counts)


def _said(variant: str, split: Split, done: Callable[[], None]) -> Iterator[NDArray[np.int16]]:
    """Give all sounds of one voice, in the order of `_labels`."""
    key = hashlib.sha256(f"edgedistill {NAME}|{VERSION}|{variant}".encode()).digest()[:16]
    generator = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little")))
    words = [word for word in KEYWORDS for _ in range(TIMES[split])]
    words += [OTHERS[place] for place in _whole(generator.random(2 * TIMES[split]), len(OTHERS))]
    for word in words:
        accent, *form = generator.random(3)
        speed, pitch = (
            low + int(share * (high - low + 1)) for share, (low, high) in zip(form, (SPEEDS_WPM, PITCHES), strict=True)
        )
        voice = speech.Voice(ACCENTS[int(accent * len(ACCENTS))], variant, speed, pitch)
        yield _placed(speech.spoken(word, voice, sample_rate=RATE), generator)
        done()
    for _ in range(TIMES[split]):
        kind, start, level = generator.random(3)
        root = FULL_SCALE * 10 ** (_between(SILENCES_DB, level) / 20)
        nothing = np.zeros(LENGTH, np.int16)
        yield mixed(nothing, _noise(kind), start=int(start * SAMPLES), ratio=0, level=root)
        done()


def _placed(utterance: NDArray[np.int16], generator: np.random.Generator) -> NDArray[np.int16]:
    """Return one second with the word at a random place and level, in noise of a random kind and ratio."""
    place, peak, kind, start, ratio = generator.random(5)
    loudness = np.abs(utterance.astype(np.int32))
    heard = np.flatnonzero(loudness * AUDIBLE > loudness.max())
    word = utterance[heard[0] : heard[-1] + 1][:LONGEST].astype(np.float64)
    word *= FULL_SCALE * 10 ** (_between(PEAKS_DB, peak) / 20) / float(loudness.max())
    first = int(place * (LENGTH - len(word) + 1))
    sound = np.zeros(LENGTH, np.int16)
    sound[first : first + len(word)] = np.rint(word)
    snr_db = SNRS_DB[int(ratio * len(SNRS_DB))]
    return mixed(sound, _noise(kind), start=int(start * SAMPLES), ratio=10 ** (-snr_db / 20))


def _noise(share: float) -> str:
    return tuple(OCTAVES)[int(share * len(OCTAVES))]


def _between(limits: tuple[float, float], share: float) -> float:
    return limits[0] + (limits[1] - limits[0]) * share


def _whole(shares: NDArray[np.float64], count: int) -> list[int]:
    return [int(share * count) for share in shares]


def _keep(folder: Path, voice: str, sounds: NDArray[np.int16], maker: str) -> None:
    """Write a voice's sounds, then what they are."""
    with written_whole(folder / f"{voice}.npy") as path, path.open("wb") as file:
        np.save(file, sounds)
    facts = {"sha256": hashlib.sha256(sounds.tobytes()).hexdigest(), "synthetic": True, "synthesised_by": maker}
    with written_whole(folder / f"{voice}.json") as path:
        path.write_text(json.dumps(facts), "utf-8")


def _kept(folder: Path, voice: str) -> NDArray[np.int16]:
    """Return a voice's sounds.

    Raises:
        DataError: they are not those that were written.
    """
    path = folder / f"{voice}.npy"
    try:
        sounds: NDArray[np.int16] = np.load(path, allow_pickle=False)
        wanted = json.loads((folder / f"{voice}.json").read_text("utf-8"))["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"file '{path}'", found=str(error), fix="delete its folder: the next run makes it") from error
    if hashlib.sha256(sounds.tobytes()).hexdigest() != wanted:
        raise DataError(
            f"file '{path}'",
            found="another content than was written",
            fix=f"delete '{path.with_suffix('.json')}': the next run makes both again",
        )
    return sounds
