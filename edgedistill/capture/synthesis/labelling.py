"""The first stage of a distillation: the teacher labels a training and a validation set."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from edgedistill.capture.endpoint.answers import answer_from_response
from edgedistill.capture.endpoint.client import Client, RequestError
from edgedistill.capture.endpoint.forms import AnswerForm, closed_object, formed
from edgedistill.capture.endpoint.limits import Budget, Limits
from edgedistill.capture.endpoint.pool import work_through
from edgedistill.capture.journal import Journal
from edgedistill.capture.json_text import Json, canonical, object_at, text_at
from edgedistill.capture.synthesis.answers import (
    Label,
    Reasoning,
    Thought,
    choice_of,
    label_among,
    label_of,
    number_in,
)
from edgedistill.capture.synthesis.journalled import JOURNAL, SUMMARY, claim_folder, write_json, write_rows
from edgedistill.errors import DataError, GateError, InputError
from edgedistill.progress import SILENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import httpx2

    from edgedistill.capture.endpoint.address import Endpoint
    from edgedistill.capture.endpoint.answers import Answer
    from edgedistill.capture.endpoint.limits import Clock
    from edgedistill.capture.synthesis.prompts import Prompt, Sets
    from edgedistill.capture.synthesis.task import Task
    from edgedistill.progress import Progress

MIN_PROMPTS: Final = 10
FEW_PROMPTS: Final = 200
MIN_SUCCESS_RATIO: Final = 0.7
"""The share of labels that the hosted distillation wants at least."""


@dataclass(frozen=True)
class Labelling:
    """How a teacher labels.

    Args:
        task: what for; None asks the prompts as they are.
        thought: whether the teacher is asked to think before it answers.
        reasoning: what becomes of its reasoning.
        form: how it is brought to answer in JSON, where `thought` asks for that.
        sampling: further keys of each request: {"temperature": 0, "max_tokens": 500}.
        top_logprobs: log probabilities of so many alternatives a token, from 1 to 20; 0 asks for none.
        min_success_ratio: least share of labels, from 0 to 1; with fewer nothing is written.
    """

    task: Task | None = None
    thought: Thought = Thought.NONE
    reasoning: Reasoning = Reasoning.KEEP
    form: AnswerForm = AnswerForm.SCHEMA
    sampling: Mapping[str, object] = field(default_factory=dict)
    top_logprobs: int = 0
    min_success_ratio: float = MIN_SUCCESS_RATIO


@dataclass(frozen=True)
class Labelled:
    """What came of it.

    Args:
        summary: as `summary.json` has it.
        folder: where the files are.
    """

    summary: Json
    folder: Path


def label_sets(
    sets: Sets,
    *,
    endpoint: Endpoint,
    folder: Path,
    labelling: Labelling | None = None,
    limits: Limits | None = None,
    progress: Progress = SILENT,
    transport: httpx2.AsyncBaseTransport | None = None,
    clock: Clock | None = None,
) -> Labelled:
    """Let a teacher label two sets, and write `train.jsonl`, `validation.jsonl`, `pairs.jsonl` and `summary.json`.

    The same call goes on where a killed one stopped: what is labelled is not asked again, what failed is.

    Args:
        sets: what to label.
        endpoint: the teacher.
        folder: where the files go.
        labelling: how it labels.
        limits: how fast and how much it is asked.
        progress: where the job reports.
        transport: what carries requests; the network without.
        clock: where time comes from.

    Raises:
        DataError: there are fewer than 10 prompts to train on, or the folder holds another job.
        InputError: the task does not go with the way of thinking.
        GateError: fewer labels than `min_success_ratio` says. Those that are there are kept.
        EndpointError: the teacher cannot be asked.
        LimitError: no more may be asked; what was labelled is kept.
    """
    labelling = labelling or Labelling()
    _check(sets, labelling)
    claim_folder(folder, _job(sets, endpoint, labelling))
    with Journal(folder / JOURNAL) as journal:
        work = _Work(sets, endpoint, labelling, limits or Limits(), journal)
        asyncio.run(work.run(progress, transport=transport, clock=clock))
        summary = work.write(folder)
    return Labelled(summary, folder)


class _Work:
    """One process's share of a labelling."""

    def __init__(self, sets: Sets, endpoint: Endpoint, labelling: Labelling, limits: Limits, journal: Journal) -> None:
        self._sets, self._endpoint, self._labelling, self._limits = sets, endpoint, labelling, limits
        self._journal = journal
        self._budget = Budget(limits, journal)
        self._prompts = [*sets.train, *sets.validation]
        self._answers: dict[str, Json] = {}
        self._labels: dict[str, str] = {}
        self._failures: dict[str, str] = {}
        for entry in journal.entries:
            name, answer = text_at(entry, "id"), answer_from_response(object_at(entry, "response"), requests=0)
            if name is not None and answer is not None and not (label := self._label_of(answer)).failure:
                self._take(name, entry, label)

    async def run(
        self, progress: Progress, *, transport: httpx2.AsyncBaseTransport | None, clock: Clock | None
    ) -> None:
        """Ask for what is not labelled yet."""
        left = [prompt for prompt in self._prompts if prompt.id not in self._answers]
        client = Client(self._endpoint, self._limits, budget=self._budget, clock=clock, transport=transport)
        with progress.track("labelling", total=len(self._prompts)) as tracker:
            tracker.advance(len(self._prompts) - len(left))

            async def ask(prompt: Prompt) -> None:
                await self._ask(client, prompt)
                tracker.advance(note=f"{len(self._failures)} failed" if self._failures else "")

            async with client:
                await work_through(left, ask, workers=self._limits.concurrency)

    async def _ask(self, client: Client, prompt: Prompt) -> None:
        entry: Json = {"id": prompt.id}
        try:
            answer = await client.complete(request_body(prompt, self._labelling))
        except RequestError as error:
            label = Label(failure=error.reason)
        else:
            label = self._label_of(answer)
            entry |= {"model": answer.model, "response": answer.response}
        if label.failure:
            entry["failure"] = label.failure
        self._journal.append(entry)
        if label.failure:
            self._failures[prompt.id] = label.failure
            self._stop_if_hopeless()
        else:
            self._take(prompt.id, entry, label)

    def _take(self, name: str, entry: Json, label: Label) -> None:
        self._answers[name] = entry
        self._labels[name] = label.text

    def _label_of(self, answer: Answer) -> Label:
        how = self._labelling
        return label_of(answer, thought=how.thought, reasoning=how.reasoning, task=how.task)

    def _stop_if_hopeless(self) -> None:
        """Stop once too many failed: the rest could all succeed and it would not be enough."""
        allowed = len(self._prompts) - _needed(len(self._prompts), self._labelling.min_success_ratio)
        if len(self._failures) > allowed:
            raise _too_few(len(self._prompts), self._failures, self._labelling.min_success_ratio, early=True)

    def write(self, folder: Path) -> Json:
        """Write the sets and return the summary."""
        labelled = [prompt for prompt in self._prompts if prompt.id in self._answers]
        if len(labelled) < _needed(len(self._prompts), self._labelling.min_success_ratio):
            raise _too_few(len(self._prompts), self._failures, self._labelling.min_success_ratio, early=False)
        files = {"train": self._sets.train, "validation": self._sets.validation}
        rows = {
            name: write_rows(folder / f"{name}.jsonl", [self._row(p) for p in prompts if p.id in self._answers])
            for name, prompts in files.items()
        }
        write_rows(
            folder / "pairs.jsonl",
            [self._pair(name, p) for name, ps in files.items() for p in ps if p.id in self._answers],
        )
        summary = self._summary(labelled, rows)
        write_json(folder / SUMMARY, summary)
        return summary

    def _row(self, prompt: Prompt) -> Json:
        return {"messages": [*prompt.messages, {"role": "assistant", "content": self._label(prompt)}]}

    def _pair(self, name: str, prompt: Prompt) -> Json:
        entry = self._answers[prompt.id]
        answer = answer_from_response(object_at(entry, "response"), requests=0)
        assert answer is not None  # noqa: S101 - a label was made of it
        choice = choice_of(answer, self._label(prompt), thought=self._labelling.thought)
        item: Json = {**prompt.item, "set": name, "input": list(prompt.messages)}
        item.pop("messages", None)  # the same again, and the gold answer behind it
        if prompt.gold is not None:
            item["gold"] = prompt.gold
        sample: Json = {"output_text": self._label(prompt), "choices": [choice], "model": entry.get("model")}
        return {"id": prompt.id, "item": item, "sample": sample}

    def _label(self, prompt: Prompt) -> str:
        return self._labels[prompt.id]

    def _summary(self, labelled: Sequence[Prompt], rows: Mapping[str, int]) -> Json:
        how = self._labelling
        golds = [(prompt.gold, self._label(prompt)) for prompt in labelled if prompt.gold is not None]
        agreed = [agrees(gold, label, how.task) for gold, label in golds]
        labels = Counter(self._label(prompt) for prompt in labelled) if how.task and how.task.labels else {}
        return {
            "task": how.task.name if how.task else None,
            "teacher": sorted({str(self._answers[prompt.id].get("model") or "") for prompt in labelled}),
            "endpoint": self._endpoint.address,
            "thought": str(how.thought),
            "reasoning": str(how.reasoning),
            "prompts": len(self._prompts),
            "labelled": len(labelled),
            "success_ratio": len(labelled) / len(self._prompts),
            "failures": dict(Counter(self._failures.values()).most_common(20)),
            "rows": dict(rows),
            "labels": dict(sorted(labels.items())),
            "duplicates_left_out": self._sets.duplicates,
            "leaks_left_out": self._sets.leaks,
            "gold": len(golds),
            "agrees_with_gold": sum(agreed) if golds else None,
            "requests": self._budget.requests,
            "tokens": self._budget.tokens,
            "warnings": _warnings(rows["train"]),
        }


