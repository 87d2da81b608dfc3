"""Fashion-MNIST: 60,000 + 10,000 grey pictures of clothes, 28x28, in 10 classes (arXiv:1708.07747).

The four files are looked for in the cache and where Debian's package `dataset-fashion-mnist` puts them; else
they are taken from that package without installing it, else from the authors' repository. Whoever delivers
them, their unpacked content is compared with its sha256: the .gz files themselves differ, because Debian
leaves the file name out of their headers.
"""

from __future__ import annotations

import gzip
import hashlib
import logging
import os
import shutil
import subprocess
import tempfile
import urllib.request
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.cache import cache_folder
from edgedistill.data.checks import RawSplit
from edgedistill.data.whole_file import written_whole
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edgedistill.data.checks import Split

NAME = "fashion-mnist"
CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
SYSTEM_FOLDER = Path("/usr/share/datasets/fashion-mnist")
PACKAGE = "dataset-fashion-mnist"
ADDRESS = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion"
MAX_COMPRESSED_BYTES = 32_000_000
TIMEOUT_S = 600

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class IdxFile:
    """One of the four files: its name, and the shape and sha256 of its unpacked content."""

    name: str
    shape: tuple[int, ...]
    sha256: str

    @property
    def header_bytes(self) -> int:
        """Bytes before the values: the magic number and the length of each axis."""
        return 4 + 4 * len(self.shape)


FILES: dict[Split, tuple[IdxFile, IdxFile]] = {
    "train": (
        IdxFile(
            "train-images-idx3-ubyte.gz",
            (60_000, 28, 28),
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        ),
        IdxFile(
            "train-labels-idx1-ubyte.gz",
            (60_000,),
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ),
    ),
    "test": (
        IdxFile(
            "t10k-images-idx3-ubyte.gz",
            (10_000, 28, 28),
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        ),
        IdxFile(
            "t10k-labels-idx1-ubyte.gz",
            (10_000,),
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
}


def read(split: Split) -> RawSplit:
    """Return one split: images (n, 28, 28, 1) uint8 and labels (n,) uint8.

    Raises:
        DataError: the files cannot be had, or a file's content is not Fashion-MNIST's.
    """
    images, labels = arrays(split, folder=located())
    return RawSplit(images[..., None], labels, CLASSES, fingerprint())


def fingerprint() -> str:
    """Return the sha256 of the four files' hashes; every file that is read has that hash."""
    hashes = "".join(file.sha256 for pair in FILES.values() for file in pair)
    return hashlib.sha256(hashes.encode()).hexdigest()


def arrays(split: Split, *, folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return images (n, 28, 28) and labels (n,), uint8, of the files in a folder.

    Raises:
        DataError: a file is missing, or its content is not Fashion-MNIST's.
    """
    images, labels = FILES[split]
    return _values(folder / images.name, images), _values(folder / labels.name, labels)


def is_here() -> bool:
    """Say whether the four files are on this machine."""
    return any(_complete(folder) for folder in (cache_folder() / NAME, SYSTEM_FOLDER))


def located() -> Path:
    """Return the folder of the four files; fetches them into the cache where this machine has none.

    Raises:
        DataError: no source has them; says what was tried.
    """
    cached = cache_folder() / NAME
    for folder in (cached, SYSTEM_FOLDER):
        if _complete(folder):
            return folder
    failures = []
    for fetch in (_fetch_from_debian, _fetch_from_authors):
        failure = _tried(fetch, cached)
        if not failure:
            return cached
        failures.append(failure)
    raise DataError(
        f"data set '{NAME}'",
        found=f"not on this machine, and not to be had: {'; '.join(failures)}",
        fix=f"`sudo apt-get update && sudo apt-get install {PACKAGE}`, or put the four files into '{cached}'",
    )


def _complete(folder: Path) -> bool:
    return all((folder / file.name).is_file() for pair in FILES.values() for file in pair)


def _tried(fetch: Callable[[Path], None], folder: Path) -> str:
    """Fetch the files into a folder and return "", or why that failed."""
    try:
        fetch(folder)
    except (OSError, subprocess.SubprocessError, DataError) as error:
        return str(error).rstrip(".")
    return "" if _complete(folder) else f"{fetch.__name__} brought no files"


def _fetch_from_debian(folder: Path) -> None:
    """Unpack Debian's package into a folder without installing it and without root.

    Raises:
        DataError: this system has no apt, or apt does not find the package.
    """
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise DataError(f"Debian package '{PACKAGE}'", found="this system has no apt-get")
    logger.info("unpacking the Debian package %s (31 MB) into %s", PACKAGE, folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        work = Path(name)
        package = _downloaded_package(work)
        _command(["dpkg-deb", "-x", str(package), str(work / "root")], work)
        for path in (work / "root" / SYSTEM_FOLDER.relative_to("/")).glob("*-ubyte.gz"):
            path.replace(folder / path.name)


def _downloaded_package(work: Path) -> Path:
    """Download the package; where the system has no list of packages, with one of our own."""
    try:
        _command(["apt-get", "download", PACKAGE], work)
    except DataError:
        state = work / "state"
        (state / "lists" / "partial").mkdir(parents=True)
        own = {"Dir::State": state, "Dir::Cache": work, "Dir::State::status": "/dev/null"}
        options = [f"--option={name}={value}" for name, value in own.items()]
        _command(["apt-get", "update", *options], work)
        _command(["apt-get", "download", PACKAGE, *options], work)
    return next(work.glob("*.deb"))


def _command(command: list[str], folder: Path) -> None:
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(  # noqa: S603 - the arguments are constants of this file and our own folders
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it says nothing"]
        raise DataError(f"`{' '.join(command[:2])}`", found=lines[-1])


def _fetch_from_authors(folder: Path) -> None:
    """Download the four files from the authors' repository."""
    logger.info("downloading Fashion-MNIST (31 MB) into %s", folder)
    for file in (file for pair in FILES.values() for file in pair):
        address = f"{ADDRESS}/{file.name}"
        with urllib.request.urlopen(address, timeout=60) as response:  # noqa: S310 - a constant https address
            content = response.read(MAX_COMPRESSED_BYTES)
        with written_whole(folder / file.name) as path:
            path.write_bytes(content)


def _values(path: Path, file: IdxFile) -> NDArray[np.uint8]:
    """Return the values of an idx file whose content has the right hash."""
    content = _unpacked(path, limit_bytes=file.header_bytes + int(np.prod(file.shape)) + 1)
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise DataError(
            f"file '{path}'",
            found=f"sha256 {found[:16]}… of its unpacked content",
            wanted=f"{file.sha256[:16]}…, that of Fashion-MNIST",
            fix="delete the file: the next run fetches it again",
        )
    return np.frombuffer(content, np.uint8, offset=file.header_bytes).reshape(file.shape)


def _unpacked(path: Path, *, limit_bytes: int) -> bytes:
    """Return the content of a .gz file, at most so many bytes: a file of a few kB may unpack to many GB."""
    try:
        with gzip.open(path) as stream:
            return stream.read(limit_bytes)
    except FileNotFoundError as error:
        raise DataError(f"file '{path}'", found="the file does not exist") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"file '{path}'",
            found=f"no readable .gz file: {error}",
            fix="delete it: the next run fetches it again",
        ) from error
