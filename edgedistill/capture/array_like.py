"""Arrays of whoever makes them, as numpy's: torch's on any device, Pillow's images, lists of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from edgedistill.errors import ShapeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Arrays = dict[str, "NDArray[np.generic]"]
NUMBERS = "biufc"
"""Kinds of dtype that are numbers."""


@runtime_checkable
class _Tensor(Protocol):
    """What torch's tensors can do; torch itself need not be there."""

    def detach(self) -> _Tensor: ...
    def cpu(self) -> _Tensor: ...
    def float(self) -> _Tensor: ...
    def numpy(self) -> NDArray[np.generic]: ...


def array_of(value: object) -> NDArray[np.generic] | None:
    """Return a value as an array, without a copy where that can be; None if it is none. bfloat16 becomes float32.

    A list of numbers is an array; a list of arrays is several.
    """
    if isinstance(value, _Tensor):
        tensor = value.detach().cpu()
        try:
            return tensor.numpy()
        except TypeError:  # torch 2.13: "Got unsupported ScalarType BFloat16"
            return tensor.float().numpy()
    if not isinstance(value, (list, tuple)) and not _is_array(value):
        return None
    if isinstance(value, (list, tuple)) and any(_is_array(part) for part in value):
        return None
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        return None
    return array if array.dtype.kind in NUMBERS and array.size else None


def separated(named: Mapping[str, object]) -> tuple[Arrays, dict[str, object]]:
    """Return the arrays among named values, and the others; those in a mapping or a list become NAME.KEY."""
    arrays, others = Arrays(), dict[str, object]()
    for name, value in named.items():
        array = array_of(value)
        if array is not None:
            arrays[name] = array
        elif (parts := _parts(value)) is not None:
            inner, rest = separated({f"{name}.{key}": part for key, part in parts.items()})
            arrays |= inner
            others |= rest
        else:
            others[name] = value
    return arrays, others


def outputs_of(answer: object) -> Arrays:
    """Return the arrays of an answer: "output" for one, "output.0" ... for a sequence of arrays, "output.KEY".

    Raises:
        ShapeError: there is none.
    """
    arrays, _ = separated({"output": answer})
    if not arrays:
        raise ShapeError("answer of the predict function", found=type(answer).__name__, wanted="arrays")
    return arrays


def length_of(arrays: Arrays) -> int:
    """Return how many samples a batch of arrays holds.

    Raises:
        ShapeError: there is no array, one has no axis, or their lengths differ.
    """
    lengths = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise ShapeError("batch", found=f"lengths {lengths}", wanted="one length along the first axis")
    return next(iter(lengths.values()))


def copied(arrays: Arrays, rows: Sequence[int] | None) -> list[Arrays]:
    """Return copies of the arrays for each of some rows; for None, one copy of the whole."""
    if rows is None:
        return [{name: array.copy() for name, array in arrays.items()}]
    return [{name: np.asarray(array[row]).copy() for name, array in arrays.items()} for row in rows]


def _is_array(value: object) -> bool:
    return isinstance(value, _Tensor) or hasattr(value, "__array__") or hasattr(value, "__array_interface__")


def _parts(value: object) -> Mapping[object, object] | None:
    """Return what several arrays come in, by key or place; None for anything else, a list of texts among it."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, (list, tuple)) and any(_is_array(part) for part in value):
        return dict(enumerate(value))
    return None
