"""What a step gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edgedistill.distill.parallel.group import Group


@dataclass(frozen=True)
class Outcome:
    """What a step found, and what it wrote into the run directory.

    Args:
        result: for later steps and the summary; must have a JSON form.
        written: files that must be as they are for the step to count as done.
    """

    result: Mapping[str, object]
    written: Sequence[Path] = field(default=())


def notes_on(group: Group, *, did: str) -> list[str]:
    """Return what to know of a step that several processes have done."""
    if group.count == 1:
        return []
    return [f"{did} by {group.count} processes; another number of them may change the last bits"]
