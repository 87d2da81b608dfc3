"""Weights files: what is read, and what is refused before it can do anything."""

from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from edgedistill.errors import ModelError, UnsafeFileError
from edgedistill.models.state_file import state_from_file

if TYPE_CHECKING:
    from pathlib import Path


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("write", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(write: object, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    write({"weight": torch.zeros(2), "more": Hostile(trace)}, tmp_path / "weights.pt")  # type: ignore[operator]
    with pytest.raises(UnsafeFileError, match="load it there and save"):
        state_from_file(tmp_path / "weights.pt")
    assert not trace.exists()
    pickle.loads(pickle.dumps(Hostile(trace)))  # noqa: S301 - shows that it would have made the folder
    assert trace.exists()


def test_a_whole_module_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "model.pth")
    with pytest.raises(UnsafeFileError):
        state_from_file(tmp_path / "model.pth")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"epoch": 3, "state_dict": {"weight": torch.zeros(1)}}, r"no tensors: epoch \(int\), state_dict \(dict\)"),
        (torch.zeros(3), "a Tensor"),
        ({}, "no entries"),
    ],
)
def test_a_checkpoint_that_is_no_state_dictionary_says_what_it_holds(
    value: object, message: str, tmp_path: Path
) -> None:
    torch.save(value, tmp_path / "weights.pt")
    with pytest.raises(ModelError, match=message):
        state_from_file(tmp_path / "weights.pt")


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04"])
def test_other_files_are_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=r"no (readable )?(torch|safetensors)"):
        state_from_file(tmp_path / name)
