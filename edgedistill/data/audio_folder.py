"""A folder of .wav files, one subfolder per class, decoded once into the cache.

The layout of the Speech Commands data set (arXiv:1804.03209, section 5) is understood: folders whose name begins with
`_` are no classes, `testing_list.txt` says what is for testing, and files of one speaker, `SPEAKER_nohash_0.wav`, stay
on one side. Files are read by the standard library's `wave`, as on the device: nothing to install, no decoder of a
compressed format to trust.
"""

from __future__ import annotations

import hashlib
import wave
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.cache import cache_folder
from edgedistill.data import class_folder
from edgedistill.data.checks import RawSplit
from edgedistill.data.resampling import VERSION, resampled
from edgedistill.data.split import TEST_SHARE
from edgedistill.data.whole_file import written_whole
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edgedistill.data.checks import Split
    from edgedistill.data.class_folder import ClassFile
    from edgedistill.data.preprocessing import AudioPreprocessing
    from edgedistill.progress import Progress

KIND = class_folder.FileKind("audio-folder", (".wav",), lambda: f"wave {VERSION}")
NO_CLASS = "_"
"""What the name of a folder that is no class begins with: `_background_noise_`."""

REST = "unknown"
"""The class of all folders that `data.classes` does not name, where it names this one and there is no such folder."""

TEST_LIST = "testing_list.txt"
SPEAKER = "_nohash_"
MAX_FILE_BYTES = 64 << 20
MAX_LIST_BYTES = 64 << 20
MAX_CHANNELS = 32
WIDEST_BYTES = 4
PCM = "PCM of 8, 16, 24 or 32 bits"
RATES_HZ = (1_000, 384_000)
FULL_SCALE = 32768


def read(
    folder: Path, split: Split, *, preprocessing: AudioPreprocessing, classes: tuple[str, ...], progress: Progress
) -> RawSplit:
    """Return one split; its sounds are memory-mapped from the cache.

    The folder holds `train/CLASS/*.wav` and `test/CLASS/*.wav`, or `CLASS/*.wav`. Sounds are brought to the sample rate
    of the preprocessing, channels averaged; what is longer than its `seconds` is cut, what is shorter ends in silence.

    Args:
        folder: of the sounds.
        split: "train" or "test".
        preprocessing: sample rate and length wanted.
        classes: names in label order, which must be the folder's; with `unknown` among them, all other folders are of
            that class. Empty takes the folder's, sorted.
        progress: told of each sound that is decoded.

    Raises:
        DataError: the folder is empty, a file is no PCM sound or is too large, or a link leads out of it.
        ResourceError: the disk is full.
    """
    thing = f"'audio-folder:{folder}'"
    files = _labelled(_listed(folder, thing=thing), classes)
    names = class_folder.class_names({file.label for file in files}, classes, thing=thing)
    mine = _of_split(folder, files, names, split)
    if not mine:
        raise DataError(thing, found=f"no sound for '{split}'", fix=f"add some below '{folder / split}'")
    labels = np.array([names.index(file.label) for file in mine], np.int64)
    content = _fingerprint(folder, files)
    form = f"{preprocessing.sample_rate} {preprocessing.raw_shape}"
    text = "|".join((content, split, form, *(file.name for file in mine)))
    kept = cache_folder() / KIND.name / f"{hashlib.sha256(text.encode()).hexdigest()}.npy"
    if not kept.exists():
        _decode(mine, preprocessing, kept, progress)
    return RawSplit(np.load(kept, mmap_mode="r"), labels, names, content)


def fingerprint(folder: Path) -> str:
    """Return the sha256 of all sounds' names and contents, and of the list of those for testing.

    Raises:
        DataError: the folder is empty, or a link leads out of it.
    """
    return _fingerprint(folder, _listed(folder, thing=f"'audio-folder:{folder}'"))


