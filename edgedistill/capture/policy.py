"""Which answers are stored."""

from __future__ import annotations

import enum
import random
from dataclasses import dataclass, field

from edgedistill.errors import InputError


class Ask(enum.StrEnum):
    """Who decides that an answer is stored."""

    REQUESTED = "requested"
    """The caller: `"store": true`."""
    ALWAYS = "always"
    """Whoever runs the server, for every request but those with `"store": false`."""
    NEVER = "never"
    """Nothing is stored; answers are passed on."""


@dataclass(frozen=True)
class Policy:
    """Decides whether an answer is stored.

    Args:
        ask: who decides.
        rate: share of those answers that is stored, 0 < rate <= 1, drawn at random.
        generator: where the draws come from.

    Raises:
        InputError: the rate is out of its range.
    """

    ask: Ask = Ask.REQUESTED
    rate: float = 1.0
    generator: random.Random = field(default_factory=random.SystemRandom, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1:
            raise InputError("sampling rate", found=str(self.rate), wanted="greater than 0, at most 1")

    def wants(self, store: object) -> bool:
        """Say whether to store the answer to a request whose `store` is this; each call draws anew."""
        wanted = {Ask.REQUESTED: store is True, Ask.ALWAYS: store is not False, Ask.NEVER: False}[self.ask]
        return wanted and (self.rate == 1 or self.generator.random() < self.rate)
