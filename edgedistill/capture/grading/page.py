"""The report page of a grading run: one HTML file, no network, no script."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NamedTuple

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from edgedistill.capture.grading.history import Place, comparison_of, outcomes_of
from edgedistill.capture.grading.record import is_errored, run_from_folder, verdict_of
from edgedistill.capture.json_text import object_at, text_of
from edgedistill.durable import write_durably
from edgedistill.report.interval import wilson_interval
from edgedistill.report.wording import count, percent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edgedistill.capture.grading.outcome import Outcome
    from edgedistill.capture.grading.record import Criterion, Run
    from edgedistill.capture.grading.samples import Sample

PAGE: Final = "report.html"
MAX_SAMPLES: Final = 400
"""Samples that the page shows in full; `outcomes.jsonl` has all."""
MAX_TEXT: Final = 4000
"""Characters of one text on the page."""
_BINS: Final = 20
_STATES: Final = {True: "passed", False: "failed", None: "not-run"}


class Bar(NamedTuple):
    """One bar of a histogram of scores."""

    low: float
    high: float
    samples: int
    height: float
    """From 0 to 1, of the highest."""
    passes: bool | None
    """Whether at least half of its samples do; None without a threshold."""


class Row(NamedTuple):
    """One sample on the page."""

    id: str
    state: str
    outcomes: Sequence[Outcome]
    prompt: str
    answer: str
    item: str
    flip: str
    """ "better" or "worse" than in the run compared with; empty where equal."""


def write_page(folder: Path, *, samples: Sequence[Sample] = (), before: Place | None = None) -> Path:
    """Write `report.html` of a run; return its path.

    Args:
        folder: the run's.
        samples: what was graded, for its text; those that are missing are shown by id and grades alone.
        before: an earlier run to compare with.

    Raises:
        DataError: the run cannot be read.
    """
    run = run_from_folder(folder)
    path = folder / PAGE
    page = page_of(run, outcomes_of(folder), samples, folder=folder, before=before)
    write_durably(path, page.encode("utf-8", "replace"))
    return path


def page_of(
    run: Run,
    outcomes: Mapping[str, Sequence[Outcome]],
    samples: Sequence[Sample],
    *,
    folder: Path,
    before: Place | None = None,
) -> str:
    """Return the page as HTML. Every text from outside is escaped."""
    comparison = comparison_of(Place(folder, run), before) if before else None
    flips = dict.fromkeys(comparison.better, "better") | dict.fromkeys(comparison.worse, "worse") if comparison else {}
    rows = rows_of_page(outcomes, samples, flips)
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            run=run,
            rate=_rate(run),
            histograms=[(criterion, histogram(criterion, outcomes)) for criterion in run.criteria],
            rows=rows[:MAX_SAMPLES],
            left_out=len(rows) - MAX_SAMPLES,
            comparison=comparison,
            before=before.run if before else None,
            definition=json.dumps(run.definition, indent=2, ensure_ascii=False),
        )
    )


def histogram(criterion: Criterion, outcomes: Mapping[str, Sequence[Outcome]]) -> list[Bar]:
    """Return the bars of a grader's scores over their range; none where all scores are equal or there are none."""
    scores = [
        outcome.score
        for graded in outcomes.values()
        for outcome in graded
        if outcome.name == criterion.name and outcome.score is not None
    ]
    low, high = (min(scores), max(scores)) if scores else (0.0, 0.0)
    if criterion.range is not None:
        low, high = criterion.range
    elif low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    if not scores or low == high:
        return []
    counts, passing = [0] * _BINS, [0] * _BINS
    for score in scores:
        place = min(_BINS - 1, int((score - low) / (high - low) * _BINS))
        counts[place] += 1
        passing[place] += criterion.threshold is not None and score >= criterion.threshold
    width = (high - low) / _BINS
    return [
        Bar(
            low + index * width,
            low + (index + 1) * width,
            found,
            found / max(counts),
            None if criterion.threshold is None else 2 * passing[index] >= found,
        )
        for index, found in enumerate(counts)
    ]


def rows_of_page(
    outcomes: Mapping[str, Sequence[Outcome]], samples: Sequence[Sample], flips: Mapping[str, str]
) -> list[Row]:
    """Return the samples: those that got worse, then those without a grade, failed, got better, and the rest."""
    known = {sample.id: sample for sample in samples}
    rows = [_row(name, graded, known.get(name), flips.get(name, "")) for name, graded in outcomes.items()]
    return sorted(rows, key=_urgency)


def _urgency(row: Row) -> int:
    if row.flip == "worse":
        return 0
    return {"errored": 1, "failed": 2}.get(row.state, 3 if row.flip else 4)


def _row(name: str, graded: Sequence[Outcome], sample: Sample | None, flip: str) -> Row:
    state = "errored" if is_errored(graded) else _STATES[verdict_of(graded)]
    if sample is None:
        return Row(name, state, graded, "", "", "", flip)
    answer = sample.sample.get("output_text")
    return Row(
        id=name,
        state=state,
        outcomes=graded,
        prompt=_prompt(sample),
        answer=_cut(answer if isinstance(answer, str) else text_of(sample.sample)),
        item=_cut(json.dumps(sample.item, indent=2, ensure_ascii=False)),
        flip=flip,
    )


def _prompt(sample: Sample) -> str:
    """Return what people recognise a sample by: the first text in its item, the prompt before others."""
    for key in ("prompt", "input", "question", "text", *sample.item):
        value = sample.item.get(key)
        if isinstance(value, str) and value.strip():
            return _cut(value)
    return _cut(text_of(object_at(sample.item, "metadata")) if "metadata" in sample.item else "")


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}… ({len(text) - MAX_TEXT:,} characters more)"


def _rate(run: Run) -> dict[str, str] | None:
    rate = run.pass_rate
    if rate is None:
        return None
    judged = run.counts.passed + run.counts.failed
    low, high = wilson_interval(rate, judged)
    return {"share": percent(rate), "interval": f"{percent(low)} to {percent(high)}", "judged": count(judged)}


def _environment() -> Environment:
    environment = Environment(
        loader=ChoiceLoader(
            [PackageLoader("edgedistill.capture.grading", ""), PackageLoader("edgedistill.report", "")]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update({"count": count, "percent": percent, "score": _score})
    return environment


def _score(value: float | None) -> str:
    return "—" if value is None else f"{value:.3f}".rstrip("0").rstrip(".")
