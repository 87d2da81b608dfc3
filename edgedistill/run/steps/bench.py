"""Step `bench`: latency of the artifact and of the fp32 student on this workstation, and their instruction counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedistill.bench.host import Plan, Subject, measure_pair
from edgedistill.devices.instructions import count_instructions
from edgedistill.errors import DependencyError, DeviceError, UnsupportedError
from edgedistill.evaluate.onnx_runtime import OnnxRuntimeExecutor
from edgedistill.recipe import Emulate
from edgedistill.run.steps.build import FP32_MODEL, artifact_folder
from edgedistill.run.steps.outcome import Outcome
from edgedistill.run.summary import InstructionRecord
from edgedistill.targets.base import profile_named
from edgedistill.targets.folder import open_artifact
from edgedistill.targets.registry import target_named

if TYPE_CHECKING:
    from pathlib import Path

    from edgedistill.recipe import TargetChoice
    from edgedistill.run.context import Context

INPUTS = 64
COUNTED = 8


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
    counted, notes = _instructions(context, choice, title, runtimes[0].path)
    result = {
        "latency": [record.model_dump(mode="json") for record in records],
        "instructions": [record.model_dump(mode="json") for record in counted],
        "notes": notes,
    }
    return Outcome(result, _raw_samples(into))


def _instructions(
    context: Context, choice: TargetChoice, title: str, model: Path
) -> tuple[list[InstructionRecord], list[str]]:
    """Count instructions per inference on the profile's emulated CPU, or say why not: counts are a help, no gate."""
    cpu_model = profile_named(target_named(choice.target), choice.profile).facts.get("emulated_cpu_model")
    if context.recipe.verify.emulate is Emulate.NEVER or cpu_model is None:
        return [], []
    models = {"student-fp32": context.directory.folder / FP32_MODEL, title: model}
    inputs = context.evaluation_set.plain(np.arange(min(COUNTED, len(context.test)))).inputs
    try:
        counts = count_instructions(list(models.values()), inputs, cpu_model=str(cpu_model), progress=context.progress)
    except (DependencyError, DeviceError, UnsupportedError) as error:
        return [], [f"instructions per inference were not counted: {error}"]
    records = [
        InstructionRecord(model=name, cpu_model=str(cpu_model), instructions=count.instructions)
        for name, count in zip(models, counts, strict=True)
    ]
    return records, []


def _raw_samples(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))
