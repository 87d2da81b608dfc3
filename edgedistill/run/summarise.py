"""Makes the summary of a run from the records of its steps, and judges its gates."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from edgedistill.bench.latency import InstructionRecord, LatencyRecord, UnsteadyRecord
from edgedistill.evaluate.record import Record
from edgedistill.run.summary import (
    AbstentionCurve,
    AgreementRecord,
    ArtifactRecord,
    Confusion,
    Curve,
    DeviceRecord,
    FloatLayerRecord,
    GateRecord,
    InspectionRecord,
    IntegerShareRecord,
    MaskPicture,
    ParityRecord,
    Rung,
    SensitivityRecord,
    StageRecord,
    Summary,
    SynthesisRecord,
    TeacherOutputsRecord,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from edgedistill.recipe import Recipe
    from edgedistill.run.directory import StepRecord

PACKAGES = ("edgedistill", "torch", "onnx", "onnxscript", "onnxruntime", "numpy")
ORDER = ("teacher", "student-alone", "student", "calibrated", "program", "artifact")
RecordType = TypeVar("RecordType", bound=Record)
State = Literal["done", "cached", "failed"]


def summarise(
    recipe: Recipe,
    records: Mapping[str, tuple[StepRecord, State]],
    *,
    measured: Sequence[LatencyRecord | UnsteadyRecord] = (),
) -> Summary:
    """Return the summary of a run.

    Args:
        recipe: as it was run.
        records: of its steps, by name, in order.
        measured: what devices gave.
    """
    results = [record.result for record, _ in records.values()]
    ladder = sorted(_all(results, "rungs", Rung), key=lambda rung: ORDER.index(rung.stage))
    artifacts = tuple(_all(results, "artifact", ArtifactRecord))
    parity = tuple(_all(results, "parity", ParityRecord))
    shares = tuple(_all(results, "integer_share", IntegerShareRecord))
    inspections = tuple(_all(results, "inspections", InspectionRecord))
    synthesis = tuple(_all(results, "synthesis", SynthesisRecord))
    key = "synthetic_evaluation"
    return Summary(
        name=recipe.name,
        recipe=recipe.model_dump(mode="json"),
        synthetic=next((str(result["synthetic"]) for result in results if "synthetic" in result), ""),
        synthetic_evaluation=next((str(result[key]) for result in results if key in result), None),
        classes=_classes(results),
        versions=_versions(),
        machine=_machine(),
        ladder=tuple(ladder),
        artifacts=artifacts,
        parity=parity,
        inspections=inspections,
        latency=(
            *_all(results, "latency", LatencyRecord),
            *(item for item in measured if isinstance(item, LatencyRecord)),
        ),
        unsteady=(
            *_all(results, "unsteady", UnsteadyRecord),
            *(item for item in measured if isinstance(item, UnsteadyRecord)),
        ),
        instructions=tuple(_all(results, "instructions", InstructionRecord)),
        devices=tuple(_all(results, "devices", DeviceRecord)),
        gates=(
            *_synthesis_gates(synthesis),
            *_gates(recipe, ladder, artifacts, parity, inspections),
            *_share_gates(shares),
        ),
        stages=tuple(_stage(record, state) for record, state in records.values()),
        teacher_outputs=tuple(_all(results, "teacher_outputs", TeacherOutputsRecord)),
        curves=tuple(_all(results, "curves", Curve)),
        confusion=tuple(_all(results, "confusion", Confusion)),
        sensitivity=tuple(_all(results, "sensitivity", SensitivityRecord)),
        float_layers=tuple(_all(results, "float_layers", FloatLayerRecord)),
        integer_share=shares,
        agreement=tuple(_all(results, "agreement", AgreementRecord)),
        mask_pictures=tuple(_all(results, "mask_pictures", MaskPicture)),
        abstention=tuple(_all(results, "abstention", AbstentionCurve)),
        synthesis=synthesis,
        notes=tuple(dict.fromkeys(_notes(results))),
    )


def _all(results: Sequence[Mapping[str, object]], name: str, kind: type[RecordType]) -> Iterator[RecordType]:
    for result in results:
        found = result.get(name, [])
        for item in found if isinstance(found, list) else [found]:
            yield kind.model_validate(item)


def _classes(results: Sequence[Mapping[str, object]]) -> tuple[str, ...]:
    found = next((result["classes"] for result in results if "classes" in result), [])
    return tuple(str(name) for name in found) if isinstance(found, list) else ()


def _notes(results: Sequence[Mapping[str, object]]) -> Iterator[str]:
    for result in results:
        notes = result.get("notes", [])
        if isinstance(notes, list):
            yield from (str(note) for note in notes)


def _stage(record: StepRecord, state: State) -> StageRecord:
    note = "went on after an interruption; the seconds are the last attempt's" if record.resumed else ""
    if state == "failed":
        note = "some devices gave nothing; the same command goes on with them"
    return StageRecord(
        name=record.name, key=record.key, state=state, wall_s=record.wall_s, cpu_s=record.cpu_s, note=note
    )


def _gates(
    recipe: Recipe,
    ladder: Sequence[Rung],
    artifacts: Sequence[ArtifactRecord],
    parity: Sequence[ParityRecord],
    inspections: Sequence[InspectionRecord],
) -> Iterator[GateRecord]:
    """Yield the gates: codes read back, outputs in agreement, accuracy kept, and what a target looks into."""
    for artifact in artifacts:
        yield GateRecord(
            name=f"codes, scales and zero points read back from {artifact.target}/{artifact.profile}",
            passed=artifact.readback_equal == artifact.readback_tensors,
            found=f"{artifact.readback_equal} of {artifact.readback_tensors} tensors equal bit for bit",
            wanted="all",
        )
    for pair in parity:
        yield _parity_gate(recipe, pair)
    yield from _accuracy_gates(recipe, ladder)
    for item in inspections:
        name = f"{item.target}: {item.name} ({item.label})"
        yield GateRecord(name=name, passed=item.passed, found=item.found, wanted=item.wanted)


def _synthesis_gates(records: Sequence[SynthesisRecord]) -> Iterator[GateRecord]:
    for record in records:
        name = f"samples {record.origin} ({record.used_as})"
        yield GateRecord(
            name=f"{name}: the teacher's confidence",
            passed=record.confidence >= record.min_confidence,
            found=f"a mean of {record.confidence:.3f} on {record.samples:,}",
            wanted=f"at least {record.min_confidence:g}",
        )
        yield GateRecord(
            name=f"{name}: balance of the classes",
            passed=record.least_share >= record.min_class_share,
            found=f"the rarest answer has {record.least_share:.2f} of an even share",
            wanted=f"at least {record.min_class_share:g}",
        )


def _share_gates(shares: Sequence[IntegerShareRecord]) -> Iterator[GateRecord]:
    for share in shares:
        if share.wanted:
            named = ", ".join(f"{item.kind} {item.node}" for item in share.floats) or "none"
            yield GateRecord(
                name=f"multiply-accumulates of {share.target} in integer kernels",
                passed=share.fraction >= share.wanted,
                found=f"{share.fraction:.2%}; in float: {named}",
                wanted=f"at least {share.wanted:.2%}",
            )


def _parity_gate(recipe: Recipe, pair: ParityRecord) -> GateRecord:
    settings = pair.limits or recipe.verify
    found = (
        pair.note
        if pair.passed is None
        else (
            f"top-1 agreement {pair.top1_agreement:.4%} of {pair.n:,}, "
            f"{pair.within_one_step:.4%} of outputs within {settings.max_steps:g} step(s)"
        )
    )
    return GateRecord(
        name=f"{pair.target}: {pair.reference} against {pair.other} ({pair.other_execution})",
        passed=pair.passed,
        found=found,
        wanted=f"at least {settings.min_top1_agreement:.2%} and {settings.min_within_steps:.2%}",
    )


def _accuracy_gates(recipe: Recipe, ladder: Sequence[Rung]) -> Iterator[GateRecord]:
    student = next((rung for rung in ladder if rung.stage == "student"), None)
    limit = recipe.quantize.max_accuracy_drop
    for rung in ladder:
        if rung.stage not in ("program", "artifact") or student is None or student.value is None:
            continue
        name = f"{student.metric} of the INT8 program"
        if rung.stage == "artifact":
            name = f"{student.metric} of {rung.target} ({rung.execution})"
        if rung.value is None:
            yield GateRecord(name=name, passed=None, found=rung.note, wanted=f"at most {100 * limit:.2f} points lost")
            continue
        reference = student.value if rung.student is None else rung.student
        drop = reference - rung.value
        yield GateRecord(
            name=name,
            passed=drop <= limit,
            found=f"{rung.value:.2%}, {_points(drop)} the fp32 student's {reference:.2%}{_of(rung)}",
            wanted=f"at most {100 * limit:.2f} points lost",
        )


def _of(rung: Rung) -> str:
    """Return which samples a comparison is of, where they are not the evaluation set."""
    return "" if rung.student is None else f" on the same {rung.n:,} samples"


def _points(drop: float) -> str:
    return f"{abs(100 * drop):.2f} points {'below' if drop > 0 else 'above'}"


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # not installed: nothing to report
            continue
    return found


def _machine() -> dict[str, str]:
    return {
        "cpu": _cpu_model(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
    }


def _cpu_model() -> str:
    try:
        lines: Iterable[str] = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = ()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")
