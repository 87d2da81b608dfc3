"""Fashion-MNIST: where it is looked for, and that nothing else passes for it. No test uses the network."""

from __future__ import annotations

import gzip
import hashlib
import io
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedistill.data import fashion_mnist
from edgedistill.data.fashion_mnist import IdxFile
from edgedistill.data.preprocessing import ArrayPreprocessing, ImagePreprocessing
from edgedistill.data.sources import fingerprint, load
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

PREPROCESSING = ImagePreprocessing(size=(28, 28), channels=1)


@pytest.fixture
def contents(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, bytes]:
    """Return the unpacked content of four small files, that stand for the real ones in this test."""
    found, files = {}, {}
    for split, prefix, count in (("train", "train", 20), ("test", "t10k", 10)):
        images = np.random.default_rng(count).integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = np.arange(count, dtype=np.uint8) % 10
        pair = []
        for name, values in (("images-idx3", images), ("labels-idx1", labels)):
            content = idx(values)
            found[f"{prefix}-{name}-ubyte.gz"] = content
            pair.append(IdxFile(f"{prefix}-{name}-ubyte.gz", values.shape, hashlib.sha256(content).hexdigest()))
        files[split] = tuple(pair)
    monkeypatch.setattr(fashion_mnist, "FILES", files)
    monkeypatch.setattr(fashion_mnist, "SYSTEM_FOLDER", tmp_path / "system")
    monkeypatch.setattr("edgedistill.data.fashion_mnist.shutil.which", lambda _: None)
    monkeypatch.setattr("edgedistill.data.fashion_mnist.urllib.request.urlopen", unreachable)
    return found


def idx(values: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + b"".join(length.to_bytes(4, "big") for length in values.shape)
    return header + values.tobytes()


def unreachable(*_: object, **__: object) -> None:
    raise OSError("no network here")


def store(folder: Path, contents: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(gzip.compress(content))


@pytest.mark.parametrize("where", ["cache", "system"])
def test_the_files_are_found(where: str, contents: dict[str, bytes], cache: Path, tmp_path: Path) -> None:
    store(cache / "fashion-mnist" if where == "cache" else tmp_path / "system", contents)
    samples = load("fashion-mnist", "train", PREPROCESSING, (), tmp_path)
    assert samples.raw.shape == (20, 28, 28, 1)
    assert samples.raw.tobytes() == contents["train-images-idx3-ubyte.gz"][16:]
    assert samples.labels.tolist() == [*range(10), *range(10)]
    assert samples.classes[9] == "Ankle boot"


def test_another_content_is_named(contents: dict[str, bytes], cache: Path, tmp_path: Path) -> None:
    name = "t10k-labels-idx1-ubyte.gz"
    store(cache / "fashion-mnist", {**contents, name: contents[name][:-1] + b"\x08"})
    load("fashion-mnist", "train", PREPROCESSING, (), tmp_path)
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz': sha256 .* wanted .*delete the file"):
        load("fashion-mnist", "test", PREPROCESSING, (), tmp_path)


@pytest.mark.parametrize("broken", [b"no gzip", b"", gzip.compress(bytes(500))[:12]])
def test_a_broken_file_is_named(broken: bytes, contents: dict[str, bytes], cache: Path, tmp_path: Path) -> None:
    store(cache / "fashion-mnist", contents)
    (cache / "fashion-mnist" / "train-labels-idx1-ubyte.gz").write_bytes(broken)
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte\.gz': (no readable|sha256)"):
        load("fashion-mnist", "train", PREPROCESSING, (), tmp_path)


def test_a_file_that_unpacks_to_more_is_not_unpacked_further(
    contents: dict[str, bytes], cache: Path, tmp_path: Path
) -> None:
    name = "train-labels-idx1-ubyte.gz"
    store(cache / "fashion-mnist", {**contents, name: contents[name] + bytes(50_000_000)})
    with pytest.raises(DataError, match="sha256"):
        load("fashion-mnist", "train", PREPROCESSING, (), tmp_path)
    content = fashion_mnist._unpacked(cache / "fashion-mnist" / name, limit_bytes=29)
    assert len(content) == 29


def test_the_files_are_fetched_from_the_authors(
    contents: dict[str, bytes], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def served(address: str, **_: object) -> io.BytesIO:
        assert address.startswith("https://")
        return io.BytesIO(gzip.compress(contents[address.rpartition("/")[2]]))

    monkeypatch.setattr("edgedistill.data.fashion_mnist.urllib.request.urlopen", served)
    assert len(load("fashion-mnist", "test", PREPROCESSING, (), tmp_path)) == 10
    assert sorted(path.name for path in (cache / "fashion-mnist").iterdir()) == sorted(contents)


class Apt:
    """Stands for apt-get and dpkg-deb: delivers a package whose tree holds the files."""

    def __init__(self, contents: dict[str, bytes], system: Path, *, has_lists: bool) -> None:
        self.contents, self.system, self.has_lists = contents, system, has_lists
        self.commands: list[list[str]] = []

    def __call__(self, command: list[str], *, cwd: Path, **_: object) -> subprocess.CompletedProcess[str]:
        self.commands.append(command)
        if command[0] == "dpkg-deb":
            store(cwd / "root" / self.system.relative_to("/"), self.contents)
        elif command[1] == "update":
            self.has_lists = any(option.startswith("--option=Dir::State=") for option in command)
        elif not self.has_lists:
            return subprocess.CompletedProcess(command, 100, "", "E: Unable to locate package\n")
        else:
            (cwd / "package.deb").write_bytes(b"")
        return subprocess.CompletedProcess(command, 0, "", "")


@pytest.mark.parametrize("has_lists", [True, False])
def test_the_files_are_taken_from_debian(
    has_lists: bool,  # noqa: FBT001 - a parameter of the test
    contents: dict[str, bytes],
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    apt = Apt(contents, tmp_path / "system", has_lists=has_lists)
    monkeypatch.setattr("edgedistill.data.fashion_mnist.shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("edgedistill.data.fashion_mnist.subprocess.run", apt)
    assert len(load("fashion-mnist", "test", PREPROCESSING, (), tmp_path)) == 10
    assert sorted(path.name for path in (cache / "fashion-mnist").iterdir()) == sorted(contents)
    assert [command[1] for command in apt.commands].count("update") == (0 if has_lists else 1)


def test_what_was_tried_is_said(contents: dict[str, bytes], tmp_path: Path) -> None:
    assert contents
    with pytest.raises(DataError, match=r"no apt-get.*no network here.*sudo apt-get install dataset-fashion-mnist"):
        load("fashion-mnist", "train", PREPROCESSING, (), tmp_path)


def test_the_fingerprint_needs_no_files(tmp_path: Path) -> None:
    assert fingerprint("fashion-mnist", tmp_path) == fingerprint("fashion-mnist", tmp_path / "elsewhere")


def test_arrays_are_not_made_of_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="kind: image"):
        load("fashion-mnist", "train", ArrayPreprocessing(shape=(784,)), (), tmp_path)


def test_the_real_files_where_this_machine_has_them() -> None:
    if not fashion_mnist._complete(fashion_mnist.SYSTEM_FOLDER):
        pytest.skip(f"Debian package {fashion_mnist.PACKAGE} is not installed")
    images, labels = fashion_mnist.arrays("test", folder=fashion_mnist.SYSTEM_FOLDER)
    assert images.shape == (10_000, 28, 28)
    assert np.bincount(labels).tolist() == [1000] * 10
