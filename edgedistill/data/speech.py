"""Speech made by espeak-ng, a program of the system: found at run time, and run once for each utterance."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill.data.audio_folder import decoded
from edgedistill.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PROGRAM = "espeak-ng"
TIMEOUT_S = 60
LONGEST_S = 3


@dataclass(frozen=True)
class Voice:
    """How something is said.

    Args:
        accent: a language of espeak-ng: "en-gb-scotland".
        variant: of the voice, espeak-ng's word for a speaker: "f2".
        speed_wpm: words per minute, 80 to 450.
        pitch: 0 to 99; 50 is the variant's own.
    """

    accent: str
    variant: str
    speed_wpm: int
    pitch: int


def installed() -> str | None:
    """Return name and version of the program, "espeak-ng 1.51", or None where it is not installed.

    Raises:
        DataError: it does not say its version.
    """
    if shutil.which(PROGRAM) is None:
        return None
    found = re.search(r"text-to-speech: ([\w.+-]+)", _output(["--version"]))
    if found is None:
        raise DataError(f"program '{PROGRAM}'", found="it does not say its version")
    return f"{PROGRAM} {found[1]}"


def spoken(text: str, voice: Voice, *, sample_rate: int) -> NDArray[np.int16]:
    """Return an utterance, (samples,), int16, silence behind it.

    Args:
        text: what is said.
        voice: how.
        sample_rate: wanted, in Hz.

    Raises:
        DataError: the program fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "utterance.wav"
        form = ["-v", f"{voice.accent}+{voice.variant}", "-s", str(voice.speed_wpm), "-p", str(voice.pitch)]
        _output([*form, "-w", str(path), "--", text])
        if not path.is_file():
            raise DataError(f"program '{PROGRAM}'", found=f"it made no sound of '{text}' with {voice}")
        return decoded(path, sample_rate=sample_rate, samples=LONGEST_S * sample_rate)


def _output(arguments: list[str]) -> str:
    done = subprocess.run(  # noqa: S603 - the arguments are constants of the project and our own folders
        [PROGRAM, *arguments],
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it says nothing"]
        raise DataError(f"`{PROGRAM} {' '.join(arguments)}`", found=lines[-1])
    return done.stdout