def request_body(prompt: Prompt, labelling: Labelling) -> Json:
    """Return the chat completion request that asks the teacher for a label."""
    body: Json = {"model": None, "messages": list(prompt.messages), **labelling.sampling}
    if labelling.top_logprobs:
        body |= {"logprobs": True, "top_logprobs": labelling.top_logprobs}
    if labelling.thought is Thought.NONE:
        return body
    assert labelling.task is not None  # noqa: S101 - `_check` saw to it
    dense = labelling.thought is Thought.CHAIN_OF_DENSITY
    system = labelling.task.text("density.system" if dense else "reasoned.system")
    asked = [message for message in prompt.messages if message.get("role") not in ("system", "developer")]
    body["messages"] = [{"role": "system", "content": system}, *asked]
    steps = {"type": "array", "items": {"type": "string"}}
    schema = closed_object({"reasoning": steps, "answer": {"type": "string"}})
    words = 'Answer with one JSON object and nothing else: {"reasoning": ["...", ...], "answer": "..."}. '
    words += f'"reasoning" has the {"earlier summaries" if dense else "steps"}, one text each.'
    return formed(body, name="labelled", schema=schema, words=words, form=labelling.form)


def agrees(gold: str, label: str, task: Task | None) -> bool:
    """Say whether a label says what a gold answer says: the same label, number, or words."""
    if task is not None and task.labels:
        return label_among(gold, task.labels) == label_among(label, task.labels) != ""
    if task is not None and task.name == "math":
        return number_in(gold) is not None and number_in(gold) == number_in(label)
    return " ".join(gold.casefold().split()) == " ".join(label.casefold().split())


