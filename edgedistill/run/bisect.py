"""Compares the artifacts of a run with its programs, tensor by tensor, in every executor that can be looked into."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgedistill.errors import DependencyError, DeviceError, GateError, UnsupportedError
from edgedistill.progress import SILENT
from edgedistill.run.directory import RunDirectory
from edgedistill.run.pipeline import context_of, execute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgedistill.evaluate.bisect import Bisection
    from edgedistill.evaluate.executor import Execution, Executor
    from edgedistill.progress import Progress
    from edgedistill.recipe import TargetChoice
    from edgedistill.run.context import Context
    from edgedistill.run.pipeline import Plan

SAMPLES = 32
"""Enough for an error of a kernel to show, few enough for an emulated board and a MobileNetV2 in a minute."""


@dataclass(frozen=True)
class ArtifactBisection:
    """What one executor of one artifact computed beside the program.

    Args:
        target: "arm-onnxruntime/raspberry-pi-4".
        executor: its name.
        label: runtime, version, machine.
        execution: what stands behind it.
        found: the comparison; None where the executor could not be run or not be looked into.
        reason: why not.
    """

    target: str
    executor: str
    label: str
    execution: Execution
    found: Bisection | None
    reason: str = ""

    @property
    def differs(self) -> bool:
        """Whether anything was found to differ."""
        return self.found is not None and not (self.found.first is None and self.found.outputs_equal)


def bisect_run(plan: Plan, *, samples: int = SAMPLES, progress: Progress = SILENT) -> list[ArtifactBisection]:
    """Do what is missing of a plan that ends with `build`, then compare every artifact with its program.

    Args:
        plan: from `pipeline.plan`, until `Stage.BUILD`.
        samples: the first so many of the evaluation set.
        progress: where to report.

    Raises:
        EdgeDistillError: a step cannot be done.
    """
    if any(stage.state != "cached" for stage in plan.stages):
        with contextlib.suppress(GateError):  # what failed is what one wants to look into
            execute(plan, progress=progress)
    context = context_of(plan, RunDirectory(plan.folder), progress)
    count = min(samples, len(context.test))
    return [item for choice in plan.recipe.targets for item in _artifact(context, choice, count)]


def _artifact(context: Context, choice: TargetChoice, samples: int) -> Iterator[ArtifactBisection]:
    from edgedistill.evaluate.bisect import bisect  # noqa: PLC0415 - loads torch
    from edgedistill.evaluate.inspection import Inspectable  # noqa: PLC0415 - loads onnx
    from edgedistill.quantize.program import load_program  # noqa: PLC0415 - loads torch
    from edgedistill.run.steps.build import artifact_folder  # noqa: PLC0415 - loads torch
    from edgedistill.run.steps.quantize import program_folder  # noqa: PLC0415 - loads torch
    from edgedistill.targets.folder import open_artifact  # noqa: PLC0415 - as the pipeline
    from edgedistill.targets.registry import target_named  # noqa: PLC0415 - as the pipeline

    artifact, _ = open_artifact(artifact_folder(context, choice))
    program = load_program(program_folder(context, context.keys.spec(choice)))
    inputs = context.evaluation_set.plain(np.arange(samples)).inputs
    for executor in target_named(choice.target).executors(artifact):
        with context.progress.track(f"compare with {executor.name}", total=1) as tracker:
            reason = _reason_to_skip(context, executor)
            found = None
            if not isinstance(executor, Inspectable):
                reason = reason or "this executor does not show its codes"
            elif not reason:
                try:
                    found = bisect(program, executor.inspect(inputs), inputs)
                except (DependencyError, DeviceError, UnsupportedError) as error:
                    reason = str(error)
            tracker.advance()
        yield ArtifactBisection(
            target=choice.title,
            executor=executor.name,
            label=executor.label if found is not None else "",
            execution=executor.execution,
            found=found,
            reason=reason,
        )


def _reason_to_skip(context: Context, executor: Executor) -> str:
    from edgedistill.evaluate.executor import Execution  # noqa: PLC0415 - as above
    from edgedistill.recipe import Emulate  # noqa: PLC0415 - as above

    never = context.recipe.verify.emulate is Emulate.NEVER
    return "the recipe says `verify.emulate: never`" if never and executor.execution is Execution.EMULATED else ""
