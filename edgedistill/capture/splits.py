"""Splits completions into parts for training and testing, so that no prompt is in two of them."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from edgedistill.capture.duplicates import Duplicates, groups_of
from edgedistill.errors import DataError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edgedistill.capture.completion import Completion

MINIMUM = 10
"""Completions below which nothing is split: the hosted service's own limit."""

ADVISED = 200
"""Completions below which a warning is due: it advises hundreds to thousands."""

SHARES: Mapping[str, float] = {"train": 0.8, "validation": 0.1, "test": 0.1}


@dataclass(frozen=True)
class Split:
    """Completions in parts.

    Args:
        parts: completions by the name of their part, in the order in which they came.
        prompts: prompts that differ, by part; with near duplicates, groups of them.
        warnings: what the user should know.
    """

    parts: Mapping[str, list[Completion]]
    prompts: Mapping[str, int]
    warnings: list[str]


def split(
    completions: Iterable[Completion],
    shares: Mapping[str, float] = SHARES,
    *,
    seed: int = 0,
    together: Duplicates = Duplicates.PROMPT,
) -> Split:
    """Split completions by a hash of their prompts.

    A prompt's part depends on the prompt, the shares and the seed alone: completions that are added later change
    nobody's part. The shares are met on average.

    Args:
        completions: what to split.
        shares: a number for each part, greater than 0; they are divided by their sum.
        seed: another one gives another split.
        together: what must not be in two parts: completions of one prompt, or of nearly the same one. With near
            duplicates, a completion that is added later may join two groups and so change a part.

    Raises:
        DataError: there are fewer than MINIMUM completions.
        InputError: a share is not positive, or exact duplicates are to be kept together, which would let a prompt
            with two answers into two parts.
    """
    _check(shares, together)
    parts: dict[str, list[Completion]] = {name: [] for name in shares}
    groups = {name: set[str]() for name in shares}
    for completion, group in groups_of(completions, together):
        name = part_of(group, shares, seed=seed)
        parts[name].append(completion)
        groups[name].add(group)
    prompts = {name: len(found) for name, found in groups.items()}
    return Split(parts, prompts, warnings_of({name: len(found) for name, found in parts.items()}))


def part_of(prompt_hash: str, shares: Mapping[str, float] = SHARES, *, seed: int = 0) -> str:
    """Return the part that a prompt belongs to, by its hash."""
    draw = int.from_bytes(sha256(f"{seed}:{prompt_hash}".encode()).digest()[:8]) / 2**64
    rest = draw * math.fsum(shares.values())
    for name, share in shares.items():
        if rest < share:
            return name
        rest -= share
    return next(reversed(list(shares)))  # rounding


def warnings_of(sizes: Mapping[str, int]) -> list[str]:
    """Return what the user should know of a split of these sizes.

    Raises:
        DataError: there are fewer than MINIMUM completions.
    """
    total = sum(sizes.values())
    if total < MINIMUM:
        raise DataError("split", found=f"{total} completions", wanted=f"at least {MINIMUM}", fix="capture more")
    told = [f"{total} completions: fewer than the {ADVISED} that are advised"] if total < ADVISED else []
    return told + [
        f"part '{name}' is empty: capture more, or choose another seed" for name, n in sizes.items() if not n
    ]


def shares_from(terms: Iterable[str]) -> dict[str, float]:
    """Return the shares of NAME=SHARE texts.

    Raises:
        InputError: one has another form, or a name stands twice.
    """
    split_terms = [term.partition("=") for term in terms]
    names = Counter(name for name, _, _ in split_terms)
    shares = dict[str, float]()
    for name, _, share in split_terms:
        if not name.replace("-", "_").isidentifier() or names[name] > 1:
            raise InputError(f"part '{name}'", found="no name, or it stands twice", wanted="as in train=0.8")
        try:
            shares[name] = float(share)
        except ValueError:
            raise InputError(f"share of part '{name}'", found=f"'{share}'", wanted="a number") from None
    return shares


def _check(shares: Mapping[str, float], together: Duplicates) -> None:
    for name, share in shares.items():
        if not 0 < share < math.inf:
            raise InputError(f"share of part '{name}'", found=str(share), wanted="a number greater than 0")
    if not shares:
        raise InputError("split", found="no parts", wanted="as in train=0.8 test=0.2")
    if together is Duplicates.EXACT:
        raise InputError("split", found="exact duplicates are to stay together", wanted="prompt or near")
