"""`edgedistill capture grade`."""

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
    MaxRequestsOption,
    MaxTokensOption,
    ModelOption,
    PaceOption,
    RetriesOption,
    TimeoutOption,
    answer_form_from,
    endpoint_from,
    limits_from,
)
from edgedistill.cli.capture.grades import HISTORY, HistoryOption, run_document, say_run
from edgedistill.cli.capture.options import STORE, StoreOption, WhereOption
from edgedistill.cli.output import document, say
from edgedistill.errors import GateError, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedistill.capture.grading.evaluation import Evaluation
    from edgedistill.capture.grading.record import Run
    from edgedistill.capture.grading.run import Graded, Settings
    from edgedistill.capture.grading.samples import Sample


def grade(
    definition: Annotated[
        Path,
        typer.Argument(metavar="DEFINITION", help="A grader or an evaluation, in JSON.", show_default=False),
    ],
    *,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FILE", help="Grade {item, sample} lines of a JSONL file, not the store."),
    ] = None,
    store: StoreOption = STORE,
    where: WhereOption = None,
    history: HistoryOption = HISTORY,
    endpoint: EndpointOption = None,
    model: ModelOption = "",
    embedding_model: Annotated[
        str, typer.Option("--embedding-model", metavar="NAME", help="The model behind the measure 'cosine'.")
    ] = "text-embedding-3-large",
    key_variable: KeyOption = KEY_VARIABLE,
    answer_form: AnswerFormOption = "schema",
    allow_python: Annotated[
        bool, typer.Option("--allow-python", help="Run the Python code in the definition. Read it first.")
    ] = False,
    min_pass_rate: Annotated[
        float | None,
        typer.Option("--min-pass-rate", min=0, max=1, help="A gate: exit with 3 if a smaller share passes."),
    ] = None,
    concurrency: ConcurrencyOption = 8,
    requests_per_minute: PaceOption = 0,
    retries: RetriesOption = 5,
    timeout: TimeoutOption = 120,
    max_requests: MaxRequestsOption = 0,
    max_tokens: MaxTokensOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Grade captured completions, or the lines of a file; the grades go into the store and into the history."""
    from edgedistill.capture.grading.evaluation import evaluation_from_file
    from edgedistill.capture.grading.run import Settings

    if data is not None and where:
        raise InputError("what to grade", found="a file and a filter of the store", wanted="one of them")
    form = answer_form_from(answer_form)
    evaluation = evaluation_from_file(definition)
    settings = Settings(
        endpoint=endpoint_from(endpoint, model=model, key_variable=key_variable),
        limits=limits_from(
            concurrency=concurrency,
            requests_per_minute=requests_per_minute,
            retries=retries,
            timeout=timeout,
            max_requests=max_requests,
            max_tokens=max_tokens,
        ),
        form=form,
        allow_python=allow_python,
        embedding_model=embedding_model,
    )
    if data is not None:
        graded = _grade_file(evaluation, data, history, settings)
    else:
        graded = _grade_store(evaluation, store, where or (), history, settings)
    _show(graded, store=None if data is not None else store, as_json=as_json)
    _check_pass_rate(graded.run, min_pass_rate)


def _grade_file(evaluation: "Evaluation", data: Path, history: Path, settings: "Settings") -> "Graded":
    from edgedistill.capture.grading.samples import samples_from_rows
    from edgedistill.capture.journal import rows_of

    thing = f"file '{data}'"
    samples = samples_from_rows(rows_of(data), thing=thing)
    return _grade(evaluation, samples, source=thing, history=history, settings=settings, keep_samples=True)


def _grade_store(
    evaluation: "Evaluation", folder: Path, where: "Sequence[str]", history: Path, settings: "Settings"
) -> "Graded":
    from edgedistill.capture.grading.stored import samples_from_store, write_grades
    from edgedistill.capture.store import open_store
    from edgedistill.capture.where import filter_from

    with open_store(folder) as opened:
        samples = samples_from_store(opened, filter_from(where), metadata=evaluation.metadata)
        source = f"store '{folder}'" + (f" where {', '.join(where)}" if where else "")
        graded = _grade(evaluation, samples, source=source, history=history, settings=settings, keep_samples=False)
        write_grades(opened, graded.outcomes)
    return graded


def _grade(
    evaluation: "Evaluation",
    samples: "Sequence[Sample]",
    *,
    source: str,
    history: Path,
    settings: "Settings",
    keep_samples: bool,
) -> "Graded":
    from edgedistill.capture.grading.page import write_page
    from edgedistill.capture.grading.run import grade_samples
    from edgedistill.cli.progress import progress_on_terminal

    with progress_on_terminal() as progress:
        graded = grade_samples(
            evaluation,
            samples,
            source=source,
            history=history,
            settings=settings,
            progress=progress,
            keep_samples=keep_samples,
        )
    # of a store, the page would keep what is deleted there
    write_page(graded.folder, samples=samples if keep_samples else ())
    return graded


def _show(graded: "Graded", *, store: Path | None, as_json: bool) -> None:
    if as_json:
        document(run_document(graded.run, graded.folder))
        return
    say_run(graded.run)
    say(f"report: {graded.folder / 'report.html'}")
    if store is not None:
        say(f"with the texts: edgedistill capture grades report {graded.run.id} --store {store}")
    if graded.run.state == "incomplete":
        say(f"{graded.run.counts.errored} samples have no grade: the same command asks for them again")


def _check_pass_rate(run: "Run", least: float | None) -> None:
    if least is None:
        return
    rate = run.pass_rate
    if rate is None:
        raise GateError("pass rate", found="no grader of the definition has a threshold", wanted=f"at least {least:g}")
    if rate < least:
        raise GateError("pass rate", found=f"{rate:.4f}", wanted=f"at least {least:g}")
