"""`edgedistill capture generate`."""

from pathlib import Path
from typing import Annotated

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
from edgedistill.cli.capture.synthesis import gates_as_json, show_sets


def generate(
    task: Annotated[
        str,
        typer.Argument(
            metavar="TASK", help="classification, conversation, math, nli, nlu-qa or summarization.", show_default=False
        ),
    ],
    *,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the sets go.", show_default=False)],
    count: Annotated[
        int, typer.Option("--count", "-n", min=10, max=1_000_000, help="Examples of both sets together.")
    ] = 500,
    labels: TaskLabelsOption = None,
    max_words: MaxWordsOption = 80,
    topics: Annotated[
        Path | None,
        typer.Option(
            "--topics", metavar="FILE", help="Subjects, one a line; without it everyday ones.", show_default=False
        ),
    ] = None,
    domain: Annotated[
        str, typer.Option("--domain", metavar="TEXT", help="A sentence that goes into every request.")
    ] = "",
    per_request: Annotated[int, typer.Option("--per-request", min=1, max=100, help="Examples asked for at once.")] = 5,
    similarity: Annotated[
        float,
        typer.Option("--similarity", min=0.5, max=1, help="Share of pieces in common from which two examples are one."),
    ] = 0.7,
    check: Annotated[
        bool, typer.Option("--check", help="Keep only what the teacher, asked afresh, answers as it made it.")
    ] = False,
    validation_share: ShareOption = 0.1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the choice of subjects.")] = 0,
    endpoint: EndpointOption = None,
    model: ModelOption = "",
    key_variable: KeyOption = KEY_VARIABLE,
    answer_form: AnswerFormOption = "schema",
    temperature: TemperatureOption = 1.0,
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
    """Let a teacher make up examples for a task; the same command goes on where a killed one stopped."""
    from edgedistill.capture.synthesis.generation import Generation, generate_examples
    from edgedistill.capture.synthesis.task import task_named
    from edgedistill.cli.progress import progress_on_terminal

    generation = Generation(
        task=task_named(task, labels=labels or (), max_words=max_words),
        count=count,
        per_request=per_request,
        topics=_topics(topics),
        domain=domain,
        validation_share=validation_share,
        similarity=similarity,
        check=check,
        form=answer_form_from(answer_form),
        sampling=sampling_from(temperature=temperature, top_p=top_p, max_completion_tokens=max_completion_tokens),
        min_success_ratio=min_success_ratio,
        seed=seed,
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
    with gates_as_json(as_json=as_json), progress_on_terminal() as progress:
        made = generate_examples(generation, endpoint=teacher, folder=out, limits=limits, progress=progress)
    show_sets(made, as_json=as_json)


def _topics(path: Path | None) -> tuple[str, ...]:
    from edgedistill.errors import DataError

    if path is None:
        return ()
    try:
        lines = [line.strip() for line in path.read_text("utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"file '{path}'", found=str(error), wanted="subjects, one a line") from error
    topics = tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    if not topics:
        raise DataError(f"file '{path}'", found="no subjects", wanted="one a line")
    return topics
