"""`edgedistill capture label`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedistill.cli.arguments import JsonOption
from edgedistill.cli.capture.asking import (
    KEY_VARIABLE,
    AnswerFormOption,
    ConcurrencyOption,
    EndpointOption,
    KeyOption,
    LongestOption,
    MaxRequestsOption,
    MaxTokensOption,
    MaxWordsOption,
    ModelOption,
    PaceOption,
    RetriesOption,
    ShareOption,
    SuccessOption,
    TaskLabelsOption,
    TemperatureOption,
    TimeoutOption,
    TopPOption,
    answer_form_from,
    limits_from,
    sampling_from,
    teacher_from,
)
from edgedistill.cli.capture.options import STORE, StoreOption, WhereOption
from edgedistill.cli.capture.synthesis import gates_as_json, show_sets
from edgedistill.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedistill.capture.synthesis.answers import Thought
    from edgedistill.capture.synthesis.prompts import Prompt, Sets
    from edgedistill.capture.synthesis.task import Task


def label(
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the sets go.", show_default=False)],
    train: Annotated[
        Path | None,
        typer.Option(
            "--train", metavar="FILE", help="JSONL of prompts; without it those of the store.", show_default=False
        ),
    ] = None,
    validation: Annotated[
        Path | None,
        typer.Option("--validation", metavar="FILE", help="JSONL of prompts; without it a share of the others."),
    ] = None,
    validation_share: ShareOption = 0.1,
    store: StoreOption = STORE,
    where: WhereOption = None,
    task: Annotated[
        str,
        typer.Option(
            "--task",
            metavar="NAME",
            help="classification, conversation, math, nli, nlu-qa or summarization; without it, asked as they are.",
        ),
    ] = "",
    labels: TaskLabelsOption = None,
    max_words: MaxWordsOption = 80,
    chain_of_thought: Annotated[
        bool, typer.Option("--chain-of-thought", help="Let the teacher think before it answers.")
    ] = False,
    chain_of_density: Annotated[
        bool, typer.Option("--chain-of-density", help="Let the teacher condense a summary step by step.")
    ] = False,
    strip_reasoning: Annotated[
        bool, typer.Option("--strip-reasoning", help="Take the teacher's reasoning out of the labels.")
    ] = False,
    top_logprobs: Annotated[
        int, typer.Option("--top-logprobs", min=0, max=20, help="Log probabilities of so many alternatives a token.")
    ] = 0,
    endpoint: EndpointOption = None,
    model: ModelOption = "",
    key_variable: KeyOption = KEY_VARIABLE,
    answer_form: AnswerFormOption = "schema",
    temperature: TemperatureOption = None,
    top_p: TopPOption = None,
    max_completion_tokens: LongestOption = None,
    min_success_ratio: SuccessOption = 0.7,
    concurrency: ConcurrencyOption = 8,
    requests_per_minute: PaceOption = 0,
    retries: RetriesOption = 5,
    timeout: TimeoutOption = 120,
    max_requests: MaxRequestsOption = 0,
    max_tokens: MaxTokensOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Let a teacher label a training and a validation set; the same command goes on where a killed one stopped."""
    from edgedistill.capture.synthesis.answers import Reasoning
    from edgedistill.capture.synthesis.labelling import Labelling, label_sets
    from edgedistill.capture.synthesis.task import task_named
    from edgedistill.cli.progress import progress_on_terminal

    chosen = task_named(task, labels=labels or (), max_words=max_words) if task else None
    labelling = Labelling(
        task=chosen,
        thought=_thought(chain_of_thought=chain_of_thought, chain_of_density=chain_of_density),
        reasoning=Reasoning.STRIP if strip_reasoning else Reasoning.KEEP,
        form=answer_form_from(answer_form),
        sampling=sampling_from(temperature=temperature, top_p=top_p, max_completion_tokens=max_completion_tokens),
        top_logprobs=top_logprobs,
        min_success_ratio=min_success_ratio,
    )
    teacher = teacher_from(endpoint, model=model, key_variable=key_variable)
    limits = limits_from(
        concurrency=concurrency,
        requests_per_minute=requests_per_minute,
        retries=retries,
        timeout=timeout,
        max_requests=max_requests,
        max_tokens=max_tokens,
    )
    sets = _sets(train, validation, validation_share, chosen, store=store, where=where or ())
    with gates_as_json(as_json=as_json), progress_on_terminal() as progress:
        labelled = label_sets(sets, endpoint=teacher, folder=out, labelling=labelling, limits=limits, progress=progress)
    show_sets(labelled, as_json=as_json)


def _thought(*, chain_of_thought: bool, chain_of_density: bool) -> "Thought":
    from edgedistill.capture.synthesis.answers import Thought

    if chain_of_thought and chain_of_density:
        raise InputError("way of thinking", found="two", wanted="--chain-of-thought or --chain-of-density")
    if chain_of_thought:
        return Thought.CHAIN_OF_THOUGHT
    return Thought.CHAIN_OF_DENSITY if chain_of_density else Thought.NONE


def _sets(
    train: Path | None,
    validation: Path | None,
    share: float,
    task: "Task | None",
    *,
    store: Path,
    where: "Sequence[str]",
) -> "Sets":
    from edgedistill.capture.synthesis.prompts import split_sets

    if train is not None and where:
        raise InputError("what to label", found="a file and a filter of the store", wanted="one of them")
    prompts = _prompts_of(train, task) if train is not None else _prompts_of_store(store, where, task)
    return split_sets(prompts, _prompts_of(validation, task) if validation is not None else None, share=share)


def _prompts_of(path: Path, task: "Task | None") -> "list[Prompt]":
    from edgedistill.capture.journal import rows_of
    from edgedistill.capture.synthesis.prompts import prompts_from_rows

    return prompts_from_rows(rows_of(path), task=task, thing=f"file '{path}'")


def _prompts_of_store(folder: Path, where: "Sequence[str]", task: "Task | None") -> "list[Prompt]":
    from edgedistill.capture.store import open_store
    from edgedistill.capture.synthesis.prompts import prompts_from_store
    from edgedistill.capture.where import filter_from

    with open_store(folder) as opened:
        return prompts_from_store(opened, filter_from(where), task=task)
