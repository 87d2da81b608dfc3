"""Plans a run and does it: every step whose key is not there yet. Planning loads no torch."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from edgedistill.errors import GateError, UnfinishedError
from edgedistill.launcher import launch
from edgedistill.progress import SILENT
from edgedistill.recipe import recipe_from_yaml
from edgedistill.run.directory import RunDirectory, StepRecord, key_of
from edgedistill.run.keys import Keys
from edgedistill.run.refusals import refuse_impossible, refuse_missing_packages
from edgedistill.run.summary import FILE
from edgedistill.run.tracking import require_trackers, tracking

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgedistill.distill.history import Callback
    from edgedistill.distill.parallel.group import Group
    from edgedistill.progress import Progress
    from edgedistill.quantize.spec import QuantSpec
    from edgedistill.recipe import Recipe, TargetChoice
    from edgedistill.run.context import Context
    from edgedistill.run.rehearsal import Finding
    from edgedistill.run.steps.outcome import Outcome
    from edgedistill.run.summary import Summary
    from edgedistill.run.tracking import Tracking

logger = logging.getLogger(__name__)


class Stage(StrEnum):
    """The stages of a run, in order."""

    TEACH = "teach"
    DISTILL = "distill"
    QUANTIZE = "quantize"
    BUILD = "build"
    VERIFY = "verify"
    BENCH = "bench"
    REPORT = "report"


STAGES = tuple(Stage)
ON_DEVICES = (Stage.VERIFY, Stage.BENCH)
"""Stages that are done on the recipe's devices too."""
LEARNING = (Stage.TEACH, Stage.DISTILL, Stage.QUANTIZE)
"""Stages that may take long, and that a student is looked at before."""
PACKED = (Stage.BUILD, Stage.VERIFY)
"""Stages that need a target's own packages."""
SHARED_STEPS = ("teach", "baseline", "distill")
"""Steps that several processes share; the first does the others alone."""
Others = Callable[["PlannedStage"], AbstractContextManager["Group"]]
State = Literal["done", "cached", "failed"]


@dataclass(frozen=True)
class PlannedStage:
    """One step of a run, and whether it has to be done.

    Args:
        name: "teach", "quantize", "build arm-onnxruntime/raspberry-pi-4", ...
        key: hash of everything it depends on.
        state: `cached`: done under this key; `resume`: begun and interrupted; `to-do`.
        note: what to know.
        stage: the stage it belongs to.
        spec: of a `quantize` step.
        choice: of a step for one target.
        on_devices: whether it is done on the recipe's devices.
    """

    name: str
    key: str
    state: Literal["cached", "resume", "to-do"]
    note: str
    stage: Stage
    spec: QuantSpec | None = None
    choice: TargetChoice | None = None
    on_devices: bool = False

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return self.state == "cached"


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Args:
        recipe: with the overrides applied.
        recipe_folder: relative paths of the recipe start here.
        folder: the run directory.
        stages: every step to be done or found done, in order.
        later: the steps behind the last stage asked for; what they found before is kept where it is still true.
        keys: of every step.
    """

    recipe: Recipe
    recipe_folder: Path
    folder: Path
    stages: tuple[PlannedStage, ...]
    later: tuple[PlannedStage, ...]
    keys: Keys = field(repr=False)


def plan(
    recipe_path: Path,
    *,
    overrides: Sequence[str] = (),
    folder: Path | None = None,
    until: Stage = Stage.REPORT,
) -> Plan:
    """Return what a run would do, without doing it.

    Args:
        recipe_path: the YAML file.
        overrides: `dotted.key=value`.
        folder: the run directory; none means `runs/NAME`.
        until: the last stage.

    Raises:
        InputError: the recipe, or a file that it names, cannot be used; a target cannot do what the recipe wants of it;
            or a package of its trackers or targets is missing.
    """
    recipe = recipe_from_yaml(recipe_path, overrides=overrides)
    refuse_impossible(recipe)
    require_trackers(recipe.trackers)
    home = recipe_path.resolve().parent
    keys = Keys(recipe, home)
    directory = RunDirectory(folder or Path("runs") / recipe.name)
    steps = list(_steps(recipe, keys))
    steps.append(_report_step(recipe, steps))
    states = [_with_state(step, directory) for step in steps]
    last = STAGES.index(until)
    stages = tuple(step for step in states if STAGES.index(step.stage) <= last)
    refuse_missing_packages(
        recipe, [step.choice for step in stages if step.choice and step.stage in PACKED and not step.is_done]
    )
    return Plan(
        recipe=recipe,
        recipe_folder=home,
        folder=directory.folder,
        stages=stages,
        later=tuple(step for step in states if STAGES.index(step.stage) > last),
        keys=keys,
    )


def with_devices(overrides: Sequence[str], devices: Sequence[str]) -> Sequence[str]:
    """Return overrides in which some devices stand for those of the recipe; with none, the recipe's stay."""
    return [*overrides, f"bench.devices={json.dumps(list(devices))}"] if devices else overrides


