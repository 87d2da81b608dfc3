"""Step `bench`: latency of the artifact and of the fp32 student on this workstation, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedistill.bench.host import Plan, Subject, measure_pair
from edgedistill.evaluate.onnx_runtime import OnnxRuntimeExecutor
from edgedistill.run.steps.build import FP32_MODEL, artifact_folder
from edgedistill.run.steps.outcome import Outcome
from edgedistill.targets.folder import open_artifact
from edgedistill.targets.registry import target_named

if TYPE_CHECKING:
    from pathlib import Path

    from edgedistill.recipe import TargetChoice
    from edgedistill.run.context import Context

INPUTS = 64


def bench(context: Context, choice: TargetChoice) -> Outcome:
    """Measure both models where the target has an executor that is ONNX Runtime on this machine; else nothing."""
    target = target_named(choice.target)
    artifact, _ = open_artifact(artifact_folder(context, choice))
    runtimes = [item for item in target.executors(artifact) if isinstance(item, OnnxRuntimeExecutor)]
    if not runtimes:
        return Outcome({"latency": [], "notes": [f"{choice.target} has no executor on this workstation to measure"]})
    title = f"{choice.target}/{choice.profile}"
    settings = context.recipe.bench
    into = context.directory.folder / "bench" / f"{choice.target}-{choice.profile}"
    records = measure_pair(
        Subject("student-fp32", context.directory.folder / FP32_MODEL),
        Subject(title, runtimes[0].path, runtimes[0].options),
        Plan(
            inputs=context.evaluation_set.plain(np.arange(min(INPUTS, len(context.test)))).inputs,
            processes=settings.processes,
            samples=settings.samples,
            threads=settings.threads,
            into=into,
            run_folder=context.directory.folder,
        ),
        progress=context.progress,
    )
    return Outcome({"latency": [record.model_dump(mode="json") for record in records]}, _raw_samples(into))


def _raw_samples(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))
