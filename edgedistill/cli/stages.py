"""What `run` and the verbs of one stage have in common: plan, do what is not up to date, show the result."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill.cli.output import document, say, table
from edgedistill.cli.stored import stored_summary
from edgedistill.errors import GateError, InputError, UnfinishedError
from edgedistill.launcher import other_than_first

if TYPE_CHECKING:
    from edgedistill.run.pipeline import Plan
    from edgedistill.run.summary import Summary


def run_until(
    stage: str,
    recipe: Path,
    overrides: Sequence[str] | None,
    *,
    devices: Sequence[str] | None = None,
    folder: Path | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Do the stages of a recipe up to one of them, or say what would be done. The first process alone prints."""
    from edgedistill.run.pipeline import Stage, execute, plan, with_devices

    planned = plan(recipe, overrides=with_devices(overrides or (), devices or ()), folder=folder, until=Stage(stage))
    if other_than_first():
        if not dry_run and _up_to_date(planned) is None:
            execute(planned)
    elif dry_run:
        _show_plan(planned, as_json=as_json)
    elif (summary := _up_to_date(planned)) is not None:
        _show_again(summary, planned, as_json=as_json)
    else:
        _do(planned, as_json=as_json)


def _up_to_date(planned: "Plan") -> "Summary | None":
    """Return the summary that is there already, if it is the one that this plan would end with."""
    if any(stage.state != "cached" for stage in planned.stages):
        return None
    try:
        summary = stored_summary(planned.folder)
    except InputError:  # the stages are done, but their summary was removed or damaged: it is written again
        return None
    # a gate's limit is in no stage's key: with another one the gates have to be judged again
    return summary if summary.recipe == planned.recipe.model_dump(mode="json") else None


def _do(planned: "Plan", *, as_json: bool) -> None:
    from edgedistill.cli.progress import progress_on_terminal
    from edgedistill.run.pipeline import execute

    try:
        with progress_on_terminal() as progress:
            summary = execute(planned, progress=progress)
    except (GateError, UnfinishedError):
        _show(stored_summary(planned.folder), planned, as_json=as_json)
        raise
    _show(summary, planned, as_json=as_json)


def _show_again(summary: "Summary", planned: "Plan", *, as_json: bool) -> None:
    """Show a result that is there already; a gate that failed then fails now."""
    if not as_json:
        say("nothing to do: every stage is up to date")
    _show(summary, planned, as_json=as_json)
    failed = [gate for gate in summary.gates if gate.passed is False]
    if failed:
        found = "; ".join(f"{gate.name}: {gate.found}, wanted {gate.wanted}" for gate in failed)
        raise GateError(f"run '{planned.folder}'", found=found)


def _show_plan(planned: "Plan", *, as_json: bool) -> None:
    from edgedistill.run import forecast

    outputs = forecast.forecast(planned)
    if as_json:
        stages = [
            {"name": stage.name, "key": stage.key, "state": stage.state, "note": stage.note} for stage in planned.stages
        ]
        sizes = {} if outputs is None else {"teacher_outputs": asdict(outputs)}
        document({"name": planned.recipe.name, "folder": str(planned.folder), "stages": stages, **sizes})
        return
    say(f"{planned.recipe.name} in {planned.folder}")
    table(("stage", "state", "note"), [(stage.name, stage.state, stage.note) for stage in planned.stages])
    if outputs is not None:
        say(f"teacher outputs: {outputs.text}")


def _show(summary: "Summary", planned: "Plan", *, as_json: bool) -> None:
    from edgedistill.report.wording import outputs_text

    if as_json:
        document(summary.model_dump(mode="json"))
        return
    if summary.evaluated_on:
        say(f"synthetic data: {summary.evaluated_on}")
    elif summary.synthetic:
        say(f"learned from synthetic data: {summary.synthetic}; evaluated on samples that are not")
    _show_ladder(summary)
    for gate in summary.gates:
        verdict = {True: "passed", False: "FAILED", None: "not run"}[gate.passed]
        say(f"{verdict}: {gate.name}: {gate.found}, wanted {gate.wanted}")
    _show_devices(summary)
    for item in summary.agreement:
        value = f"{item.value:.2%}" if item.measure.startswith("same") else f"{item.value:.4f}"
        say(f"{item.stage} ({item.execution}): {item.measure}: {value} of {item.n:,} samples")
    for curve in summary.abstention:
        points = "; ".join(f"{point.answered:.0%} {point.accuracy:.2%}" for point in curve.points[::3])
        say(f"{curve.stage} ({curve.execution}): {curve.metric} by share answered: {points}")
    for outputs in summary.teacher_outputs:
        say(f"teacher outputs: {outputs_text(outputs)}")
    for note in summary.notes:
        say(f"note: {note}")
    say(f"results: {planned.folder}")
    page = planned.folder / "report.html"
    if page.is_file():
        say(f"report: {page}")


def _show_devices(summary: "Summary") -> None:
    from edgedistill.bench.records import ship_text

    for device in summary.devices:
        outcome = "FAILED, see the notes" if device.error else f"done, {device.execution}"
        say(f"device {device.device}: {device.stage} of {device.target}: {outcome} (log: {device.log_file})")
    for line in filter(None, map(ship_text, summary.latency)):
        say(line)


def _metric(summary: "Summary") -> str:
    metrics = {rung.metric for rung in summary.ladder if rung.value is not None}
    return metrics.pop() if len(metrics) == 1 else "value"


def _show_ladder(summary: "Summary") -> None:
    from edgedistill.report.table import ladder_rows

    rows = ladder_rows(summary)
    if rows:
        table(
            ("step", "target", _metric(summary), "against teacher", "samples", "parameters", "size", "ran on"),
            [
                (
                    row.step,
                    row.target,
                    row.value,
                    row.against_teacher,
                    row.n,
                    row.parameters,
                    row.size,
                    row.badge,
                )
                for row in rows
            ],
        )
