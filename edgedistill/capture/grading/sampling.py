"""The data source of a published evaluation run: where items come from, and the model that answers them.

Source: the OpenAI API reference, "Evals", create run (openai-python 3.54: `types/evals/run_create_params`).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError

from edgedistill.capture.endpoint.answers import answer_from_response
from edgedistill.capture.endpoint.client import Client, RequestError
from edgedistill.capture.endpoint.limits import Budget, Limits
from edgedistill.capture.endpoint.pool import work_through
from edgedistill.capture.filters import Filter
from edgedistill.capture.grading.definitions import DefinitionError, Message, Part
from edgedistill.capture.grading.judge import content_of
from edgedistill.capture.grading.samples import Sample, completed
from edgedistill.capture.grading.templates import MissingValueError, parsed_template
from edgedistill.capture.journal import Journal
from edgedistill.capture.json_text import Json, canonical, list_at, object_at, text_at
from edgedistill.errors import GateError, UnsupportedError
from edgedistill.progress import SILENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import httpx2

    from edgedistill.capture.endpoint.address import Endpoint
    from edgedistill.capture.endpoint.limits import Clock
    from edgedistill.progress import Progress

TYPES: Final = ("jsonl", "completions")


class Template(Part):
    """Messages with templates of the item."""

    type: Literal["template"]
    template: tuple[Message, ...] = Field(min_length=1)


class ItemReference(Part):
    """Messages that stand in the item: "item.input"."""

    type: Literal["item_reference"]
    item_reference: str


class Sampling(Part):
    """How the model samples; passed on as it is."""

    seed: int | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    max_completions_tokens: int | None = Field(default=None, ge=1)
    reasoning_effort: str | None = None
    response_format: dict[str, object] | None = None
    tools: tuple[dict[str, object], ...] | None = None


class FileContent(Part):
    """Rows in the definition itself."""

    type: Literal["file_content"]
    content: tuple[dict[str, object], ...]


class FileId(Part):
    """A file that the service has."""

    type: Literal["file_id"]
    id: str


class StoredCompletions(Part):
    """Completions of the store."""

    type: Literal["stored_completions"]
    metadata: dict[str, str] | None = None
    model: str | None = None
    created_after: int | None = None
    created_before: int | None = None
    limit: int | None = Field(default=None, ge=1)

    @property
    def filter(self) -> Filter:
        """The same as a filter of the store; the published times are inclusive."""
        return Filter(
            model=self.model,
            metadata=self.metadata or {},
            created_after=None if self.created_after is None else self.created_after - 1,
            created_before=None if self.created_before is None else self.created_before + 1,
        )


Rows = Annotated[FileContent | FileId | StoredCompletions, Field(discriminator="type")]


class DataSource(Part):
    """Where a run's items come from, and who answers them."""

    type: Literal["jsonl", "completions"]
    source: Rows
    input_messages: Annotated[Template | ItemReference, Field(discriminator="type")] | None = None
    """What the model is asked; without it, samples are graded as they are."""
    model: str | None = None
    """The model that answers."""
    sampling_params: Sampling | None = None


@dataclass(frozen=True)
class Sampler:
    """How items are answered.

    Args:
        source: the run's data source; it has `input_messages`.
        endpoint: where the model answers; its `model` stands for the definition's.
        limits: how fast and how much it is asked.
    """

    source: DataSource
    endpoint: Endpoint
    limits: Limits = field(default_factory=Limits)


_SOURCE = TypeAdapter(DataSource)


def data_source_from_document(document: object, *, thing: str) -> DataSource:
    """Return the data source of a run: of the body that creates one, or what its retrieval gives.

    Raises:
        DefinitionError: it has none, or one that is wrong.
        UnsupportedError: a type of source that is not run here.
    """
    found = object_at(document, "data_source")
    kind = found.get("type")
    if not found:
        raise DefinitionError(thing, found="no data_source", wanted="a run in the published form")
    if kind not in TYPES:
        raise UnsupportedError(f"{thing}, data_source", found=f"type {kind!r}", wanted=", ".join(TYPES))
    try:
        source = _SOURCE.validate_python(found)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        path = ".".join(str(step) for step in detail["loc"])
        raise DefinitionError(f"{thing}, data_source.{path}", found=detail["msg"]) from error
    if isinstance(source.input_messages, Template):
        for message in source.input_messages.template:
            parsed_template(message.content if isinstance(message.content, str) else "")
    return source


