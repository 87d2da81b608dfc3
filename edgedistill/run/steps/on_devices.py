"""Steps on the devices that a recipe names: all at once, each with its own end.

What one device gave is kept when another fails, and an interrupted step goes on with the devices that are left.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from edgedistill.bench.measurement import Measurement
from edgedistill.bench.on_device import Place, Settings, judged, measure_on_device
from edgedistill.bench.results import keep, keep_in_run
from edgedistill.devices.fleet import Log, fleet, slug
from edgedistill.devices.inventory import listed, reached
from edgedistill.devices.jobs import Patience
from edgedistill.durable import write_durably
from edgedistill.evaluate.executor import Execution
from edgedistill.evaluate.torch_executors import ProgramExecutor
from edgedistill.quantize.program import load_program
from edgedistill.run.steps.build import artifact_folder
from edgedistill.run.steps.outcome import Outcome
from edgedistill.run.steps.parity_record import parity_record
from edgedistill.run.steps.quantize import program_folder
from edgedistill.run.steps.rungs import confusions, rung
from edgedistill.run.summary import DeviceRecord
from edgedistill.targets.base import profile_named
from edgedistill.targets.device_executor import DeviceExecutor
from edgedistill.targets.folder import model_bytes, open_artifact
from edgedistill.targets.registry import target_named

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edgedistill.devices.fleet import Ended
    from edgedistill.devices.inventory import Listed
    from edgedistill.recipe import TargetChoice
    from edgedistill.run.context import Context

    Result = dict[str, object]

LOGS = "devices"
"""Folder of the run directory for the devices' logs."""
PARTS = ("rungs", "parity", "confusion")


@dataclass(frozen=True)
class _Work:
    """One step of one artifact on every device.

    Args:
        context: of the run.
        choice: the artifact.
        step: its name, under which what is done is kept.
        stage: `verify` or `bench`.
    """

    context: Context
    choice: TargetChoice
    step: str
    stage: str

    @property
    def title(self) -> str:
        """The artifact as the summary calls it."""
        return f"{self.choice.target}/{self.choice.profile}"

    @property
    def kept(self) -> Path:
        """Folder of what devices gave, for an interrupted step to go on with."""
        return self.context.directory.work_folder(self.step)

    def on_every_device(self, work: Callable[[DeviceExecutor], Result]) -> Outcome:
        """Do the work on every device that has not done it yet, and return what all gave."""
        target = target_named(self.choice.target)
        artifact, _ = open_artifact(artifact_folder(self.context, self.choice))
        profile = profile_named(target, self.choice.profile)
        folder = self.context.recipe_folder

        def one(item: Listed, log: Log) -> Result:
            before = self._before(item)
            if before is not None:
                log(f"{self.step}: done before")
                return before
            log(f"{self.step}: begun at {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC")
            executor = DeviceExecutor(
                artifact,
                profile,
                reached(item, progress=self.context.progress),
                self.kept / f"{slug(item.name)}-jobs",
                item.entry.timeout_s,
                Patience(busy_s=item.entry.busy_s),
                log,
            )
            result = {**work(executor), **_identity(executor)}
            write_durably(self._kept(item), json.dumps(result).encode())
            return result

        ends = fleet(
            [listed(name, project=folder) for name in dict.fromkeys(self.context.recipe.bench.devices)],
            one,
            logs=self.context.directory.folder / LOGS,
            progress=self.context.progress,
            title=self.step,
        )
        return self._outcome(ends)

    def _before(self, item: Listed) -> Result | None:
        path = self._kept(item)
        return dict(json.loads(path.read_text("utf-8"))) if path.exists() else None

    def _kept(self, item: Listed) -> Path:
        return self.kept / f"{slug(item.name)}.json"

    def _outcome(self, ends: list[Ended[Result]]) -> Outcome:
        result: Result = {
            name: [item for end in ends if end.value for item in _list(end.value, name)] for name in PARTS
        }
        result["devices"] = [self._record(end).model_dump(mode="json") for end in ends]
        result["unfinished"] = [
            {"device": end.name, "kind": type(end.error).__name__, "message": str(end.error)}
            for end in ends
            if end.error is not None
        ]
        result["notes"] = [
            *(f"{self.title} on {end.name}: {note}" for end in ends if end.value for note in _list(end.value, "notes")),
            *(f"{self.stage} of {self.title} on {end.name} FAILED: {end.error}" for end in ends if end.error),
        ]
        return Outcome(result)

    def _record(self, end: Ended[Result]) -> DeviceRecord:
        value = end.value or {}
        return DeviceRecord(
            stage="verify" if self.stage == "verify" else "bench",
            target=self.title,
            device=end.name,
            execution=Execution(str(value.get("execution", Execution.NOT_RUN))),
            machine=str(value["machine"]) if "machine" in value else None,
            facts={str(key): str(fact) for key, fact in _mapping(value, "facts").items()},
            error=str(end.error) if end.error else None,
            log_file=f"{LOGS}/{slug(end.name)}.log",
        )


