"""Step `bench`: latency of the artifact and of the fp32 student on this workstation, and their instruction counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedistill.bench.host import Plan, Subject, measure_on_host
from edgedistill.bench.latency import InstructionRecord, LatencyRecord
from edgedistill.bench.recording import Verified
from edgedistill.bench.records import record_of
from edgedistill.devices.instructions import count_instructions
from edgedistill.errors import DependencyError, DeviceError, GateError, UnsupportedError
from edgedistill.evaluate.onnx_runtime import OnnxRuntimeExecutor
from edgedistill.recipe import Emulate
from edgedistill.run.steps.build import FP32_MODEL, artifact_folder
from edgedistill.run.steps.outcome import Outcome
from edgedistill.targets.base import profile_named
from edgedistill.targets.folder import open_artifact
from edgedistill.targets.registry import target_named

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgedistill.bench.measurement import Measurement
    from edgedistill.recipe import TargetChoice
    from edgedistill.run.context import Context
    from edgedistill.targets.base import Artifact

INPUTS = 64
COUNTED = 8
ROUNDING = 1e-3  # outputs are float32: one step may read as a little more


def bench(context: Context, choice: TargetChoice) -> Outcome:
    """Measure both models where the target has an executor that is ONNX Runtime on this machine; else nothing."""
    target = target_named(choice.target)
    artifact, manifest = open_artifact(artifact_folder(context, choice))
    runtimes = [item for item in target.executors(artifact) if isinstance(item, OnnxRuntimeExecutor)]
    if not runtimes:
        return Outcome({"latency": [], "notes": [f"{choice.target} has no executor on this workstation to measure"]})
    title = choice.title
    settings = context.recipe.bench
    measured = measure_on_host(
        (
            Subject("student-fp32", context.directory.folder / FP32_MODEL, precision="fp32"),
            Subject(
                title,
                runtimes[0].path,
                runtimes[0].options,
                precision=str(manifest.get("precision", "")) or None,
                verified=_verified(artifact, manifest, runtimes[0]),
            ),
        ),
        Plan(
            inputs=context.evaluation_set.plain(np.arange(min(INPUTS, len(context.test)))).inputs,
            processes=settings.processes,
            samples=settings.samples,
            seconds=settings.seconds,
            threads=settings.threads,
        ),
        progress=context.progress,
    )
    written = [_written(item, context, choice) for item in measured]
    records = [
        record_of(item, model=model, file=path.relative_to(context.directory.folder).as_posix())
        for item, model, path in zip(measured, ("student-fp32", title), written, strict=True)
    ]
    counted, notes = _instructions(context, choice, title, runtimes[0].path)
    result = {
        "latency": [record.model_dump(mode="json") for record in records if isinstance(record, LatencyRecord)],
        "unsteady": [record.model_dump(mode="json") for record in records if not isinstance(record, LatencyRecord)],
        "instructions": [record.model_dump(mode="json") for record in counted],
        "notes": notes,
    }
    return Outcome(result, written)


def _verified(artifact: Artifact, manifest: Mapping[str, object], executor: OnnxRuntimeExecutor) -> Verified | None:
    """Return how the golden samples agree in the runtime that is measured; none where the artifact has none here."""
    path, golden, output = artifact.folder / "golden.npz", manifest.get("golden"), manifest.get("output")
    if not path.is_file() or not isinstance(golden, dict) or not isinstance(output, dict):
        return None
    with np.load(path, allow_pickle=False) as stored:
        inputs, expected = stored["inputs"], stored["outputs"]
    found = executor.run(inputs)
    steps = np.abs(found.astype(np.float64) - expected.astype(np.float64)) / float(output["step"])
    allowed = float(golden["max_steps"])
    if steps.max() > allowed + ROUNDING:
        raise GateError(
            f"golden samples of '{artifact.folder}'",
            found=f"outputs differ by up to {steps.max():.3g} steps",
            wanted=f"at most {allowed:g}; no latency is measured of an artifact that computes something else",
            fix="`edgedistill verify RECIPE --bisect` names the first tensor that differs",
        )
    return Verified(
        golden_samples=len(inputs),
        largest_steps=float(steps.max()),
        max_steps=allowed,
        identical_outputs=float((found == expected).mean()),
    )


def _written(measurement: Measurement, context: Context, choice: TargetChoice) -> Path:
    into = context.directory.folder / "bench" / choice.folder_name
    into.mkdir(parents=True, exist_ok=True)
    path = into / f"{measurement.title.replace('/', '-')}.json"
    path.write_text(measurement.model_dump_json(by_alias=True), "utf-8")
    return path


def _instructions(
    context: Context, choice: TargetChoice, title: str, model: Path
) -> tuple[list[InstructionRecord], list[str]]:
    """Count instructions per inference on the profile's emulated CPU, or say why not: counts are a help, no gate."""
    profile = profile_named(target_named(choice.target), choice.profile, choice.options)
    cpu_model = profile.facts.get("emulated_cpu_model")
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
