"""Data sets that a function of the user's returns."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedistill.data.preprocessing import ArrayPreprocessing, ImagePreprocessing
from edgedistill.data.sources import fingerprint, load
from edgedistill.errors import DataError, ResourceError

if TYPE_CHECKING:
    from pathlib import Path

ARRAY = ArrayPreprocessing(shape=(3,))
IMAGE = ImagePreprocessing(size=(5, 4), channels=3)

HEAD = """
import numpy as np, torch
from torch.utils.data import Dataset
rng = np.random.default_rng(0)
class Set(Dataset):
    def __init__(self, items): self.items = items
    def __len__(self): return len(self.items)
    def __getitem__(self, index): return self.items[index]
def numbers(n): return Set([(np.full(3, i, np.float32), i % 2) for i in range(n)])
"""


def module(folder: Path, body: str, name: str = "my_data") -> Path:
    (folder / f"{name}.py").write_text(HEAD + body, "utf-8")
    return folder


def test_a_pair_of_data_sets_is_read(tmp_path: Path) -> None:
    module(tmp_path, "def make(): return numbers(8), numbers(4)")
    train = load("python:my_data:make", "train", ARRAY, (), tmp_path)
    assert (train.raw == np.arange(8)[:, None]).all()
    assert train.labels.tolist() == [0, 1] * 4
    assert train.classes == ("0", "1")
    test = load("python:my_data:make", "test", ARRAY, ("no", "yes"), tmp_path)
    assert len(test) == 4
    assert test.classes == ("no", "yes")


def test_an_object_with_train_and_test_is_read(tmp_path: Path) -> None:
    module(tmp_path, "class Both: train, test = numbers(8), numbers(4)\nBoth.train.classes = ['a', 'b']\nmake = Both")
    assert load("python:my_data:make", "test", ARRAY, (), tmp_path).classes == ("a", "b")


def test_classes_of_the_test_set_are_counted_in_the_training_set(tmp_path: Path) -> None:
    module(tmp_path, "def make(): return numbers(8), Set([(np.zeros(3), 0)])")
    assert load("python:my_data:make", "test", ARRAY, (), tmp_path).classes == ("0", "1")


@pytest.mark.parametrize(
    "sample",
    [
        "image",
        "Image.fromarray(image)",
        "torch.from_numpy(image).permute(2, 0, 1)",
    ],
)
def test_images_come_as_arrays_pillow_images_or_tensors(tmp_path: Path, sample: str) -> None:
    module(
        tmp_path,
        f"from PIL import Image\n"
        f"image = rng.integers(0, 256, (5, 4, 3), dtype=np.uint8)\n"
        f"def make(): return Set([({sample}, i) for i in range(2)]), numbers(1)\n",
    )
    expected = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    assert (load("python:my_data:make", "train", IMAGE, (), tmp_path).raw == expected).all()


def test_labels_may_be_tensors(tmp_path: Path) -> None:
    module(tmp_path, "def make(): return Set([(np.zeros(3), torch.tensor(i % 2)) for i in range(4)]), numbers(1)")
    assert load("python:my_data:make", "train", ARRAY, (), tmp_path).labels.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("def make(): return numbers(8)", "wanted \\(train, test\\)"),
        ("def make(): return numbers(8), None", "wanted \\(train, test\\)"),
        ("def make(): raise RuntimeError('no disk')", "it fails: RuntimeError: no disk"),
        ("def other(): pass", "no function 'make'"),
        ("import nothing_of_this_name", "importing .* fails: ModuleNotFoundError"),
        ("def make(): return Set([(np.zeros(3), 0), (np.zeros(4), 1)]), numbers(1)", "sample 1: float64 \\(4,\\)"),
        ("def make(): return Set([(np.zeros(3), 0), np.zeros(3)]), numbers(1)", "sample 1: a ndarray"),
        ("def make(): return Set([(np.zeros(3), 0), (np.zeros(3), 'b')]), numbers(1)", "sample 1: label 'b'"),
        ("def make(): return Set([(np.zeros(3), 0), (np.full(3, np.nan), 1)]), numbers(1)", "NaN or Inf in sample 1"),
        ("def make(): return Set([([1, [2]], 0), (np.zeros(3), 1)]), numbers(1)", "sample 0: no array"),
        (
            "class Bad(Set):\n  def __getitem__(self, i): raise KeyError(i)\ndef make(): return Bad([1, 2]), Bad([1])",
            "sample 0: reading it fails: KeyError",
        ),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, body: str, message: str) -> None:
    module(tmp_path, body)
    with pytest.raises(DataError, match=message):
        load("python:my_data:make", "train", ARRAY, (), tmp_path)


def test_scaled_images_are_refused_with_the_fix(tmp_path: Path) -> None:
    module(tmp_path, "def make(): return Set([(torch.zeros(3, 5, 4), i) for i in range(2)]), numbers(1)")
    with pytest.raises(DataError, match="return raw pixels"):
        load("python:my_data:make", "train", IMAGE, (), tmp_path)


def test_more_samples_than_memory_are_refused_before_they_are_read(tmp_path: Path) -> None:
    module(tmp_path, "class Huge(Set):\n  def __len__(self): return 10**12\ndef make(): return Huge([]), numbers(1)")
    with pytest.raises(ResourceError):
        load("python:my_data:make", "train", ARRAY, (), tmp_path)


def test_the_fingerprint_of_the_samples_is_that_of_their_content(tmp_path: Path) -> None:
    module(tmp_path, "def make(): return numbers(8), numbers(4)\ndef same(): return numbers(8), numbers(2)")
    one, other = (load(f"python:my_data:{name}", "train", ARRAY, (), tmp_path) for name in ("make", "same"))
    assert one.fingerprint == other.fingerprint


def test_the_planning_fingerprint_reads_the_source_and_runs_nothing(tmp_path: Path) -> None:
    package = tmp_path / "pack"
    package.mkdir()
    for path in (package / "__init__.py", package / "data.py"):
        path.write_text("raise RuntimeError('this was run')", "utf-8")
    program = (
        "import json, sys; from pathlib import Path; from edgedistill.data.sources import fingerprint;"
        "print(json.dumps([fingerprint(sys.argv[1], Path(sys.argv[2])), 'torch' in sys.modules]))"
    )
    command = [sys.executable, "-c", program, "python:pack.data:make", str(tmp_path)]
    found, torch_loaded = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    expected = hashlib.sha256(b"raise RuntimeError('this was run')make").hexdigest()
    assert found == expected
    assert not torch_loaded
    assert fingerprint("python:pack.data:other", tmp_path) != expected
