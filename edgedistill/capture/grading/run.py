"""Grading many samples: at once, within limits, and on from where a killed run stopped."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Final

from edgedistill.capture.endpoint.client import Client
from edgedistill.capture.endpoint.forms import AnswerForm
from edgedistill.capture.endpoint.limits import Budget, Limits
from edgedistill.capture.endpoint.pool import work_through
from edgedistill.capture.grading.definitions import LabelModel, ScoreModel, TextSimilarity
from edgedistill.capture.grading.graders import Graders, check_runnable, needs_model, range_of, threshold_of
from edgedistill.capture.grading.history import place_of_run
from edgedistill.capture.grading.python_code import CodeLimits
from edgedistill.capture.grading.record import (
    OUTCOMES,
    counts_of,
    criterion_of,
    entry_of,
    is_errored,
    outcomes_from_entry,
    write_run,
    write_samples,
)
from edgedistill.capture.grading.samples import fingerprint
from edgedistill.capture.grading.similarity import COSINE, EMBEDDING_MODEL
from edgedistill.capture.journal import Journal
from edgedistill.errors import DataError
from edgedistill.progress import SILENT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import httpx2

    from edgedistill.capture.endpoint.address import Endpoint
    from edgedistill.capture.endpoint.limits import Clock
    from edgedistill.capture.grading.definitions import AnyGrader
    from edgedistill.capture.grading.evaluation import Evaluation
    from edgedistill.capture.grading.outcome import Outcome
    from edgedistill.capture.grading.record import Run
    from edgedistill.capture.grading.samples import Sample
    from edgedistill.progress import Progress

JOURNAL: Final = OUTCOMES
_LIBRARIES: Final = ("rapidfuzz", "sacrebleu", "rouge-score", "nltk")


@dataclass(frozen=True)
class Settings:
    """How a run grades.

    Args:
        endpoint: where judging models answer; None where no grader needs one.
        limits: how fast and how much they are asked.
        form: how a judge is brought to answer in JSON.
        allow_python: whether the code in definitions may run.
        code_limits: what that code may use.
        embedding_model: the model behind `cosine`.
    """

    endpoint: Endpoint | None = None
    limits: Limits = field(default_factory=Limits)
    form: AnswerForm = AnswerForm.SCHEMA
    allow_python: bool = False
    code_limits: CodeLimits = field(default_factory=CodeLimits)
    embedding_model: str = EMBEDDING_MODEL


@dataclass(frozen=True)
class Graded:
    """A run and where it lies.

    Args:
        run: what came of it.
        folder: its folder.
        outcomes: each sample's, in the order of the samples.
    """

    run: Run
    folder: Path
    outcomes: dict[str, list[Outcome]]


def grade_samples(
    evaluation: Evaluation,
    samples: Sequence[Sample],
    *,
    source: str,
    history: Path,
    settings: Settings | None = None,
    keep_samples: bool = True,
    answered_by: str = "",
    progress: Progress = SILENT,
    transport: httpx2.AsyncBaseTransport | None = None,
    clock: Clock | None = None,
) -> Graded:
    """Grade samples and keep the run in the history.

    A run of the same definition over the same samples that did not end is taken up: what it has graded is not graded
    again, and what it has used counts.

    Args:
        evaluation: what they are graded by.
        samples: at least one.
        source: where they come from, for people.
        history: folder of all runs.
        settings: how to grade.
        keep_samples: whether the run keeps a copy of what it graded. Of a store it should not: what is deleted there
            would live on here.
        answered_by: the model that was asked for the samples.
        progress: where the run reports.
        transport: what carries requests; the network without.
        clock: where time comes from.

    Raises:
        DefinitionError: the evaluation cannot be run with these settings.
        DataError: there are no samples, or an item lacks a key that the definition requires.
        EndpointError: the judge cannot be asked.
        LimitError: no more may be asked; what was graded is kept.
        ResourceError: another process grades the same.
    """
    settings = settings or Settings()
    check_runnable(evaluation, has_endpoint=settings.endpoint is not None, allow_python=settings.allow_python)
    _check_samples(evaluation, samples, source)
    place = place_of_run(
        history, evaluation, data_sha256=fingerprint(samples), samples=len(samples), source=source, settings=settings
    )
    started = place.run.model_copy(update={"answered_by": answered_by})
    with Journal(place.folder / JOURNAL) as journal:
        write_run(place.folder, started)
        if keep_samples:
            write_samples(place.folder, samples)
        job = _Job(evaluation, samples, settings, journal)
        try:
            asyncio.run(job.work(progress, transport=transport, clock=clock))
        finally:
            run = job.summary(started)
            write_run(place.folder, run)
    return Graded(run, place.folder, job.outcomes)


class _Job:
    """One process's share of a run."""

    def __init__(self, evaluation: Evaluation, samples: Sequence[Sample], settings: Settings, journal: Journal) -> None:
        self._evaluation, self._samples, self._settings, self._journal = evaluation, samples, settings, journal
        self._budget = Budget(settings.limits, journal)
        self._isolation: dict[str, str] = {}
        graded = {str(entry["id"]): outcomes_from_entry(entry) for entry in journal.entries if "id" in entry}
        self.outcomes = {sample_id: outcomes for sample_id, outcomes in graded.items() if not is_errored(outcomes)}

    async def work(
        self, progress: Progress, *, transport: httpx2.AsyncBaseTransport | None, clock: Clock | None
    ) -> None:
        """Grade what is not graded yet."""
        settings = self._settings
        async with AsyncExitStack() as stack:
            client = None
            if settings.endpoint is not None and any(map(needs_model, self._evaluation.graders)):
                client = await stack.enter_async_context(
                    Client(settings.endpoint, settings.limits, budget=self._budget, clock=clock, transport=transport)
                )
            graders = await stack.enter_async_context(
                Graders(
                    client,
                    form=settings.form,
                    code_limits=settings.code_limits,
                    embedding_model=settings.embedding_model,
                )
            )
            left = [sample for sample in self._samples if sample.id not in self.outcomes]
            with progress.track("grading", total=len(self._samples)) as tracker:
                tracker.advance(len(self._samples) - len(left))

                async def grade(sample: Sample) -> None:
                    outcomes = [await graders.grade(grader, sample) for grader in self._evaluation.criteria]
                    self._journal.append(entry_of(sample.id, outcomes))
                    self.outcomes[sample.id] = outcomes
                    tracker.advance()

                try:
                    await work_through(left, grade, workers=settings.limits.concurrency)
                finally:
                    self._isolation = {key: str(value) for key, value in graders.isolation.items()}

    def summary(self, run: Run) -> Run:
        """Return the run with what is known now; the same for a run in one go and one in pieces."""
        done = [self.outcomes[sample.id] for sample in self._samples if sample.id in self.outcomes]
        self.outcomes = {sample.id: self.outcomes[sample.id] for sample in self._samples if sample.id in self.outcomes}
        complete = len(done) == len(self._samples) and not any(map(is_errored, done))
        return run.model_copy(
            update={
                "state": "completed" if complete else "incomplete",
                "counts": counts_of(done),
                "criteria": tuple(
                    criterion_of(
                        grader.title,
                        grader.type,
                        [outcomes[index] for outcomes in done],
                        model=self._model_of(grader),
                        threshold=threshold_of(grader),
                        range_=range_of(grader),
                    )
                    for index, grader in enumerate(self._evaluation.criteria)
                ),
                "requests": self._budget.requests,
                "tokens": self._budget.tokens,
                "isolation": self._isolation or run.isolation,
                "versions": _versions(),
            }
        )

    def _model_of(self, grader: AnyGrader) -> str:
        instead = self._settings.endpoint.model if self._settings.endpoint else ""
        if isinstance(grader, (LabelModel, ScoreModel)):
            return instead or grader.model
        if isinstance(grader, TextSimilarity) and grader.evaluation_metric == COSINE:
            return self._settings.embedding_model
        return ""


def _check_samples(evaluation: Evaluation, samples: Sequence[Sample], source: str) -> None:
    if not samples:
        raise DataError(source, found="nothing to grade", wanted="at least one sample")
    for sample in samples:
        missing = [key for key in evaluation.required if key not in sample.item]
        if missing:
            raise DataError(
                f"{source}, sample '{sample.id}'",
                found=f"its item has no {missing[0]!r}; it has: {', '.join(sorted(sample.item)) or 'nothing'}",
                wanted="what the definition's item_schema requires",
            )


def _versions() -> dict[str, str]:
    found = {}
    for name in ("edgedistill", *_LIBRARIES):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
