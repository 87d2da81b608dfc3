"""Filters as people write them."""

from __future__ import annotations

from datetime import datetime

import pytest

from edgedistill.capture.completion import Kind
from edgedistill.capture.filters import EVERYTHING, Filter
from edgedistill.capture.where import filter_from, unix_time
from edgedistill.errors import InputError


def test_every_key() -> None:
    terms = [
        "kind=chat",
        "model=a=b",
        "metadata.task=x",
        "metadata.a.b=",
        "created_after=1760000000",
        "created_before=2026-11-24T08:00Z",
        "finish_reason=stop",
        "source=import:a",
        "grader=g",
        "min_score=-0.5",
        "passed=false",
    ]
    assert filter_from(terms) == Filter(
        kind=Kind.CHAT,
        model="a=b",
        metadata={"task": "x", "a.b": ""},
        created_after=1_760_000_000,
        created_before=1_795_507_200,
        finish_reason="stop",
        source="import:a",
        grader="g",
        min_score=-0.5,
        passed=False,
    )
    assert filter_from([]) == EVERYTHING


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        (["model"], "no value; wanted KEY=VALUE"),
        (["modell=a"], "did you mean 'model'?"),
        (["model=a", "model=b"], "'model' stands twice"),
        (["kind=audio"], "wanted chat, embedding, prediction"),
        (["created_after=yesterday"], "time 'yesterday': no time"),
        (["created_after=" + "9" * 5000], "no time"),
        (["min_score=high"], "score 'high': no number"),
        (["passed=yes"], "wanted true or false"),
        (["metadata=a"], "no such key"),
    ],
)
def test_what_is_no_condition(terms: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        filter_from(terms)


def test_a_day_begins_at_midnight_here() -> None:
    assert datetime.fromtimestamp(unix_time("2026-11-24")).astimezone().hour == 0
