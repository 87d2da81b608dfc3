"""Every error a caller may meet, and the exit code the command line gives it.

EdgeDistillError                 1   our own bug, unless a subclass says otherwise
├── InputError                   2   something the user gave cannot be used
│   ├── RecipeError              2   the recipe: unknown key, value out of range
│   ├── DataError                2   samples, labels, an empty folder, NaN
│   ├── ModelError               2   a teacher or student that cannot be loaded or does not fit
│   ├── ShapeError               2   tensors whose shapes do not go together
│   ├── UnsafeFileError          2   a file from outside that asks for more than it may
│   ├── UnsupportedError         2   an operator, a device or a combination that no code here handles
│   ├── DependencyError          2   an optional package or a tool of the system is missing
│   └── ResourceError            2   no disk space, no memory
├── GateError                    3   the artifact is not what was trained, or not good enough
├── LostProcessError             4   another process of a run on several is gone
├── FailedProcessError           its another process of a run on several ended with an error: its exit code
└── DeviceError                  4   a device could not be reached or does not answer
    ├── UnreachableError         4   there is no connection to it now; a later attempt may have one
    └── UnfinishedError          4   some devices gave nothing; what the others gave is kept
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable


class EdgeDistillError(Exception):
    """An error with four parts: the thing, what was found, what is wanted, and the fix.

    Args:
        thing: what is wrong, named as the user knows it: "teacher weights 'a.pt'".
        found: what was there: "the file does not exist".
        wanted: what should be there; empty when `found` says it.
        fix: what to do about it; empty when nothing better than `wanted` is known.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, thing: str, *, found: str, wanted: str = "", fix: str = "") -> None:
        self.thing, self.found, self.wanted, self.fix = thing, found, wanted, fix
        super().__init__(self._message())

    def _message(self) -> str:
        head = f"{self.thing}: {self.found}"
        if self.wanted:
            head += f"; wanted {self.wanted}"
        return f"{head}. {self.fix}." if self.fix else f"{head}."


class InputError(EdgeDistillError):
    """Something the user gave cannot be used."""

    exit_code = 2


class RecipeError(InputError):
    """The recipe has an unknown key or a value out of range."""


class DataError(InputError):
    """Samples or labels cannot be used."""


class ModelError(InputError):
    """A teacher or a student cannot be loaded, or does not fit the data."""


class ShapeError(InputError):
    """Tensors have shapes that do not go together."""


class UnsafeFileError(InputError):
    """A file from outside asks for more than it may: code in a weights file, a path out of its folder."""


class UnsupportedError(InputError):
    """No code here handles this operator, device or combination."""


class DependencyError(InputError):
    """An optional package or a tool of the system is missing."""


class ResourceError(InputError):
    """The machine has not enough disk space or memory for what was asked."""


class GateError(EdgeDistillError):
    """A check of the result failed: the artifact is not what was trained, or is not good enough."""

    exit_code = 3


class LostProcessError(EdgeDistillError):
    """Another process of a run on several is gone, or does not answer."""

    exit_code = 4


class FailedProcessError(EdgeDistillError):
    """Another process of a run on several ended with an error of its own, which it has said itself.

    Args:
        rank: of that process.
        message: its error.
        exit_code: its exit code.
    """

    def __init__(self, rank: int, message: str, *, exit_code: int) -> None:
        self.rank = rank
        super().__init__(f"process {rank} of the run", found=f"it ended with: {message.rstrip('.')}")
        self.exit_code = exit_code  # type: ignore[misc] # that of the class is the others'


class DeviceError(EdgeDistillError):
    """A device could not be reached, or does not answer."""

    exit_code = 4


class UnreachableError(DeviceError):
    """There is no connection to a device now; a later attempt may have one."""


class UnfinishedError(DeviceError):
    """Some devices gave nothing; what the others gave is kept."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return "did you mean 'epochs'? It has: a, b, c" for a name that is not among the valid ones."""
    names = sorted(valid)
    close = difflib.get_close_matches(name, names, n=1)
    listing = f"it has: {', '.join(names)}" if names else "it has none"
    return f"did you mean {close[0]!r}? {listing}" if close else listing