def _check(sets: Sets, labelling: Labelling) -> None:
    if len(sets.train) < MIN_PROMPTS:
        raise DataError("training set", found=f"{len(sets.train)} different prompts", wanted=f"at least {MIN_PROMPTS}")
    task, thought = labelling.task, labelling.thought
    part = {Thought.CHAIN_OF_THOUGHT: "reasoned.system", Thought.CHAIN_OF_DENSITY: "density.system"}.get(thought)
    if part is not None and (task is None or not task.texts[part]):
        raise InputError(
            thought, found=f"task '{task.name}'" if task else "no task", wanted=_tasks_with(thought), fix="name a task"
        )
    if not 0 <= labelling.min_success_ratio <= 1:
        raise InputError("minimum success ratio", found=str(labelling.min_success_ratio), wanted="from 0 to 1")


def _tasks_with(thought: Thought) -> str:
    return "summarization" if thought is Thought.CHAIN_OF_DENSITY else "classification, math, nli or nlu-qa"


def _job(sets: Sets, endpoint: Endpoint, labelling: Labelling) -> Json:
    """Return what decides the answers; what becomes of their reasoning may change."""
    task = labelling.task
    ids = {"train": [prompt.id for prompt in sets.train], "validation": [prompt.id for prompt in sets.validation]}
    return {
        "job": "label",
        "prompts": hashlib.sha256(canonical(ids)).hexdigest(),
        "address": endpoint.address,
        "model": endpoint.model,
        "task": task.name if task else None,
        "labels": list(task.labels) if task else [],
        "max_words": task.max_words if task else None,
        "thought": str(labelling.thought),
        "sampling": dict(labelling.sampling),
        "top_logprobs": labelling.top_logprobs,
    }


def _needed(total: int, ratio: float) -> int:
    """Return the least number of labels that is the ratio of all."""
    return math.ceil(total * ratio - 1e-9)  # 0.7 of 10 is 7.000000000000001


def _too_few(total: int, failures: Mapping[str, str], ratio: float, *, early: bool) -> GateError:
    ((reason, times),) = Counter(failures.values()).most_common(1) or [("not asked", 0)]
    stopped = "stopped early, since the rest would not be enough; " if early else ""
    return GateError(
        f"labels of {total} prompts",
        found=f"{len(failures)} failed, {times} of them: {reason}",
        wanted=f"at least {ratio:g} of them",
        fix=f"{stopped}what is labelled is kept; the same command asks for the rest",
    )


def _warnings(train: int) -> list[str]:
    if train >= FEW_PROMPTS:
        return []
    return [f"{train} training rows are few: several hundred are advised"]
