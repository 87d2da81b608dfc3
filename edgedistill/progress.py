"""How long jobs say where they are. The method reports through this contract; the command line draws bars."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


class Tracker(Protocol):
    """One running job."""

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        """Say that some more steps are done; `note` replaces the text beside the bar ("accuracy 91.2 %")."""


class Progress(Protocol):
    """Where jobs report to."""

    def track(self, title: str, *, total: int) -> AbstractContextManager[Tracker]:
        """Begin a job of `total` steps."""


class _Silent:
    def advance(self, steps: int = 1, *, note: str = "") -> None:
        """Say nothing."""

    def track(self, title: str, *, total: int) -> AbstractContextManager[Tracker]:  # noqa: ARG002
        """Say nothing."""
        return nullcontext(self)


SILENT: Progress = _Silent()
