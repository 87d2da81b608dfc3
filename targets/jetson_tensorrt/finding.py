"""What a rule of `rules.py` is made of: for whom it holds, what it finds, and what TensorRT then does."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edgedistill.targets.jetson_tensorrt.network import Network

Version = tuple[int, int]


class Effect(StrEnum):
    """What TensorRT does with a graph that breaks a rule."""

    REFUSED = "refused"  # an error while parsing or building
    CRASH = "crash"  # the builder ends the process
    WRONG = "wrong numbers"  # builds, and computes something else
    FLOAT = "runs in float"  # builds, and silently leaves INT8
    SLOW = "slower"  # builds in INT8, with conversions or passes over memory that another placement avoids
    NOTE = "to know"  # nothing is wrong


class Where(StrEnum):
    """On which engines a rule holds."""

    ANY = "any"
    GPU = "gpu"
    DLA = "dla"


@dataclass(frozen=True)
class Setting:
    """What a graph is judged for.

    Args:
        tensorrt: major and minor version.
        dla: whether it is to run on a deep-learning accelerator.
        compute_capability: of the GPU: (8, 7) is Orin.
    """

    tensorrt: Version = (10, 3)
    dla: bool = False
    compute_capability: Version = (8, 7)

    @property
    def title(self) -> str:
        """One line for people: "TensorRT 10.3, DLA"."""
        return f"TensorRT {self.tensorrt[0]}.{self.tensorrt[1]}{', DLA' if self.dla else ''}"


class Finding(NamedTuple):
    """Where a rule is broken, and how."""

    node: str
    detail: str


@dataclass(frozen=True)
class Rule:
    """One row of the table.

    Args:
        name: identifier: "TRT001".
        effect: what TensorRT does.
        happens: the same in words.
        fix: what to do about it.
        source: documentation, parser source, or the version it was measured with.
        find: returns where a graph breaks it; pure.
        since: first TensorRT it holds for.
        before: first TensorRT it does not hold for; none means all later ones.
        where: on which engines.
    """

    name: str
    effect: Effect
    happens: str
    fix: str
    source: str
    find: Callable[[Network, Setting], Iterable[Finding]]
    since: Version = (8, 5)
    before: Version | None = None
    where: Where = Where.ANY

    def holds_for(self, setting: Setting) -> bool:
        """Tell whether the rule is to be looked at."""
        if self.where is not Where.ANY and setting.dla != (self.where is Where.DLA):
            return False
        return self.since <= setting.tensorrt and (self.before is None or setting.tensorrt < self.before)
