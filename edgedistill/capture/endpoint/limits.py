"""How fast and how much a model may be asked."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from edgedistill.capture.json_text import whole_at
from edgedistill.errors import GateError

if TYPE_CHECKING:
    from edgedistill.capture.endpoint.answers import Usage
    from edgedistill.capture.journal import Journal
    from edgedistill.capture.json_text import Json


class LimitError(GateError):
    """The requests or tokens that the user allowed are used up. What was done so far is kept."""


class Clock(Protocol):
    """Where time comes from; tests put another one in."""

    def now(self) -> float:
        """Return a time in seconds that never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """Real time."""

    def now(self) -> float:
        """Return a time in seconds that never goes back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


@dataclass(frozen=True)
class Limits:
    """What a run may ask of an endpoint.

    Args:
        concurrency: requests under way at once, at least 1.
        requests_per_minute: requests begun in a minute; 0 means no limit. They are spread evenly.
        retries: further tries of a request that failed in a way that may pass.
        timeout_s: longest wait for one answer, s.
        max_requests: requests of a whole run, retries and interrupted parts included; 0 means no limit.
        max_tokens: tokens of a whole run, prompts and answers, as the endpoint counts them; 0 means no limit.
            Known only after an answer, so that answers under way may go over it.
    """

    concurrency: int = 8
    requests_per_minute: float = 0.0
    retries: int = 5
    timeout_s: float = 120.0
    max_requests: int = 0
    max_tokens: int = 0


class Pace:
    """Lets requests begin at even distances.

    Args:
        requests_per_minute: at most; 0 means as they come.
        clock: where time comes from.
    """

    def __init__(self, requests_per_minute: float, clock: Clock) -> None:
        self._interval_s = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._clock = clock
        self._next = clock.now()

    async def turn(self) -> None:
        """Wait for the next beginning."""
        now = self._clock.now()
        begin = max(now, self._next)
        self._next = begin + self._interval_s
        if begin > now:
            await self._clock.sleep(begin - now)

    def hold(self, seconds: float) -> None:
        """Let nothing begin for some seconds: the endpoint asked for it."""
        self._next = max(self._next, self._clock.now() + seconds)


class Budget:
    """Counts what a run has used, those parts of it included that were killed.

    Args:
        limits: what is allowed.
        journal: where requests are written down before they are sent, and tokens when they are known; what it holds
            already counts.
    """

    def __init__(self, limits: Limits, journal: Journal | None = None) -> None:
        self._limits = limits
        self._journal = journal
        self.requests = 0
        self.tokens = 0
        for entry in journal.entries if journal else ():
            self.requests += whole_at(entry, "requests") or 0
            self.tokens += whole_at(entry, "tokens") or 0

    def take_request(self) -> None:
        """Count a request that is about to be sent.

        Raises:
            LimitError: it is one too many, or the tokens are used up.
        """
        for used, allowed, what in (
            (self.requests, self._limits.max_requests, "requests"),
            (self.tokens, self._limits.max_tokens, "tokens"),
        ):
            if allowed and used >= allowed:
                raise LimitError(
                    f"limit of {allowed:,} {what}",
                    found=f"{used:,} are used",
                    fix=f"what was done is kept; raise --max-{what} and run the same command to go on",
                )
        self.requests += 1
        self._write({"requests": 1})

    def add(self, usage: Usage) -> None:
        """Count the tokens of an answer."""
        self.tokens += usage.total_tokens
        if usage.total_tokens:
            self._write({"tokens": usage.total_tokens})

    def _write(self, entry: Json) -> None:
        if self._journal is not None:
            self._journal.append(entry)
