"""Grading one sample by one grader."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

from edgedistill.capture.endpoint.client import RequestError
from edgedistill.capture.endpoint.forms import AnswerForm
from edgedistill.capture.grading.definitions import (
    DefinitionError,
    LabelModel,
    Multi,
    PythonCode,
    ScoreModel,
    StringCheck,
    TextSimilarity,
)
from edgedistill.capture.grading.formula import FormulaError, parsed_formula
from edgedistill.capture.grading.judge import request_body, score_of_answer
from edgedistill.capture.grading.outcome import Outcome, Score, passes
from edgedistill.capture.grading.python_code import CodeLimits, PythonProcess
from edgedistill.capture.grading.similarity import COSINE, EMBEDDING_MODEL, cosine, similarity
from edgedistill.capture.grading.templates import MissingValueError, rendered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedistill.capture.endpoint.client import Client
    from edgedistill.capture.grading.definitions import AnyGrader
    from edgedistill.capture.grading.evaluation import Evaluation
    from edgedistill.capture.grading.samples import Sample
    from edgedistill.capture.json_text import Json


class Graders:
    """Grades samples. Use it as an asynchronous context, after `check_runnable`.

    Args:
        client: where judging models answer; None where no grader needs one.
        form: how a judge is brought to answer in JSON.
        code_limits: what that code may use.
        embedding_model: the model behind `cosine`.
    """

    def __init__(
        self,
        client: Client | None = None,
        *,
        form: AnswerForm = AnswerForm.SCHEMA,
        code_limits: CodeLimits | None = None,
        embedding_model: str = EMBEDDING_MODEL,
    ) -> None:
        self._client = client
        self._form = form
        self._code_limits = code_limits or CodeLimits()
        self._embedding_model = embedding_model
        self._processes: dict[str, PythonProcess] = {}
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._open.aclose()

    @property
    def isolation(self) -> Json:
        """What the kernel granted the Python graders that ran."""
        return next((process.isolation for process in self._processes.values() if process.isolation), {})

    async def grade(self, grader: AnyGrader, sample: Sample) -> Outcome:
        """Return the outcome of one grader for one sample.

        Raises:
            EndpointError: the judge can not be asked at all.
            LimitError: no more may be asked.
        """
        try:
            score = await self._score(grader, sample)
        except RequestError as error:
            return Outcome(grader.title, grader.type, score=None, error=error.reason)
        passed = passes(score.value, threshold_of(grader))
        if passed and score.invalid and not isinstance(grader, Multi):
            passed = False  # nothing was compared; a combination may pass by its other parts
        return Outcome(
            grader.title,
            grader.type,
            score=score.value,
            passed=passed,
            label=score.label,
            invalid=score.invalid,
            steps=score.steps,
            parts=score.parts,
        )

    async def _score(self, grader: AnyGrader, sample: Sample) -> Score:
        try:
            if isinstance(grader, StringCheck):
                return Score(float(string_check(grader, sample.namespaces)))
            if isinstance(grader, TextSimilarity):
                return Score(await self._similarity(grader, sample.namespaces))
            if isinstance(grader, (LabelModel, ScoreModel)):
                body = request_body(grader, sample.namespaces, form=self._form)
                return score_of_answer(grader, await self._model().complete(body))
            if isinstance(grader, PythonCode):
                return await self._process(grader).score(sample)
            return await self._combined(grader, sample)
        except MissingValueError as error:
            return Score(0.0, invalid=str(error))

    async def _similarity(self, grader: TextSimilarity, namespaces: Mapping[str, object]) -> float:
        text, reference = rendered(grader.input, namespaces), rendered(grader.reference, namespaces)
        if grader.evaluation_metric != COSINE:
            return similarity(grader.evaluation_metric, text, reference)
        vectors = await self._model().embed([text, reference], model=self._embedding_model)
        return cosine(*vectors)

    async def _combined(self, grader: Multi, sample: Sample) -> Score:
        parts = {name: await self._score(part, sample) for name, part in grader.by_name.items()}
        scores = {name: score.value for name, score in parts.items()}
        invalid = "; ".join(f"{name}: {score.invalid}" for name, score in parts.items() if score.invalid)
        steps = tuple(f"{name}: {step}" for name, score in parts.items() for step in score.steps)
        try:
            value = parsed_formula(grader.calculate_output, names=scores)(scores)
        except FormulaError as error:
            return Score(0.0, invalid=str(error), parts=scores, steps=steps)
        return Score(value, invalid=invalid, parts=scores, steps=steps)

    def _model(self) -> Client:
        assert self._client is not None  # noqa: S101 - `check` saw to it
        return self._client

    def _process(self, grader: PythonCode) -> PythonProcess:
        process = self._processes.get(grader.source)
        if process is None:
            process = self._processes[grader.source] = PythonProcess(grader, self._code_limits)
            self._open.push_async_callback(process.close)
        return process


def check_runnable(evaluation: Evaluation, *, has_endpoint: bool, allow_python: bool) -> None:
    """Refuse an evaluation that could not be run to its end.

    Raises:
        DefinitionError: it needs a model and there is no endpoint, or it has code and that is not allowed.
    """
    for grader in evaluation.graders:
        if isinstance(grader, PythonCode) and not allow_python:
            raise DefinitionError(
                f"grader '{grader.title}'",
                found="it runs Python code of the definition",
                wanted="your consent",
                fix="read the code, then run again with --allow-python",
            )
        if needs_model(grader) and not has_endpoint:
            raise DefinitionError(
                f"grader '{grader.title}'",
                found="it asks a model, and no endpoint is given",
                fix="run again with --endpoint http://127.0.0.1:8000/v1 or another compatible address",
            )


def needs_model(grader: AnyGrader) -> bool:
    """Say whether a grader asks a model."""
    if isinstance(grader, TextSimilarity):
        return grader.evaluation_metric == COSINE
    return isinstance(grader, (LabelModel, ScoreModel))


def threshold_of(grader: AnyGrader) -> float | None:
    """Return the least score that passes; None where the definition has none. Checks and labels pass with 1."""
    if isinstance(grader, (StringCheck, LabelModel)):
        return 1.0
    return grader.pass_threshold


def range_of(grader: AnyGrader) -> tuple[float, float] | None:
    """Return the least and the greatest score that a grader can give; None where the definition does not say."""
    if isinstance(grader, ScoreModel):
        return grader.range
    if isinstance(grader, TextSimilarity) and grader.evaluation_metric == COSINE:
        return (-1.0, 1.0)
    return None if isinstance(grader, (PythonCode, Multi)) else (0.0, 1.0)


def string_check(grader: StringCheck, namespaces: Mapping[str, object]) -> bool:
    """Return what a string check finds.

    Raises:
        MissingValueError: a template names what the sample does not have.
    """
    text, reference = rendered(grader.input, namespaces), rendered(grader.reference, namespaces)
    match grader.operation:
        case "eq":
            return text == reference
        case "ne" | "neq":
            return text != reference
        case "like":
            return reference in text
        case _:
            return reference.casefold() in text.casefold()
