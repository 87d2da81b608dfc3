"""A package from outside is checked before it is believed."""

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from edgedistill.errors import UnsafeFileError
from edgedistill.targets.base import Artifact
from edgedistill.targets.phone_coreml.saved import read_package
from edgedistill.targets.phone_coreml.weight_file import WeightFile

WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"
MODEL = "Data/com.apple.CoreML/model.mlmodel"


@pytest.fixture
def package(artifact: Artifact, tmp_path: Path) -> Path:
    return Path(shutil.copytree(artifact.folder / artifact.model, tmp_path / "m.mlpackage"))


def record(values: np.ndarray, *, kind: int, size: int | None = None) -> bytes:
    """Return a weight file with one array."""
    data = values.tobytes()
    head = struct.pack("<II", 1, 2).ljust(64, b"\0")
    entry = struct.pack("<IIQQ", 0xDEADBEEF, kind, len(data) if size is None else size, 128).ljust(64, b"\0")
    return head + entry + data


def test_numbers_are_read_by_their_offset() -> None:
    values = np.array([[1, -2, 3]], np.int8)
    found = WeightFile(record(values, kind=4), "w").array(64, (1, 3), "i1")
    np.testing.assert_array_equal(found, values, strict=True)


@pytest.mark.parametrize(
    ("data", "offset", "message"),
    [
        (record(np.zeros(3, np.int8), kind=4), 128, "outside"),
        (record(np.zeros(99, np.int8), kind=4), 128, "no record"),
        (record(np.zeros(3, np.int8), kind=3), 64, "type uint8"),
        (record(np.zeros(3, np.int8), kind=4, size=2**40), 64, "numbers of type int8"),
        (record(np.zeros(3, np.int8), kind=77), 64, "numbers of type int8"),
    ],
)
def test_a_damaged_weight_file_is_refused(data: bytes, offset: int, message: str) -> None:
    with pytest.raises(UnsafeFileError, match=message):
        WeightFile(data, "w").array(offset, (3,), "i1")


def test_a_weight_file_of_another_version_is_refused() -> None:
    with pytest.raises(UnsafeFileError, match="version 2"):
        WeightFile(b"\0" * 64, "w")


def test_a_whole_package_is_read(package: Path) -> None:
    model = read_package(package)
    assert len(model.operations) > 20
    assert model.constants


def test_a_missing_weight_file_is_named(package: Path) -> None:
    (package / WEIGHTS).unlink()
    with pytest.raises(UnsafeFileError, match=r"'weight\.bin' is missing"):
        read_package(package)


def test_a_truncated_weight_file_is_refused(package: Path) -> None:
    path = package / WEIGHTS
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(UnsafeFileError, match=r"weight file of 'm\.mlpackage'"):
        read_package(package)


def test_a_damaged_model_is_refused(package: Path) -> None:
    (package / MODEL).write_bytes(b"\xff" * 100)
    with pytest.raises(UnsafeFileError, match=r"'model\.mlmodel' is damaged"):
        read_package(package)


@pytest.mark.parametrize("path", ["../../secret", "/etc/passwd"])
def test_a_path_out_of_the_package_is_refused(package: Path, path: str) -> None:
    manifest = json.loads((package / "Manifest.json").read_text("utf-8"))
    manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"] = path
    (package / "Manifest.json").write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(UnsafeFileError, match="leaves the package"):
        read_package(package)


@pytest.mark.parametrize("text", ["", "[]", '{"itemInfoEntries": 3, "rootModelIdentifier": "x"}'])
def test_a_manifest_that_cannot_be_used_is_refused(package: Path, text: str) -> None:
    (package / "Manifest.json").write_text(text, "utf-8")
    with pytest.raises(UnsafeFileError, match=r"Manifest\.json cannot be used"):
        read_package(package)
