"""Reads the tensors of a weights file, and refuses files that would run code."""

from __future__ import annotations

import pickle
import warnings
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from edgedistill.errors import ModelError, UnsafeFileError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor


def state_from_file(path: Path) -> dict[str, Tensor]:
    """Return the state dictionary in a `.safetensors`, `.pt` or `.pth` file, on the CPU.

    Raises:
        ModelError: the file cannot be read, or holds something else.
        UnsafeFileError: the file is a pickle that would call other functions than those that make tensors.
    """
    thing = f"weights '{path.name}'"
    state = _from_safetensors(path, thing) if path.suffix == ".safetensors" else _from_pickle(path, thing)
    if not isinstance(state, dict) or not state or not all(map(_is_tensor, state.values())):
        raise ModelError(
            thing,
            found=_described(state),
            wanted="a state dictionary: tensors by name",
            fix="save it with torch.save(model.state_dict(), path), or safetensors.torch.save_file",
        )
    return state


def _from_safetensors(path: Path, thing: str) -> object:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(thing, found=f"no readable safetensors file: {error}") from error


def _from_pickle(path: Path, thing: str) -> object:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an unusual pickle protocol; what matters is raised below
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "invalid load key" in str(error):
            raise ModelError(thing, found="no torch file") from error
        raise UnsafeFileError(
            thing,
            found="a pickle that calls functions of its own, which could do anything",
            wanted="tensors only",
            fix="where you trust its origin, load it there and save model.state_dict() with safetensors",
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        raise ModelError(thing, found=f"no readable torch file: {error}") from error


def _described(state: object) -> str:
    if not isinstance(state, dict):
        return f"a {type(state).__name__}"
    others = [f"{name} ({type(value).__name__})" for name, value in state.items() if not _is_tensor(value)]
    return f"entries that are no tensors: {', '.join(others[:5])}" if others else "no entries"


def _is_tensor(value: object) -> bool:
    return isinstance(value, torch.Tensor)
