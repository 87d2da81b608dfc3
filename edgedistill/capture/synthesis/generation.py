"""The other first stage: the teacher makes up examples for a task."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from edgedistill.capture.completion import evened
from edgedistill.capture.duplicates import NearIndex
from edgedistill.capture.endpoint.client import Client, RequestError
from edgedistill.capture.endpoint.forms import AnswerForm, formed
from edgedistill.capture.endpoint.limits import Budget, Limits
from edgedistill.capture.endpoint.pool import work_through
from edgedistill.capture.journal import Journal
from edgedistill.capture.json_text import Json, list_at, text_at, whole_at
from edgedistill.capture.synthesis.answers import Reasoning, Thought, label_of
from edgedistill.capture.synthesis.examples import Example, answer_schema, answer_words, examples_in
from edgedistill.capture.synthesis.journalled import JOURNAL, SUMMARY, claim_folder, write_json, write_rows
from edgedistill.capture.synthesis.labelling import FEW_PROMPTS, MIN_PROMPTS, MIN_SUCCESS_RATIO, Labelled, agrees
from edgedistill.capture.synthesis.prompts import Prompt
from edgedistill.capture.synthesis.task import subjects
from edgedistill.errors import GateError, InputError
from edgedistill.progress import SILENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import httpx2

    from edgedistill.capture.endpoint.address import Endpoint
    from edgedistill.capture.endpoint.limits import Clock
    from edgedistill.capture.synthesis.task import Task
    from edgedistill.progress import Progress

PATIENCE: Final = 4
"""Times as many examples may be asked for as are wanted, before a teacher that repeats itself is given up."""


@dataclass(frozen=True)
class Generation:
    """What a teacher makes up.

    Args:
        task: what for.
        count: examples, those of both sets together, at least 10.
        per_request: examples asked for at once, at least 1.
        topics: what they are about; empty takes a list of everyday subjects.
        domain: a sentence that goes into every request: "All texts are messages to a bank."
        validation_share: share of the examples that go into the validation set, from 0 to 1.
        similarity: share of five-character pieces in common from which two examples count as one, from 0.5 to 1.
        check: whether the teacher answers each example afresh, and only those are kept that it answers as it made them.
        form: how it is brought to answer in JSON.
        sampling: further keys of each request.
        min_success_ratio: least share of requests that have to be answered, from 0 to 1.
        seed: of the choice of topics and manners.
    """

    task: Task
    count: int
    per_request: int = 5
    topics: tuple[str, ...] = ()
    domain: str = ""
    validation_share: float = 0.1
    similarity: float = 0.7
    check: bool = False
    form: AnswerForm = AnswerForm.SCHEMA
    sampling: Mapping[str, object] = field(default_factory=lambda: {"temperature": 1.0})
    min_success_ratio: float = MIN_SUCCESS_RATIO
    seed: int = 0


class Order(NamedTuple):
    """One request: what it is to bring. A pure function of its number and the seed."""

    number: int
    topic: str
    manner: str
    label: str


def generate_examples(
    generation: Generation,
    *,
    endpoint: Endpoint,
    folder: Path,
    limits: Limits | None = None,
    progress: Progress = SILENT,
    transport: httpx2.AsyncBaseTransport | None = None,
    clock: Clock | None = None,
) -> Labelled:
    """Let a teacher make up examples; write `train.jsonl`, `validation.jsonl`, `pairs.jsonl` and `summary.json`.

    The same call goes on where a killed one stopped, and ends with the same examples if the teacher answers the same.

    Args:
        generation: what it makes up.
        endpoint: the teacher.
        folder: where the files go.
        limits: how fast and how much it is asked.
        progress: where the job reports.
        transport: what carries requests; the network without.
        clock: where time comes from.

    Raises:
        InputError: a number is out of its range, or the task cannot be checked.
        DataError: the folder holds another job.
        GateError: too many requests failed, or the teacher repeats itself. What is there is kept.
        EndpointError: the teacher cannot be asked.
        LimitError: no more may be asked; what was made is kept.
    """
    _check(generation)
    claim_folder(folder, _job(generation, endpoint))
    with Journal(folder / JOURNAL) as journal:
        work = _Work(generation, endpoint, limits or Limits(), journal)
        asyncio.run(work.run(progress, transport=transport, clock=clock))
        summary = work.write(folder)
    return Labelled(summary, folder)


class _Work:
    """One process's share of a generation."""

    def __init__(self, generation: Generation, endpoint: Endpoint, limits: Limits, journal: Journal) -> None:
        self._generation, self._endpoint, self._limits, self._journal = generation, endpoint, limits, journal
        self._budget = Budget(limits, journal)
        self._orders = orders_of(generation)
        self._answered: dict[int, Json] = {
            number: entry
            for entry in journal.entries
            if (number := whole_at(entry, "number")) is not None and not entry.get("failure")
        }
        self._failed: dict[int, str] = {}
        self._asked = 0
        self._different: list[Example] = []
        self._made, self._wrong = 0, Counter[str]()
        self._near = NearIndex(generation.similarity)

    async def run(
        self, progress: Progress, *, transport: httpx2.AsyncBaseTransport | None, clock: Clock | None
    ) -> None:
        """Ask, wave by wave, until there are enough."""
        client = Client(self._endpoint, self._limits, budget=self._budget, clock=clock, transport=transport)
        with progress.track("generating", total=self._generation.count) as tracker:
            async with client:
                shown = 0
                while (have := min(len(self._different), self._generation.count)) < self._generation.count:
                    tracker.advance(have - shown, note=f"{len(self._failed)} failed" if self._failed else "")
                    shown = have
                    wave = range(self._asked, self._asked + self._wave(have))
                    left = [number for number in wave if number not in self._answered]
                    await work_through(left, lambda number: self._ask(client, number), workers=self._limits.concurrency)
                    self._take(wave)
                tracker.advance(self._generation.count - shown)

    def _wave(self, have: int) -> int:
        """Return how many more requests to send; it depends on answers alone, so that a killed run takes the same way.

        Raises:
            GateError: there have been too many already.
        """
        wanted, each, asked = self._generation.count, self._generation.per_request, self._asked
        if asked * each >= PATIENCE * wanted + each:
            raise GateError(
                f"{wanted} examples",
                found=f"{have} that differ and are right, of {asked * each} asked for",
                fix="name more topics (--topics), or ask for fewer; what is there is kept",
            )
        usable = max(0.25, have / (asked * each)) if asked else 1.0
        return math.ceil((wanted - have) / (each * usable))

    async def _ask(self, client: Client, number: int) -> None:
        order = self._order(number)
        entry: Json = {"number": number}
        try:
            answer = await client.complete(request_body(self._generation, order))
            task, constants = self._generation.task, constants_of(self._generation.task, order)
            good, wrong = examples_in(answer.text, task, constants, topic=order.topic)
            if self._generation.check:
                good, doubted = await self._checked(client, good)
                wrong += doubted
        except RequestError as error:
            self._failed[number] = error.reason
            self._journal.append({**entry, "failure": error.reason})
            self._stop_if_hopeless()
            return
        entry |= {"model": answer.model, "topic": order.topic, "wrong": wrong}
        entry["examples"] = [dict(example.fields) for example in good]
        self._journal.append(entry)
        self._answered[number] = entry

    async def _checked(self, client: Client, examples: Sequence[Example]) -> tuple[list[Example], list[str]]:
        """Return the examples that the teacher answers as it made them."""
        agreed = await asyncio.gather(*(self._agrees(client, example) for example in examples))
        kept = [example for example, same in zip(examples, agreed, strict=True) if same]
        return kept, ["an answer that the teacher does not give again"] * (len(examples) - len(kept))

    async def _agrees(self, client: Client, example: Example) -> bool:
        task = self._generation.task
        *question, gold = example.messages(task)
        answer = await client.complete({"model": None, "messages": question, "temperature": 0})
        label = label_of(answer, thought=Thought.NONE, reasoning=Reasoning.STRIP, task=task)
        return not label.failure and agrees(str(gold["content"]), label.text, task)

    def _stop_if_hopeless(self) -> None:
        done = len(self._answered) + len(self._failed)
        if done >= MIN_PROMPTS and len(self._failed) > (1 - self._generation.min_success_ratio) * done:
            ((reason, times),) = Counter(self._failed.values()).most_common(1)
            raise GateError(
                f"{done} requests",
                found=f"{len(self._failed)} failed, {times} of them: {reason}",
                wanted=f"at least {self._generation.min_success_ratio:g} answered",
                fix="what was made is kept; the same command goes on",
            )

    def _order(self, number: int) -> Order:
        return self._orders(number)

    def _take(self, wave: range) -> None:
        """Take the examples of a wave that are new, in the order of the requests, whichever was answered first."""
        self._asked = wave.stop
        for entry in (self._answered[number] for number in wave if number in self._answered):
            self._wrong.update(str(reason) for reason in list_at(entry, "wrong"))
            for fields in list_at(entry, "examples"):
                self._made += 1
                example = Example(fields if isinstance(fields, dict) else {}, text_at(entry, "topic") or "")
                text = evened(example.key(self._generation.task))
                if not self._near.similar(text):
                    self._near.add(text)
                    self._different.append(example)

    def write(self, folder: Path) -> Json:
        """Write the sets and return the summary."""
        task = self._generation.task
        kept = self._different[: self._generation.count]
        sets: dict[str, list[Example]] = {"train": [], "validation": []}
        for example in kept:
            share = Prompt(tuple(example.messages(task)[:-1])).share
            sets["validation" if share < self._generation.validation_share else "train"].append(example)
        rows = {
            name: write_rows(folder / f"{name}.jsonl", [{"messages": example.messages(task)} for example in examples])
            for name, examples in sets.items()
        }
        write_rows(folder / "pairs.jsonl", [_pair(name, e, task) for name, examples in sets.items() for e in examples])
        summary = self._summary(kept, rows)
        write_json(folder / SUMMARY, summary)
        return summary

    def _summary(self, kept: Sequence[Example], rows: Mapping[str, int]) -> Json:
        labels = Counter(str(example.fields["label"]) for example in kept if "label" in example.fields)
        return {
            "task": self._generation.task.name,
            "teacher": sorted({str(entry.get("model") or "") for entry in self._answered.values()}),
            "endpoint": self._endpoint.address,
            "examples": len(kept),
            "rows": dict(rows),
            "labels": dict(sorted(labels.items())),
            "made": self._made + self._wrong.total(),
            "wrong": dict(self._wrong.most_common(20)),
            "too_alike": self._made - len(self._different),
            "failures": dict(Counter(self._failed.values()).most_common(20)),
            "checked": self._generation.check,
            "requests": self._budget.requests,
            "tokens": self._budget.tokens,
            "warnings": _warnings(rows["train"]),
        }


