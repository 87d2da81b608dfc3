"""`edgedistill capture grades`: the history of grading runs, and their reports."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgedistill.cli.arguments import JsonOption
from edgedistill.cli.guard import guarded
from edgedistill.cli.output import document, say, table

if TYPE_CHECKING:
    from edgedistill.capture.grading.record import Run
    from edgedistill.capture.grading.samples import Sample

HISTORY = Path("grades")
HistoryOption = Annotated[Path, typer.Option("--history", metavar="DIR", help="Folder of all grading runs.")]
RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="Id of a run, its beginning, or 'last'.", show_default=False)
]

app = typer.Typer()


def list_grades(context: typer.Context, *, history: HistoryOption = HISTORY, as_json: JsonOption = False) -> None:
    """List grading runs, the oldest first; `show`, `compare` and `report` tell more of them."""
    if context.invoked_subcommand is not None:
        return
    from edgedistill.capture.grading.history import runs_in

    places = runs_in(history)
    if as_json:
        document([run_document(place.run, place.folder) for place in places])
    elif places:
        table(("run", "state", "samples", "pass rate", "source"), [_row(place.run) for place in places])
    else:
        say(f"no runs in '{history}'")


def show(name: RunArgument, *, history: HistoryOption = HISTORY, as_json: JsonOption = False) -> None:
    """Show what one run found."""
    from edgedistill.capture.grading.history import run_named

    place = run_named(history, name)
    if as_json:
        document(run_document(place.run, place.folder))
    else:
        say_run(place.run)


def compare(
    name: RunArgument,
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="An earlier run.", show_default=False)],
    *,
    history: HistoryOption = HISTORY,
    as_json: JsonOption = False,
) -> None:
    """Compare a run with an earlier one: which samples pass now and did not, and the other way round."""
    from edgedistill.capture.grading.history import comparison_of, run_named

    later, earlier = run_named(history, name), run_named(history, before)
    found = comparison_of(later, earlier)
    if as_json:
        document(
            {
                "run": later.run.id,
                "before": earlier.run.id,
                "common": found.common,
                "better": list(found.better),
                "worse": list(found.worse),
                "p_value": found.p_value,
            }
        )
        return
    say(f"{later.run.id} against {earlier.run.id}: {found.common} samples in both")
    say(f"{len(found.better)} pass now and did not, {len(found.worse)} passed and do not (p = {found.p_value:.3g})")
    for kind, names in (("worse", found.worse), ("better", found.better)):
        for sample in names:
            say(f"  {kind}  {sample}")


def report(
    name: RunArgument,
    *,
    against: Annotated[
        str | None, typer.Option("--against", metavar="RUN", help="An earlier run to compare with.")
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option("--store", metavar="DIR", help="Store whose completions the run graded: their text is shown."),
    ] = None,
    history: HistoryOption = HISTORY,
    as_json: JsonOption = False,
) -> None:
    """Draw the report page of a run again."""
    from edgedistill.capture.grading.history import run_named
    from edgedistill.capture.grading.page import write_page

    place = run_named(history, name)
    before = run_named(history, against) if against else None
    path = write_page(place.folder, samples=_samples(store, place.folder), before=before)
    if as_json:
        document({"report": str(path)})
    else:
        say(str(path))


def _samples(store: Path | None, folder: Path) -> "list[Sample]":
    from edgedistill.capture.grading.history import outcomes_of, samples_of
    from edgedistill.capture.grading.stored import sample_from_completion
    from edgedistill.capture.store import open_store

    if store is None:
        return samples_of(folder)
    with open_store(store) as opened:
        found = [opened.get(name) for name in outcomes_of(folder)]
    return [sample_from_completion(completion) for completion in found if completion is not None]


def run_document(run: "Run", folder: Path) -> dict[str, object]:
    """Return what `--json` prints of a run."""
    return {**run.model_dump(mode="json"), "pass_rate": run.pass_rate, "folder": str(folder)}


def say_run(run: "Run") -> None:
    """Print what a run found."""
    say(f"{run.id}: {run.samples} samples of {run.source}, {run.state}")
    rows = [
        (
            criterion.name,
            criterion.type,
            _number(criterion.mean),
            _number(criterion.threshold),
            str(criterion.counts.passed),
            str(criterion.counts.failed),
            str(criterion.counts.errored),
            str(criterion.invalid),
        )
        for criterion in run.criteria
    ]
    table(("grader", "type", "mean", "threshold", "passed", "failed", "errored", "invalid"), rows)
    if run.pass_rate is not None:
        say(f"{run.counts.passed} of {run.counts.passed + run.counts.failed} pass: {100 * run.pass_rate:.1f} %")
    if run.requests:
        say(f"{run.requests} requests, {run.tokens} tokens")
    if run.isolation:
        say(f"Python graders: network {run.isolation.get('network')}; files {run.isolation.get('files')}")


def _row(run: "Run") -> tuple[str, ...]:
    rate = "" if run.pass_rate is None else f"{100 * run.pass_rate:.1f} %"
    return (run.id, run.state, str(run.samples), rate, run.source)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


app.callback(invoke_without_command=True)(guarded(list_grades))
app.command("show")(guarded(show))
app.command("compare")(guarded(compare))
app.command("report")(guarded(report))