def answered(
    items: Sequence[Sample],
    sampler: Sampler,
    *,
    history: Path,
    progress: Progress = SILENT,
    transport: httpx2.AsyncBaseTransport | None = None,
    clock: Clock | None = None,
) -> list[Sample]:
    """Return the items with what the model says to each.

    Answers are kept in the history until `forget_answers`, so that a killed call goes on where it stopped.

    Args:
        items: what is asked about.
        sampler: how.
        history: folder of all grading runs.
        progress: where it reports.
        transport: what carries requests; the network without.
        clock: where time comes from.

    Raises:
        DefinitionError: an item has not what the messages name.
        GateError: some items got no answer; those of the others are kept.
        EndpointError: the model cannot be asked.
        LimitError: no more may be asked; what was answered is kept.
    """
    bodies = {item.id: request_body(sampler.source, item) for item in items}
    with Journal(_file(history, items, sampler)) as journal:
        answers = {name: entry for entry in journal.entries if (name := text_at(entry, "id")) is not None}
        left = [item for item in items if item.id not in answers]
        failures: Counter[str] = Counter()

        async def run() -> None:
            client = Client(
                sampler.endpoint,
                sampler.limits,
                budget=Budget(sampler.limits, journal),
                clock=clock,
                transport=transport,
            )
            with progress.track("answering", total=len(items)) as tracker:
                tracker.advance(len(items) - len(left))

                async def ask(item: Sample) -> None:
                    try:
                        answer = await client.complete(bodies[item.id])
                    except RequestError as error:
                        failures[error.reason] += 1
                        return
                    answers[item.id] = {"id": item.id, "response": answer.response}
                    journal.append(answers[item.id])
                    tracker.advance()

                async with client:
                    await work_through(left, ask, workers=sampler.limits.concurrency)

        asyncio.run(run())
    if failures:
        ((reason, _),) = failures.most_common(1)
        raise GateError(
            f"answers to {len(items)} items",
            found=f"{failures.total()} have none: {reason}",
            fix="the same command asks for them again",
        )
    return [_with_answer(item, answers[item.id]) for item in items]


def forget_answers(items: Sequence[Sample], sampler: Sampler, *, history: Path) -> None:
    """Remove the answers that were kept: the run that they were for is complete, and the next one asks anew."""
    _file(history, items, sampler).unlink(missing_ok=True)


def request_body(source: DataSource, item: Sample) -> Json:
    """Return the chat completion request that asks the model about an item.

    Raises:
        DefinitionError: the item has not what the messages name.
    """
    params = source.sampling_params.model_dump(exclude_none=True) if source.sampling_params else {}
    longest = params.pop("max_completions_tokens", None)
    limits = {} if longest is None else {"max_completion_tokens": longest}
    return {"model": source.model, "messages": _messages(source, item), **limits, **params}


def _messages(source: DataSource, item: Sample) -> list[object]:
    asked = source.input_messages
    try:
        if isinstance(asked, Template):
            names = item.namespaces
            return [{"role": message.role, "content": content_of(message, names)} for message in asked.template]
        assert asked is not None  # noqa: S101 - a sampler has it
        return _referred(asked.item_reference, item)
    except MissingValueError as error:
        raise DefinitionError(f"item '{item.id}'", found=str(error), wanted="what input_messages name") from error


def _referred(path: str, item: Sample) -> list[object]:
    (reference,) = parsed_template(f"{{{{{path}}}}}")
    assert not isinstance(reference, str)  # noqa: S101 - it is one hole
    value = reference.value(item.namespaces)
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if isinstance(value, list) and value and all(isinstance(message, dict) and "role" in message for message in value):
        return value
    raise DefinitionError(f"item '{item.id}', {path}", found="no messages", wanted="a list of messages, or a text")


def _with_answer(item: Sample, entry: Mapping[str, object]) -> Sample:
    response = object_at(entry, "response")
    answer = answer_from_response(response, requests=0)
    sample: Json = {"choices": list_at(response, "choices"), "model": response.get("model")}
    if answer is not None:
        sample["finish_reason"] = answer.finish_reason
    return Sample(item.id, item.item, completed(sample))


def _file(history: Path, items: Sequence[Sample], sampler: Sampler) -> Path:
    endpoint = sampler.endpoint
    what = [sampler.source.model_dump(mode="json"), endpoint.address, endpoint.model]
    asked = hashlib.sha256(canonical([what, [[item.id, item.item] for item in items]])).hexdigest()
    return history / f"answers-{asked[:16]}.jsonl"