def execute(plan: Plan, *, progress: Progress = SILENT, callbacks: Sequence[Callback] = ()) -> Summary:
    """Do every step that is not done, write summary.json (and the report), and return the summary.

    Started by torchrun or the like, each process labels and trains its share; the first does the rest, and alone
    writes, reports and calls back.

    Args:
        plan: what to do.
        progress: where to report.
        callbacks: what is told of every training's steps and epochs.

    Raises:
        GateError: at the end, when a gate failed; summary and report are written first.
        UnfinishedError: at the end, when a device gave nothing; so are they, and what other devices gave is kept.
        EdgeDistillError: a step cannot be done; what is done stays done.
    """
    launched = launch()
    if launched.count == 1:
        return _judged(plan, *executed(plan, progress=progress, callbacks=callbacks))
    from edgedistill.run.together import executed_together  # noqa: PLC0415 - loads torch

    return _judged(plan, *executed_together(plan, launched, progress=progress, callbacks=callbacks))


def executed(
    plan: Plan, *, progress: Progress, callbacks: Sequence[Callback], others: Others | None = None
) -> tuple[Summary, list[StepRecord]]:
    """Do every step that is not done; return the summary, and the records of those that some devices left undone.

    Args:
        plan: what to do.
        progress: where to report.
        callbacks: what is told of every training's steps and epochs.
        others: calls the other processes to a step that they share.
    """
    directory, name = RunDirectory(plan.folder), plan.recipe.name
    key = next(step.key for step in (*plan.stages, *plan.later) if step.stage is Stage.REPORT)
    with directory.locked(), tracking(plan.recipe.trackers, plan.folder, project=name, key=key) as trackers:
        records = dict(_done(plan, directory, progress, callbacks, trackers, others))
        summary = _summarised(plan, records, directory)
        if any(state != "cached" for _, state in records.values()):
            trackers.end(summary)
    return summary, [record for record, state in records.values() if state == "failed"]


def _judged(plan: Plan, summary: Summary, unfinished: Sequence[StepRecord]) -> Summary:
    failed = [gate for gate in summary.gates if gate.passed is False]
    if failed:
        found = "; ".join(f"{gate.name}: {gate.found}, wanted {gate.wanted}" for gate in failed)
        raise GateError(f"run '{plan.folder}'", found=found, fix=f"everything is left in {plan.folder} to look at")
    _raise_unfinished(plan, unfinished)
    return summary


def _raise_unfinished(plan: Plan, records: Sequence[StepRecord]) -> None:
    """Name the devices that gave nothing.

    Raises:
        UnfinishedError: a device could not be reached, lacks something, or the work failed there.
        GateError: on a device the artifact is not what was built.
    """
    found = [record.result.get("unfinished") for record in records]
    ends = [item for items in found if isinstance(items, list) for item in items]
    if not ends:
        return
    error = GateError if any(item["kind"] == "GateError" for item in ends) else UnfinishedError
    devices = sorted({str(item["device"]) for item in ends})
    raise error(
        f"{len(devices)} of {len(plan.recipe.bench.devices)} devices",
        found="; ".join(dict.fromkeys(str(item["message"]).rstrip(".") for item in ends)),
        fix="what the others gave is kept; the same command goes on with these",
    )


def _steps(recipe: Recipe, keys: Keys) -> Iterator[PlannedStage]:
    """Yield the steps but the last; each name is unique in the run."""
    yield _todo("teach", keys.teach, Stage.TEACH)
    if recipe.distill.baseline:
        yield _todo("baseline", keys.baseline, Stage.DISTILL)
    yield _todo("distill", keys.distill, Stage.DISTILL)
    specs: dict[str, QuantSpec] = {}
    for choice in recipe.targets:
        spec = keys.spec(choice)
        if spec.key not in specs:
            specs[spec.key] = spec
            yield PlannedStage(f"quantize {spec.title}", keys.quantize(spec), "to-do", "", Stage.QUANTIZE, spec=spec)
    for stage, key in ((Stage.BUILD, keys.build), (Stage.VERIFY, keys.verify), (Stage.BENCH, keys.bench)):
        for choice in recipe.targets:
            name = f"{stage} {choice.title}"
            yield PlannedStage(name, key(choice), "to-do", "", stage, choice=choice)
            if recipe.bench.devices and stage in ON_DEVICES:
                own = keys.on_devices(stage, choice)
                yield PlannedStage(f"{name} on devices", own, "to-do", "", stage, choice=choice, on_devices=True)


def _todo(name: str, key: str, stage: Stage) -> PlannedStage:
    return PlannedStage(name, key, "to-do", "", stage)


def _report_step(recipe: Recipe, steps: Sequence[PlannedStage]) -> PlannedStage:
    parts = {step.name: step.key for step in steps}
    settings = recipe.model_dump(mode="json", exclude={"trackers"})
    return _todo("report", key_of(steps=parts, recipe=settings), Stage.REPORT)


def _with_state(step: PlannedStage, directory: RunDirectory) -> PlannedStage:
    state: Literal["cached", "resume", "to-do"] = "to-do"
    note = ""
    if directory.done(step.name, step.key):
        state, note = "cached", "done before with the same inputs"
    elif directory.interrupted(step.name, step.key):
        state, note = "resume", "goes on from where it was interrupted"
    return replace(step, state=state, note=note)


