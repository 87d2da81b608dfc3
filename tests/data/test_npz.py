"""Samples in a numpy archive."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgedistill.data.preprocessing import ArrayPreprocessing, ImagePreprocessing
from edgedistill.data.sources import fingerprint, load
from edgedistill.errors import DataError, ResourceError, UnsafeFileError

ARRAY = ArrayPreprocessing(shape=(3,))
X = np.arange(60, dtype=np.float32).reshape(20, 3)
Y = np.arange(20) % 4


def saved(folder: Path, **arrays: np.ndarray) -> Path:
    np.savez(folder / "data.npz", **arrays)
    return folder


def test_a_marked_split_is_taken(tmp_path: Path) -> None:
    marks = np.where(np.arange(20) < 16, "train", "test")
    saved(tmp_path, x=X, y=Y, split=marks)
    train = load("npz:data.npz", "train", ARRAY, (), tmp_path)
    test = load("npz:data.npz", "test", ARRAY, (), tmp_path)
    assert (train.raw == X[:16]).all()
    assert (test.raw == X[16:]).all()
    assert train.classes == ("0", "1", "2", "3")
    assert train.fingerprint != test.fingerprint


def test_a_split_may_be_numbers(tmp_path: Path) -> None:
    saved(tmp_path, x=X, y=Y, split=(np.arange(20) >= 16).astype(np.uint8))
    assert (load("npz:data.npz", "test", ARRAY, (), tmp_path).raw == X[16:]).all()


def test_without_a_split_a_fifth_of_each_class_is_for_testing(tmp_path: Path) -> None:
    saved(tmp_path, x=X, y=Y)
    train, test = (load("npz:data.npz", split, ARRAY, (), tmp_path) for split in ("train", "test"))
    assert np.bincount(test.labels).tolist() == [1, 1, 1, 1]
    assert sorted([*train.raw[:, 0], *test.raw[:, 0]]) == X[:, 0].tolist()


def test_images_are_read(tmp_path: Path) -> None:
    saved(tmp_path, x=np.zeros((20, 6, 5), np.uint8), y=Y)
    samples = load("npz:data.npz", "train", ImagePreprocessing(size=(6, 5), channels=1), ("a", "b", "c", "d"), tmp_path)
    assert samples.raw.shape == (16, 6, 5, 1)
    assert samples.classes == ("a", "b", "c", "d")


def test_classes_are_counted_over_both_splits(tmp_path: Path) -> None:
    saved(tmp_path, x=X, y=np.where(np.arange(20) == 19, 4, Y), split=np.where(np.arange(20) < 16, "train", "test"))
    with pytest.raises(DataError, match="no training sample of 1 classes: 4"):
        load("npz:data.npz", "train", ARRAY, (), tmp_path)


def test_a_bad_value_is_named_by_its_place_in_the_file(tmp_path: Path) -> None:
    bad = X.copy()
    bad[17] = np.nan
    saved(tmp_path, x=bad, y=Y, split=np.where(np.arange(20) < 16, "train", "test"))
    with pytest.raises(DataError, match="NaN or Inf in sample 17"):
        load("npz:data.npz", "test", ARRAY, (), tmp_path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X, "labels": Y}, "no array 'y'"),
        ({"x": X, "y": Y[:5]}, r"wanted x \(n, ...\) and y \(n,\)"),
        ({"x": X, "y": np.where(Y == 2, 2.5, Y)}, "label 2.5 of sample 2"),
        ({"x": X, "y": np.where(Y == 2, -2, Y)}, "label -2 of sample 2"),
        ({"x": X, "y": np.where(Y == 3, 10**9, Y)}, "sample 3"),
        ({"x": X, "y": Y, "split": np.array(["train"] * 19 + ["dev"])}, "split dev of sample 19"),
        ({"x": X, "y": Y, "split": np.array([0] * 19 + [2])}, "split 2 of sample 19"),
        ({"x": X, "y": Y, "split": np.array(["train"])}, r"wanted split \(20,\)"),
    ],
)
def test_arrays_of_another_form_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    saved(tmp_path, **arrays)
    with pytest.raises(DataError, match=message):
        load("npz:data.npz", "train", ARRAY, (), tmp_path)


def test_pickled_objects_are_refused_unread(tmp_path: Path) -> None:
    saved(tmp_path, x=np.array([Path("a"), Path("b")], dtype=object), y=np.array([0, 1]))
    with pytest.raises(UnsafeFileError, match="pickled Python objects"):
        load("npz:data.npz", "train", ARRAY, (), tmp_path)


def test_a_header_that_claims_more_than_the_file_holds_is_refused(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**12, 3)})
    with zipfile.ZipFile(tmp_path / "data.npz", "w") as archive:
        archive.writestr("x.npy", header.getvalue())
        archive.writestr("y.npy", b"")
    with pytest.raises(DataError, match="array 'x' is cut off"):
        load("npz:data.npz", "train", ARRAY, (), tmp_path)


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgedistill.data.checks.MAX_BYTES", 1_000_000)
    np.savez_compressed(tmp_path / "data.npz", x=np.zeros((1000, 300), np.float32), y=np.zeros(1000, int))
    assert (tmp_path / "data.npz").stat().st_size < 100_000
    with pytest.raises(ResourceError):
        load("npz:data.npz", "train", ARRAY, (), tmp_path)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 broken"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"no readable \.npz archive"):
        load("npz:data.npz", "train", ARRAY, (), tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.npz.*No such file"):
        load("npz:data.npz", "train", ARRAY, (), tmp_path)
    with pytest.raises(DataError, match=r"data\.npz.*No such file"):
        fingerprint("npz:data.npz", tmp_path)


def test_the_fingerprint_is_that_of_the_content(tmp_path: Path) -> None:
    saved(tmp_path, x=X, y=Y)
    first = fingerprint("npz:data.npz", tmp_path)
    assert fingerprint("npz:data.npz", tmp_path) == first
    saved(tmp_path, x=X + 1, y=Y)
    assert fingerprint("npz:data.npz", tmp_path) != first