def verify_on_devices(context: Context, choice: TargetChoice, *, step: str) -> Outcome:
    """Run the artifact on every device of the recipe, and compare each with the program."""
    work = _Work(context, choice, step, "verify")
    artifact, _ = open_artifact(artifact_folder(context, choice))
    program = ProgramExecutor(load_program(program_folder(context, context.keys.spec(choice))))
    reference = context.outputs(program, samples=context.recipe.verify.samples)
    student = context.student_on_the_proof

    def verified(executor: DeviceExecutor) -> Result:
        outputs = context.outputs(executor, samples=context.recipe.verify.samples)
        size, judge = model_bytes(artifact), context.judge
        reached = rung("artifact", executor, outputs, judge, target=work.title, size_bytes=size, student=student)
        compared = parity_record(
            context, target=work.title, before=program, reference=reference, executor=executor, outputs=outputs
        )
        return {
            "rungs": [reached.model_dump(mode="json")],
            "parity": [compared.model_dump(mode="json")],
            "confusion": [
                item.model_dump(mode="json") for item in confusions(f"artifact {executor.name}", outputs, judge)
            ],
            "notes": list(executor.notes),
        }

    return work.on_every_device(verified)


def bench_on_devices(context: Context, choice: TargetChoice, *, step: str) -> Outcome:
    """Measure the artifact on every device of the recipe; an emulated one rehearses it, and has no latency."""
    work = _Work(context, choice, step, "bench")
    chosen = context.recipe.bench
    settings = Settings(
        processes=chosen.processes,
        seconds=chosen.seconds,
        samples=chosen.processes * chosen.samples,
        threads=chosen.threads,
    )

    def measured(executor: DeviceExecutor) -> Result:
        assert executor.facts  # noqa: S101 - the machine is checked before anything is measured
        place = Place(executor.device, executor.work, executor.patience, executor.say, executor.timeout_s)
        found = judged(measure_on_device(executor.artifact.folder, place, settings))
        file = keep(found)
        if isinstance(found, Measurement):
            keep_in_run(found, context.directory.folder)
            return {"notes": []}
        note = "it is emulated: the protocol was carried out to its end there, and its time is no latency"
        return {"notes": [f"{note} ({file})"]}

    return work.on_every_device(measured)


def _identity(executor: DeviceExecutor) -> Result:
    facts = executor.facts
    return {"execution": str(facts.execution), "machine": facts.machine, "facts": dict(facts.facts)}


def _list(result: Mapping[str, object], name: str) -> list[object]:
    found = result.get(name, [])
    return found if isinstance(found, list) else []


def _mapping(result: Mapping[str, object], name: str) -> Mapping[str, object]:
    found = result.get(name, {})
    return found if isinstance(found, dict) else {}