def decoded(path: Path, *, sample_rate: int, samples: int) -> NDArray[np.int16]:
    """Return the sound of a .wav file, (samples,), int16: one channel, at the sample rate, cut or filled at its end.

    Args:
        path: of the file.
        sample_rate: wanted, in Hz.
        samples: wanted.

    Raises:
        DataError: the file is no PCM sound of 8, 16, 24 or 32 bits, or is too large.
    """
    thing = f"sound '{path}'"
    size_bytes = path.stat().st_size
    if size_bytes > MAX_FILE_BYTES:
        raise DataError(thing, found=f"{size_bytes:,} bytes", wanted=f"at most {MAX_FILE_BYTES:,}")
    try:
        with wave.open(str(path), "rb") as file:
            rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
            if width > WIDEST_BYTES:
                raise DataError(thing, found=f"{8 * width} bits", wanted=PCM)
            if not RATES_HZ[0] <= rate <= RATES_HZ[1] or channels > MAX_CHANNELS:
                wanted = f"{RATES_HZ[0]:,} to {RATES_HZ[1]:,} Hz and at most {MAX_CHANNELS} channels"
                raise DataError(thing, found=f"{rate:,} Hz and {channels} channels", wanted=wanted)
            # a header may claim any length; one frame more than needed lets the filter see past the end
            content = file.readframes(-(-(samples + sample_rate // 100) * rate // sample_rate))
    except (wave.Error, EOFError, RuntimeError) as error:  # RuntimeError: a chunk that ends behind the file
        raise DataError(
            thing,
            found=f"it cannot be decoded: {error or 'it ends too early'}",
            wanted=PCM,
            fix="convert it (`ffmpeg -i FILE -c:a pcm_s16le NEW.wav`), or remove it",
        ) from error
    values = _values(content, width)
    values = values[: len(values) // channels * channels].reshape(-1, channels)
    if not len(values):
        raise DataError(thing, found="no samples", fix="remove or replace it")
    one = values[:, 0] if channels == 1 else values.mean(axis=1)
    sound = np.zeros(samples, np.int16)
    found = np.rint(resampled(one, rate, sample_rate)[:samples]).clip(-FULL_SCALE, FULL_SCALE - 1)
    sound[: len(found)] = found
    return sound


def _values(content: bytes, width: int) -> NDArray[np.float64]:
    """Return samples of 1 to 4 bytes as numbers of the range of int16."""
    whole = content[: len(content) // width * width]
    if width == 1:
        return (np.frombuffer(whole, np.uint8).astype(np.float64) - 128) * 256
    padded = np.zeros((len(whole) // width, 4), np.uint8)
    padded[:, 4 - width :] = np.frombuffer(whole, np.uint8).reshape(-1, width)
    values: NDArray[np.float64] = padded.view("<i4")[:, 0] / 65536.0
    return values


def _listed(folder: Path, *, thing: str) -> list[ClassFile]:
    files = class_folder.listed(folder, KIND, thing=thing)
    kept = [file for file in files if not file.label.startswith(NO_CLASS)]
    if not kept:
        raise DataError(thing, found=f"only folders that begin with '{NO_CLASS}'", wanted="a folder for each class")
    return kept


def _labelled(files: list[ClassFile], classes: tuple[str, ...]) -> list[ClassFile]:
    """Return the files, those of folders that the recipe does not name as class `unknown` where it has that class."""
    if REST not in classes or any(file.label == REST for file in files):
        return files
    return [file if file.label in classes else replace(file, label=REST) for file in files]


def _of_split(folder: Path, files: list[ClassFile], names: tuple[str, ...], split: Split) -> list[ClassFile]:
    listed = _test_list(folder)
    if files[0].split is not None or not (listed or any(SPEAKER in file.path.name for file in files)):
        return class_folder.of_split(files, names, split)
    chosen = listed or _test_speakers(files)
    return [file for file in files if (file.name in chosen) == (split == "test")]


def _test_list(folder: Path) -> frozenset[str]:
    """Return the names of the files for testing, where a list says so."""
    path = folder / TEST_LIST
    if not path.is_file():
        return frozenset()
    if path.stat().st_size > MAX_LIST_BYTES:
        raise DataError(f"list '{path}'", found=f"{path.stat().st_size:,} bytes", wanted=f"at most {MAX_LIST_BYTES:,}")
    return frozenset(path.read_text("utf-8", errors="replace").split("\n"))


def _test_speakers(files: list[ClassFile]) -> frozenset[str]:
    """Return the names of all files of a fifth of the speakers, chosen by the hash of their names."""
    speakers = {file.name: file.path.name.partition(SPEAKER)[0] for file in files}
    ranked = sorted(set(speakers.values()), key=lambda name: hashlib.sha256(name.encode()).digest())
    chosen = set(ranked[: max(1, round(len(ranked) * TEST_SHARE))])
    return frozenset(name for name, speaker in speakers.items() if speaker in chosen)


def _fingerprint(folder: Path, files: list[ClassFile]) -> str:
    content = class_folder.fingerprint(files, KIND)
    listed = _test_list(folder)
    return hashlib.sha256("\n".join((content, *sorted(listed))).encode()).hexdigest() if listed else content


def _decode(files: list[ClassFile], preprocessing: AudioPreprocessing, kept: Path, progress: Progress) -> None:
    """Write the sounds of all files (n, samples), int16, as one .npy."""
    (samples,) = preprocessing.raw_shape
    with written_whole(kept) as path, progress.track("decoding sounds", total=len(files)) as tracker:
        sounds = np.lib.format.open_memmap(path, mode="w+", dtype=np.int16, shape=(len(files), samples))
        for index, file in enumerate(files):
            sounds[index] = decoded(file.path, sample_rate=preprocessing.sample_rate, samples=samples)
            tracker.advance()
        sounds.flush()
