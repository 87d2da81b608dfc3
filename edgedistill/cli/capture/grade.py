"""`edgedistill capture grade`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

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
from edgedistill.cli.capture.synthesis import gates_as_json
from edgedistill.cli.output import document, say
from edgedistill.errors import GateError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgedistill.capture.endpoint.address import Endpoint
    from edgedistill.capture.filters import Filter
    from edgedistill.capture.grading.evaluation import Evaluation
    from edgedistill.capture.grading.record import Run
    from edgedistill.capture.grading.run import Graded, Settings
    from edgedistill.capture.grading.samples import Sample
    from edgedistill.capture.grading.sampling import DataSource


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
    run: Annotated[
        Path | None,
        typer.Option(
            "--run",
            metavar="FILE",
            help="A run of the evaluation, in JSON: its items, and the model that answers them.",
        ),
    ] = None,
    store: StoreOption = STORE,
    where: WhereOption = None,
    history: HistoryOption = HISTORY,
    answer_endpoint: Annotated[
        str, typer.Option("--answer-endpoint", metavar="URL", help="Where a run's model answers; else --endpoint.")
    ] = "",
    answer_model: Annotated[
        str, typer.Option("--answer-model", metavar="NAME", help="The model to ask, whatever a run names.")
    ] = "",
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
    answers_at = endpoint_from(answer_endpoint or endpoint, model=answer_model, key_variable=key_variable)
    gathered = _gathered(data, run, store, where or (), evaluation.metadata)
    with gates_as_json(as_json=as_json):
        graded = _grade(evaluation, gathered, history=history, settings=settings, answers_at=answers_at)
    _show(graded, store=store if gathered.written_back else None, as_json=as_json)
    _check_pass_rate(graded.run, min_pass_rate)


class Gathered(NamedTuple):
    """What is graded, and where it comes from."""

    samples: "Sequence[Sample]"
    source: str
    store: Path | None = None
    """The store that it lies in; its text is not copied into the history."""
    ask: "DataSource | None" = None
    """How the samples are still to be answered."""

    @property
    def written_back(self) -> bool:
        """Whether the grades are of what the store holds, and belong there."""
        return self.store is not None and self.ask is None


def _gathered(
    data: Path | None, run: Path | None, store: Path, where: "Sequence[str]", metadata: "Mapping[str, str]"
) -> Gathered:
    """Return what the options say: a run's own items, the lines of a file, or what the store holds."""
    if (data is not None or run is not None) and where:
        raise InputError("what to grade", found="a file and a filter of the store", wanted="one of them")
    if run is not None:
        return _gathered_by_run(run, data, store)
    if data is not None:
        return _gathered_from_file(data)
    from edgedistill.capture.where import filter_from

    source = f"store '{store}'" + (f" where {', '.join(where)}" if where else "")
    return _gathered_from_store(store, filter_from(where), metadata, source)


def _gathered_by_run(run: Path, data: Path | None, store: Path) -> Gathered:
    from edgedistill.capture.grading.evaluation import document_from_file
    from edgedistill.capture.grading.samples import samples_from_rows
    from edgedistill.capture.grading.sampling import FileContent, StoredCompletions, data_source_from_document

    thing = f"run '{run}'"
    found = data_source_from_document(document_from_file(run, thing=thing), thing=thing)
    ask = found if found.input_messages is not None else None
    if isinstance(found.source, StoredCompletions):
        gathered = _gathered_from_store(store, found.source.filter, {}, f"store '{store}' as {thing} says")
        return gathered._replace(samples=gathered.samples[: found.source.limit], ask=ask)
    if isinstance(found.source, FileContent):
        return Gathered(samples_from_rows(found.source.content, thing=thing), thing, ask=ask)
    if data is None:
        raise InputError(
            thing, found=f"file '{found.source.id}' of the service", fix="download it and name it by --data"
        )
    return _gathered_from_file(data)._replace(ask=ask)


def _gathered_from_file(data: Path) -> Gathered:
    from edgedistill.capture.grading.samples import samples_from_rows
    from edgedistill.capture.journal import rows_of

    thing = f"file '{data}'"
    return Gathered(samples_from_rows(rows_of(data), thing=thing), thing)


def _gathered_from_store(folder: Path, chosen: "Filter", metadata: "Mapping[str, str]", source: str) -> Gathered:
    from edgedistill.capture.grading.stored import samples_from_store
    from edgedistill.capture.store import open_store

    with open_store(folder) as opened:
        return Gathered(samples_from_store(opened, chosen, metadata=metadata), source, store=folder)


def _grade(
    evaluation: "Evaluation", gathered: Gathered, *, history: Path, settings: "Settings", answers_at: "Endpoint | None"
) -> "Graded":
    from edgedistill.capture.grading.page import write_page
    from edgedistill.capture.grading.run import grade_samples
    from edgedistill.capture.grading.sampling import Sampler, answered, forget_answers
    from edgedistill.capture.grading.stored import write_grades
    from edgedistill.capture.store import open_store
    from edgedistill.cli.progress import progress_on_terminal

    samples, sampler, answered_by = gathered.samples, None, ""
    with progress_on_terminal() as progress:
        if gathered.ask is not None:
            sampler = Sampler(gathered.ask, _required(answers_at), settings.limits)
            answered_by = f"{sampler.endpoint.model or gathered.ask.model} at {sampler.endpoint.address}"
            samples = answered(samples, sampler, history=history, progress=progress)
        graded = grade_samples(
            evaluation,
            samples,
            source=gathered.source,
            history=history,
            settings=settings,
            progress=progress,
            # of a store, the run would keep what is deleted there
            keep_samples=gathered.store is None,
            answered_by=answered_by,
        )
    if sampler is not None and graded.run.state == "completed":
        forget_answers(gathered.samples, sampler, history=history)
    if gathered.store is not None and gathered.written_back:
        with open_store(gathered.store) as opened:
            write_grades(opened, graded.outcomes)
    write_page(graded.folder, samples=samples if gathered.store is None else ())
    return graded


def _required(endpoint: "Endpoint | None") -> "Endpoint":
    if endpoint is None:
        raise InputError(
            "run", found="its model has to answer, and no endpoint is given", fix="run again with --endpoint"
        )
    return endpoint


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
