"""What a student took over from its teacher."""

from __future__ import annotations

from dataclasses import dataclass

SHOWN = 4
"""Names of tensors that a text lists."""


@dataclass(frozen=True)
class StartRecord:
    """What a student took over from its teacher.

    Args:
        copied: numbers of its state that came from the teacher.
        total: numbers of its state.
        random: names of the tensors that stayed as they were.
        how: what was taken, in words.
    """

    copied: int
    total: int
    random: tuple[str, ...]
    how: str

    @property
    def text(self) -> str:
        """It in one sentence."""
        said = f"the student starts from its teacher: {self.how}; {self.copied:,} of {self.total:,} numbers copied"
        if not self.random:
            return said
        more = f" and {len(self.random) - SHOWN} more" if len(self.random) > SHOWN else ""
        return f"{said}; left random: {', '.join(self.random[:SHOWN])}{more}"
