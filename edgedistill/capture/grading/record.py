"""A run on disk: `run.json` says what was graded by what and what came of it, `outcomes.jsonl` has every grade."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from edgedistill.capture.grading.outcome import Outcome
from edgedistill.capture.json_text import text_of
from edgedistill.durable import write_durably
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edgedistill.capture.grading.samples import Sample
    from edgedistill.capture.json_text import Json

FILE = "run.json"
OUTCOMES = "outcomes.jsonl"
SAMPLES = "samples.jsonl"
_OUTCOMES = TypeAdapter(list[Outcome])


class Record(BaseModel):
    """A part of `run.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Counts(Record):
    """Samples by what became of them."""

    total: int = 0
    passed: int = 0
    failed: int = 0
    ungated: int = 0
    """Those for which no grader has a threshold."""
    errored: int = 0
    """Those without a score, because a judge gave no answer."""


class Criterion(Record):
    """What one grader found."""

    name: str
    type: str
    model: str = ""
    """The judging model, as it was asked for."""
    threshold: float | None = None
    range: tuple[float, float] | None = None
    """Least and greatest score that there can be; None where that is not known."""
    counts: Counts
    invalid: int = 0
    """Samples whose score is 0 because nothing could be compared."""
    mean: float | None = None
    """Mean score; None without any score."""
    quartiles: tuple[float, float, float, float, float] | None = None
    """Least, first quartile, median, third quartile, greatest."""
    labels: dict[str, int] = {}
    """How often each label was chosen."""


class Run(Record):
    """One evaluation of some samples."""

    id: str
    name: str
    state: Literal["incomplete", "completed"]
    created: str
    """When it began, ISO 8601 in UTC."""
    source: str
    """Where the samples come from."""
    samples: int
    data_sha256: str
    definition_sha256: str
    definition: object
    endpoint: str = ""
    """Address of the judge; empty where none was needed."""
    judge: str = ""
    """The model that judged instead of the definition's; empty where that did."""
    answered_by: str = ""
    """The model that was asked for the samples, and where; empty where they were there already."""
    counts: Counts = Counts()
    criteria: tuple[Criterion, ...] = ()
    requests: int = 0
    """Requests sent to the judge, retries and interrupted parts included."""
    tokens: int = 0
    """Tokens that the judge used, as it counts them."""
    isolation: dict[str, str] = {}
    """What the kernel granted Python graders."""
    versions: dict[str, str] = {}

    @property
    def pass_rate(self) -> float | None:
        """Share of samples that pass, of those with a verdict; None without any."""
        judged = self.counts.passed + self.counts.failed
        return self.counts.passed / judged if judged else None


def verdict_of(outcomes: Sequence[Outcome]) -> bool | None:
    """Return whether a sample passes: each criterion that has a threshold does. None: none has one."""
    verdicts = [outcome.passed for outcome in outcomes if outcome.passed is not None]
    return all(verdicts) if verdicts else None


def is_errored(outcomes: Sequence[Outcome]) -> bool:
    """Say whether a sample lacks a score."""
    return any(outcome.error for outcome in outcomes)


def counts_of(graded: Sequence[Sequence[Outcome]]) -> Counts:
    """Count samples by what became of them."""
    kinds = Counter(_kind(outcomes) for outcomes in graded)
    return Counts(total=len(graded), **kinds)


def criterion_of(
    name: str,
    kind: str,
    outcomes: Sequence[Outcome],
    *,
    model: str = "",
    threshold: float | None = None,
    range_: tuple[float, float] | None = None,
) -> Criterion:
    """Return what one grader found over all samples."""
    scores = sorted(outcome.score for outcome in outcomes if outcome.score is not None)
    return Criterion(
        name=name,
        type=kind,
        model=model,
        threshold=threshold,
        range=range_,
        counts=counts_of([[outcome] for outcome in outcomes]),
        invalid=sum(bool(outcome.invalid) for outcome in outcomes),
        mean=sum(scores) / len(scores) if scores else None,
        quartiles=_quartiles(scores) if scores else None,
        labels=dict(sorted(Counter(outcome.label for outcome in outcomes if outcome.label is not None).items())),
    )


def _kind(outcomes: Sequence[Outcome]) -> str:
    if is_errored(outcomes):
        return "errored"
    verdict = verdict_of(outcomes)
    return {True: "passed", False: "failed", None: "ungated"}[verdict]


def _quartiles(scores: Sequence[float]) -> tuple[float, float, float, float, float]:
    """Return least, quartiles and greatest of sorted scores, interpolated linearly."""
    last = len(scores) - 1
    found = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        low = int(share * last)
        high = min(low + 1, last)
        found.append(scores[low] + (share * last - low) * (scores[high] - scores[low]))
    return (found[0], found[1], found[2], found[3], found[4])


def write_run(folder: Path, run: Run) -> None:
    """Write `run.json`, whole or not at all."""
    text = json.dumps(run.model_dump(mode="json"), indent=2, ensure_ascii=False)
    write_durably(folder / FILE, f"{text}\n".encode("utf-8", "surrogatepass"))


def write_samples(folder: Path, samples: Sequence[Sample]) -> None:
    """Write `samples.jsonl`, what was graded."""
    lines = [text_of({"id": sample.id, "item": sample.item, "sample": sample.sample}) for sample in samples]
    write_durably(folder / SAMPLES, "".join(f"{line}\n" for line in lines).encode())


def run_from_folder(folder: Path) -> Run:
    """Return the run in a folder.

    Raises:
        DataError: there is none, or `run.json` is not what this version writes.
    """
    try:
        return Run.model_validate_json((folder / FILE).read_bytes())
    except OSError as error:
        raise DataError(f"run '{folder}'", found=f"no {FILE}", wanted="a folder of `capture grade`") from error
    except ValidationError as error:
        raise DataError(f"run '{folder}'", found=f"{FILE} cannot be read: {error.errors()[0]['msg']}") from error


def entry_of(sample_id: str, outcomes: Sequence[Outcome]) -> Json:
    """Return the line of `outcomes.jsonl` for one sample."""
    graded = [
        {key: value for key, value in asdict(outcome).items() if value not in ("", (), {})} for outcome in outcomes
    ]
    return {"id": sample_id, "outcomes": graded}


def outcomes_from_entry(entry: Mapping[str, object]) -> list[Outcome]:
    """Return the outcomes in a line of `outcomes.jsonl`.

    Raises:
        DataError: it is no such line.
    """
    try:
        return _OUTCOMES.validate_python(entry.get("outcomes"))
    except ValidationError as error:
        raise DataError(OUTCOMES, found=f"a line that is no list of grades: {error.errors()[0]['msg']}") from error