def _done(
    plan: Plan,
    directory: RunDirectory,
    progress: Progress,
    callbacks: Sequence[Callback],
    trackers: Tracking,
    others: Others | None,
) -> Iterator[tuple[str, tuple[StepRecord, State]]]:
    """Yield the record of every step, doing those that have none."""
    context: Context | None = None
    for step in plan.stages:
        if step.stage is Stage.REPORT:
            continue
        record = directory.done(step.name, step.key)
        if record is not None:
            yield step.name, (record, "cached")
            continue
        if context is None:
            context = context_of(plan, directory, progress)
            if step.stage in LEARNING:
                _refuse_student(context)
        context.callbacks = (*callbacks, *trackers.of(step.name))
        yield step.name, _do(step, context, directory, others)
    for step in plan.later:
        record = directory.done(step.name, step.key)
        if record is not None and step.stage is not Stage.REPORT:
            yield step.name, (record, "cached")


def check(plan: Plan, *, progress: Progress = SILENT) -> Sequence[Finding]:
    """Return what the targets of a plan say of its untrained student; nothing is learned and nothing is written.

    Raises:
        InputError: the data, the teacher or the student cannot be used, or do not fit together.
    """
    from edgedistill.run.rehearsal import rehearse  # noqa: PLC0415 - planning must not load torch

    return rehearse(context_of(plan, RunDirectory(plan.folder), progress), plan.recipe.targets)


def _refuse_student(context: Context) -> None:
    from edgedistill.run.rehearsal import refuse, rehearse  # noqa: PLC0415 - as above

    with context.progress.track("look at the student", total=1) as tracker:
        refuse(rehearse(context, context.recipe.targets))
        tracker.advance()


def context_of(plan: Plan, directory: RunDirectory, progress: Progress) -> Context:
    """Return what the steps of a run share; sets the number of threads that results depend on."""
    import torch  # noqa: PLC0415 - planning must not load it

    from edgedistill.run.context import Context  # noqa: PLC0415 - as above

    torch.set_num_threads(plan.keys.threads)
    return Context(plan.recipe, plan.recipe_folder, directory, plan.keys, progress)


def _do(
    step: PlannedStage, context: Context, directory: RunDirectory, others: Others | None
) -> tuple[StepRecord, State]:
    """Do a step; where some of its devices gave nothing, it stays begun, and goes on with them the next time."""
    resumed = directory.interrupted(step.name, step.key)
    directory.begin(step.name, step.key)
    wall, cpu = time.monotonic(), time.process_time()
    shared = others(step) if others and step.name in SHARED_STEPS else nullcontext(None)
    with shared as group:
        outcome = work_of(step, group)(context)
    record = StepRecord(
        name=step.name,
        key=step.key,
        result=dict(outcome.result),
        wall_s=time.monotonic() - wall,
        cpu_s=time.process_time() - cpu,
        resumed=resumed,
    )
    if outcome.result.get("unfinished"):
        return record, "failed"
    return directory.finish(record, list(outcome.written)), "done"


def work_of(step: PlannedStage, group: Group | None) -> Callable[[Context], Outcome]:
    """Return what does a step, loaded now.

    Args:
        step: one of the plan.
        group: the processes that share it, which only some steps can; none: this one alone.
    """
    from edgedistill.distill.parallel.group import ALONE  # noqa: PLC0415 - loads torch
    from edgedistill.run.steps import bench, build, on_devices, quantize, student, teach, verify  # noqa: PLC0415 - they load torch

    spec, choice = step.spec, step.choice
    if spec is not None:
        return lambda context: quantize.quantize(context, spec, step=step.name)
    if choice is not None and step.on_devices:
        on_all = {Stage.VERIFY: on_devices.verify_on_devices, Stage.BENCH: on_devices.bench_on_devices}[step.stage]
        return lambda context: on_all(context, choice, step=step.name)
    if choice is not None:
        work = {Stage.BUILD: build.build, Stage.VERIFY: verify.verify, Stage.BENCH: bench.bench}[step.stage]
        return lambda context: work(context, choice)
    learn = {"teach": teach.teach, "baseline": student.baseline, "distill": student.distill}[step.name]
    return lambda context: learn(context, group or ALONE)


def _summarised(
    plan: Plan,
    records: dict[str, tuple[StepRecord, State]],
    directory: RunDirectory,
) -> Summary:
    from edgedistill.run.measured import measured_on_devices  # noqa: PLC0415 - loads numpy
    from edgedistill.run.summarise import summarise  # noqa: PLC0415 - reads versions, which takes a while

    summary = summarise(plan.recipe, records, measured=measured_on_devices(plan.folder))
    directory.write_text(FILE, summary.model_dump_json(indent=1))
    report = next((step for step in plan.stages if step.stage is Stage.REPORT), None)
    if report is not None:
        from edgedistill.report import page  # noqa: PLC0415 - loads jinja2

        written = page.write_report(plan.folder)
        record = StepRecord(name=report.name, key=report.key, wall_s=0.0, cpu_s=0.0)
        directory.finish(record, [written])
    return summary
