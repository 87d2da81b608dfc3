"""What a step gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """What a step found, and what it wrote into the run directory.

    Args:
        result: for later steps and the summary; must have a JSON form.
        written: files that must be as they are for the step to count as done.
    """

    result: Mapping[str, object]
    written: Sequence[Path] = field(default=())
