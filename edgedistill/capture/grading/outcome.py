"""What a grader says of a sample."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - pydantic reads the annotations
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Outcome:
    """The grade that one grader gives to one sample.

    Args:
        name: the grader's.
        type: the grader's.
        score: None where there is none: `error` says why.
        passed: None where the grader has no threshold, or there is no score.
        label: what a `label_model` chose.
        invalid: why the score is 0 although nothing was compared: a template that names what is missing, an exception
            in Python, a judge that gave no number. The published graders count these as 0.
        error: why there is no score: the judge could not be reached. Asking again may give one.
        steps: the judge's reasons.
        parts: scores of a `multi` grader's graders.
    """

    name: str
    type: str
    score: float | None
    passed: bool | None = None
    label: str | None = None
    invalid: str = ""
    error: str = ""
    steps: tuple[str, ...] = ()
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Score:
    """What a grader found, before its threshold.

    Args:
        value: the number.
        label: what a `label_model` chose.
        invalid: why the value is 0.
        steps: the judge's reasons.
        parts: scores of a `multi` grader's graders.
    """

    value: float
    label: str | None = None
    invalid: str = ""
    steps: tuple[str, ...] = ()
    parts: Mapping[str, float] = field(default_factory=dict)


def passes(score: float, threshold: float | None) -> bool | None:
    """Say whether a score reaches its threshold; None where there is none."""
    return None if threshold is None else score >= threshold