def orders_of(generation: Generation) -> _Orders:
    """Return the function from a request's number to what it is to bring."""
    topics, manners = subjects()
    return _Orders(generation.topics or topics, manners, generation.task.labels, generation.seed)


class _Orders(NamedTuple):
    topics: tuple[str, ...]
    manners: tuple[str, ...]
    labels: tuple[str, ...]
    seed: int

    def __call__(self, number: int) -> Order:
        """Return what a request is to bring: labels in turn, each topic once before any comes again."""
        lap, place = divmod(number // max(1, len(self.labels)), len(self.topics))
        topics = list(self.topics)
        random.Random(f"{self.seed}:{lap}").shuffle(topics)  # noqa: S311 - a choice of subjects, and no secret
        manner = random.Random(f"{self.seed}:manner:{number}").choice(self.manners)  # noqa: S311
        label = self.labels[number % len(self.labels)] if self.labels else ""
        return Order(number, topics[place], manner, label)


def request_body(generation: Generation, order: Order) -> Json:
    """Return the chat completion request for one order."""
    task = generation.task
    values = {"count": generation.per_request, "topic": order.topic, "manner": order.manner}
    asked = task.text("generate.user", {**values, "label": order.label, "domain": generation.domain})
    messages = [
        {"role": "system", "content": task.text("generate.system")},
        {"role": "user", "content": "\n".join(line for line in asked.splitlines() if line.strip())},
    ]
    body: Json = {"model": None, "messages": messages, **generation.sampling}
    return formed(body, name="examples", schema=answer_schema(task), words=answer_words(task), form=generation.form)


def constants_of(task: Task, order: Order) -> dict[str, str]:
    """Return the fields that all examples of a request share."""
    return dict.fromkeys(task.constants, order.label)


def _pair(name: str, example: Example, task: Task) -> Json:
    *question, answer = example.messages(task)
    prompt = Prompt(tuple(question))
    item: Json = {**example.fields, "set": name, "topic": example.topic, "input": question}
    return {"id": prompt.id, "item": item, "sample": {"output_text": answer["content"]}}


def _check(generation: Generation) -> None:
    for what, value, least, greatest in (
        ("count", generation.count, MIN_PROMPTS, 1_000_000),
        ("examples per request", generation.per_request, 1, 100),
        ("validation share", generation.validation_share, 0, 0.9),
        ("similarity", generation.similarity, 0.5, 1),
        ("minimum success ratio", generation.min_success_ratio, 0, 1),
    ):
        if not least <= value <= greatest:
            raise InputError(what, found=str(value), wanted=f"from {least} to {greatest}")
    if generation.check and generation.task.name in ("conversation", "summarization"):
        raise InputError("check", found=f"task '{generation.task.name}'", wanted="a task whose answers can be compared")


def _job(generation: Generation, endpoint: Endpoint) -> Json:
    """Return what decides the requests; how many there are, and what becomes of them, may change."""
    return {
        "job": "generate",
        "task": generation.task.name,
        "labels": list(generation.task.labels),
        "max_words": generation.task.max_words,
        "per_request": generation.per_request,
        "topics": list(generation.topics),
        "domain": generation.domain,
        "check": generation.check,
        "sampling": dict(generation.sampling),
        "seed": generation.seed,
        "address": endpoint.address,
        "model": endpoint.model,
    }


def _warnings(train: int) -> list[str]:
    if train >= FEW_PROMPTS:
        return []
    return [f"{train} training rows are few: several hundred are advised"]
