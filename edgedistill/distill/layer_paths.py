"""Names of layers: dotted paths, patterns of them, and what goes into a layer instead of what comes out.

stages.2               the layer itself
stages.*               every child of `stages`; a pattern stands for one part of a path, as in a shell
layers.{0,5}.query     alternatives
**.query               any number of parts, none included
head@input             what goes into the layer `head`: of a classifier, the penultimate features
"""

from __future__ import annotations

import itertools
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from edgedistill.errors import ModelError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import nn

INPUT = "@input"
ANY_DEPTH = "**"


def layers_matching(model: nn.Module, pattern: str, *, role: str) -> list[str]:
    """Return the paths of the layers that a pattern matches, in its order; `@input` stays.

    Args:
        model: whose layers.
        pattern: a path or a pattern, see above.
        role: "teacher" or "student", for messages.

    Raises:
        ModelError: no layer matches; lists what the model has where the pattern goes astray.
    """
    path, at_input, suffix = pattern.partition(INPUT)
    names = [name for name, _ in model.named_modules() if name]
    alternatives = [choice.split(".") for choice in _alternatives(path)]
    found = [name for name in names if any(_matches(name.split("."), parts) for parts in alternatives)]
    if suffix or not found:
        raise ModelError(
            f"layer '{pattern}'", found=f"not in the {role}", fix=nearest(*_astray(names, alternatives[0]))
        )
    return [name + at_input for name in found]


def is_pattern(path: str) -> bool:
    """Return whether a path stands for several layers."""
    return any(sign in path for sign in "*?[{")


def _alternatives(pattern: str) -> Iterator[str]:
    """Yield the patterns that one with `{a,b}` stands for."""
    parts = re.split(r"\{([^{}]*)\}", pattern)  # every second one is the inside of braces
    choices = [part.split(",") if place % 2 else [part] for place, part in enumerate(parts)]
    for choice in itertools.product(*choices):
        yield "".join(choice)


def _matches(name: Sequence[str], parts: Sequence[str]) -> bool:
    if not parts:
        return not name
    if parts[0] == ANY_DEPTH:
        return any(_matches(name[skipped:], parts[1:]) for skipped in range(len(name) + 1))
    return bool(name) and fnmatchcase(name[0], parts[0]) and _matches(name[1:], parts[1:])


def _astray(names: Sequence[str], parts: Sequence[str]) -> tuple[str, list[str]]:
    """Return the path up to the first part that matches nothing, and the layers that are there instead."""
    for depth in range(1, len(parts) + 1):
        if not any(_matches(name.split("."), parts[:depth]) for name in names):
            there = [name for name in names if _matches(name.split("."), [*parts[: depth - 1], "*"])]
            return ".".join(parts[:depth]), there
    return ".".join(parts), list(names)
