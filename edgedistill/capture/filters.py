"""Which completions are meant."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgedistill.capture.json_text import writable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edgedistill.capture.completion import Kind

Value = str | int | float
HAS_PAIR = "c.seq IN (SELECT seq FROM metadata WHERE key = ? AND value = ?)"
HAS_GRADE = "EXISTS (SELECT 1 FROM grade g WHERE g.seq = c.seq"


@dataclass(frozen=True)
class Filter:
    """Conditions that a completion has to meet, all of them; without any, all completions meet it.

    Args:
        kind: chat, embedding or prediction.
        model: the model that answered, or the one that was asked for ("gpt-4o" and "gpt-4o-2024-08-06").
        metadata: pairs that it must have.
        created_after: unix s, exclusive.
        created_before: unix s, exclusive.
        finish_reason: "stop", "length", ...
        source: where it came from.
        grader: it has a grade of this grader; without one, `min_score` and `passed` mean any grader.
        min_score: a grade of at least this.
        passed: a grade that passed, or one that did not.
    """

    kind: Kind | None = None
    model: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    created_after: int | None = None
    created_before: int | None = None
    finish_reason: str | None = None
    source: str | None = None
    grader: str | None = None
    min_score: float | None = None
    passed: bool | None = None


EVERYTHING = Filter()


def condition(chosen: Filter) -> tuple[str, list[Value]]:
    """Return the filter as a condition of SQL on a completion `c`, and its values."""
    terms = list(_terms(chosen))
    text = " AND ".join(term for term, _ in terms) or "1"
    values = [value for _, found in terms for value in found]
    return text, [writable(value) if isinstance(value, str) else value for value in values]


def _terms(chosen: Filter) -> Iterator[tuple[str, list[Value]]]:
    plain: tuple[tuple[str, Value | None], ...] = (
        ("c.kind = ?", chosen.kind),
        ("c.created > ?", chosen.created_after),
        ("c.created < ?", chosen.created_before),
        ("c.finish_reason = ?", chosen.finish_reason),
        ("c.source = ?", chosen.source),
    )
    yield from ((term, [value]) for term, value in plain if value is not None)
    if chosen.model is not None:
        yield "(c.model = ? OR c.requested_model = ?)", [chosen.model, chosen.model]
    for key, value in chosen.metadata.items():
        yield HAS_PAIR, [key, value]
    if (chosen.grader, chosen.min_score, chosen.passed) != (None, None, None):
        yield _grade_term(chosen)


def _grade_term(chosen: Filter) -> tuple[str, list[Value]]:
    term, values = HAS_GRADE, list[Value]()
    if chosen.grader is not None:
        term += " AND g.grader = ?"
        values.append(chosen.grader)
    if chosen.min_score is not None:
        term += " AND g.score >= ?"
        values.append(chosen.min_score)
    if chosen.passed is not None:
        term += " AND g.passed = ?"
        values.append(int(chosen.passed))
    return f"{term})", values
