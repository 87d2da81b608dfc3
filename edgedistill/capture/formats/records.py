"""A completion as one JSON object with everything in it: a line of our own JSONL, and what `--json` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgedistill.capture.completion import Completion
    from edgedistill.capture.json_text import Json


def record_of(completion: Completion) -> Json:
    """Return everything that is known of a completion; its arrays by their sha256."""
    grades = {name: {"score": grade.score, "passed": grade.passed} for name, grade in completion.grades.items()}
    return {
        "id": completion.id,
        "kind": str(completion.kind),
        "created": completion.created,
        "model": completion.model,
        "metadata": dict(completion.metadata),
        "finish_reason": completion.finish_reason,
        "latency_ms": completion.latency_ms,
        "source": completion.source,
        "redaction": completion.redaction,
        "grades": grades,
        "arrays": dict(completion.arrays),
        "request": completion.request,
        "response": completion.response,
    }
