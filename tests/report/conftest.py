"""Runs to draw: a realistic one, and what becomes of it when something was not run, failed, or is absent."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedistill.bench.analysis import measurement_from_recording
from edgedistill.bench.latency import InstructionRecord, LatencyRecord, UnsteadyRecord
from edgedistill.bench.recording import Recording
from edgedistill.evaluate.executor import Execution
from edgedistill.run.summary import (
    FILE,
    ArtifactRecord,
    Confusion,
    Curve,
    CurvePoint,
    FileRecord,
    FloatLayerRecord,
    FloatOperator,
    GateRecord,
    IntegerShareRecord,
    ParityRecord,
    Rung,
    SensitivityRecord,
    StageRecord,
    Summary,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgedistill.bench.measurement import Measurement

TARGET = "arm-onnxruntime/raspberry-pi-5"
TORCH = "torch 2.13.0, float32, 2 threads, x86-64"
X86 = "onnxruntime 1.31.1, CPUExecutionProvider, x64quantprecision=1, 1 thread, x86-64"
ARM = "onnxruntime 1.32.0, CPUExecutionProvider, 1 thread, aarch64, QEMU 10.0.2 cortex-a76"
CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
NO_QEMU = "qemu-aarch64 is not installed; `edgedistill devices emulate` builds the environment"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def ladder() -> tuple[Rung, ...]:
    student = {"n": 10_000, "parameters": 43_978}
    return (
        Rung(
            stage="teacher",
            value=0.9386,
            n=10_000,
            execution=Execution.HOST,
            executor=TORCH,
            parameters=1_227_594,
            size_bytes=4_925_112,
        ),
        Rung(stage="student-alone", value=0.9122, execution=Execution.HOST, executor=TORCH, **student),
        Rung(
            stage="student",
            value=0.9207,
            execution=Execution.HOST,
            executor=TORCH,
            size_bytes=177_412,
            **student,
        ),
        Rung(
            stage="program",
            value=0.9198,
            execution=Execution.SIMULATED,
            executor="torch 2.13.0, fake-quantized program, x86-64",
            **student,
        ),
        *(
            Rung(
                stage="artifact",
                target=TARGET,
                value=0.9198,
                execution=execution,
                executor=label,
                size_bytes=52_871,
                **student,
            )
            for execution, label in ((Execution.HOST, X86), (Execution.EMULATED, ARM))
        ),
    )


def parity() -> tuple[ParityRecord, ...]:
    shared = {"target": TARGET, "n": 10_000, "step": 0.1173, "passed": True}
    return (
        ParityRecord(
            reference="program",
            reference_execution=Execution.SIMULATED,
            other="onnxruntime-x86_64",
            other_execution=Execution.HOST,
            label=X86,
            top1_agreement=0.9999,
            identical_outputs=0.98731,
            within_one_step=0.99996,
            largest_steps=2.0,
            note="1 of 10,000 samples has another class; its two best classes are one step apart",
            **shared,
        ),
        ParityRecord(
            reference="onnxruntime-x86_64",
            reference_execution=Execution.HOST,
            other="onnxruntime-aarch64",
            other_execution=Execution.EMULATED,
            label=ARM,
            top1_agreement=1.0,
            identical_outputs=1.0,
            within_one_step=1.0,
            largest_steps=0.0,
            **shared,
        ),
    )


def latency() -> tuple[LatencyRecord, ...]:
    shared = {
        "execution": Execution.HOST,
        "device": "local",
        "threads": 1,
        "processes": 3,
        "n": 1_500,
        "quick": True,
        "verdict": "steady",
        "peak_memory_bytes": 71_303_168,
        "doubts": ("quick: 1,500 samples in 0.8 s",),
    }
    return (
        LatencyRecord(
            model="student-fp32",
            label="onnxruntime 1.31.1, CPUExecutionProvider, 1 thread, x86-64",
            cold_load_ms=9.81,
            first_inference_ms=1.94,
            p50_ms=0.5213,
            p50_ci95_ms=(0.5171, 0.5268),
            p90_ms=0.561,
            p99_ms=0.893,
            mad_ms=0.0142,
            measurement_file="bench/student-fp32.json",
            **shared,
        ),
        LatencyRecord(
            model=TARGET,
            label=X86,
            cold_load_ms=12.4,
            first_inference_ms=1.12,
            p50_ms=0.3122,
            p50_ci95_ms=(0.3095, 0.3149),
            p90_ms=0.343,
            p99_ms=0.612,
            mad_ms=0.0098,
            measurement_file="bench/arm-onnxruntime.json",
            **shared,
        ),
    )


def curve(name: str, *, epochs: int, start: float, end: float, loss: float) -> Curve:
    """Return a history that approaches `end` and wobbles a little on the way."""
    points = tuple(
        CurvePoint(
            epoch=float(epoch),
            loss=loss * (0.25 + 0.75 / epoch),
            accuracy=end - (end - start) / epoch**1.4 + 0.004 * ((epoch * 7) % 5 - 2) / epoch,
            learning_rate=0.1 * (1 - (epoch - 1) / epochs),
        )
        for epoch in range(1, epochs + 1)
    )
    return Curve(name=name, points=points)


def confusion(classes: int) -> Confusion:
    """Return counts of 1,000 samples a class with neighbours confused; 0 and 6 are T-shirt and shirt."""
    counts = np.zeros((classes, classes), dtype=int)
    for true in range(classes):
        counts[true, (true + 2) % classes] = 3 + 4 * (true % 4)
        counts[true, (true + 5) % classes] = true % 3
    if classes > 6:
        counts[0, 6], counts[6, 0], counts[6, 2], counts[4, 2] = 91, 118, 63, 48
    counts[np.diag_indices(classes)] = 1000 - counts.sum(axis=1)
    return Confusion(stage="artifact onnxruntime-x86_64", counts=tuple(tuple(row) for row in counts.tolist()))


def artifact() -> ArtifactRecord:
    sizes = {
        "model.onnx": 52_871,
        "manifest.json": 3_412,
        "labels.txt": 83,
        "golden/raw.npy": 6_400,
        "golden/outputs.npy": 448,
        "runner.py": 9_120,
    }
    return ArtifactRecord(
        target="arm-onnxruntime",
        profile="raspberry-pi-5",
        folder="artifacts/arm-onnxruntime/raspberry-pi-5",
        model="model.onnx",
        files=tuple(FileRecord(path=path, size_bytes=size, sha256=_digest(path)) for path, size in sizes.items()),
        fp32_bytes=178_020,
        readback_tensors=87,
        readback_equal=87,
    )


GATES = (
    GateRecord(
        name="read-back, arm-onnxruntime",
        passed=True,
        found="87 of 87 tensors equal",
        wanted="all, bit for bit",
    ),
    GateRecord(name="parity program ↔ x86, top-1", passed=True, found="99.99 % of 10,000", wanted="at least 99.99 %"),
    GateRecord(
        name="parity program ↔ x86, outputs",
        passed=True,
        found="99.996 % within one step",
        wanted="at least 99.9 %",
    ),
    GateRecord(name="parity x86 ↔ aarch64", passed=True, found="0 of 100,000 outputs differ", wanted="identical bits"),
    GateRecord(
        name="accuracy of the artifact",
        passed=True,
        found="91.98 %, 0.09 points below the student",
        wanted="at most 0.30 points below 92.07 %",
    ),
)


def stages() -> tuple[StageRecord, ...]:
    times = {
        "teach": (121.4, 236.0),
        "distill": (402.7, 781.9),
        "quantize": (88.1, 160.2),
        "build": (4.2, 4.1),
        "verify": (97.0, 95.5),
        "bench": (6.3, 5.9),
    }
    return tuple(
        StageRecord(
            name=name,
            key=_digest(name),
            state="cached" if name == "teach" else "done",
            wall_s=wall,
            cpu_s=cpu,
        )
        for name, (wall, cpu) in times.items()
    )


def recipe() -> dict[str, object]:
    return {
        "version": 1,
        "name": "fashion-mnist",
        "seed": 0,
        "data": {
            "source": "fashion-mnist",
            "preprocessing": {
                "kind": "image",
                "size": [28, 28],
                "channels": 1,
                "mean": [0.286],
                "std": [0.353],
            },
            "views": {"count": 4, "flip": True, "shift": 2},
        },
        "teacher": {"source": "residual", "options": {"width": 48}, "weights": "builtin:fashion-mnist"},
        "student": {"source": "residual", "options": {"width": 16}},
        "distill": {"epochs": 12, "batch_size": 128, "soft_targets": {"weight": 0.9, "temperature": 4.0}},
        "verify": {"max_steps": 1.0, "emulate": "auto"},
        "targets": [{"target": "arm-onnxruntime", "profile": "raspberry-pi-5"}],
    }


def full_summary() -> Summary:
    return Summary(
        name="fashion-mnist",
        recipe=recipe(),
        classes=CLASSES,
        versions={
            "edgedistill": "0.1.0",
            "python": "3.11.2",
            "torch": "2.13.0+cpu",
            "onnx": "1.20.1",
            "onnxruntime": "1.31.1",
            "numpy": "2.4.6",
        },
        machine={"cpu": "Intel Xeon (Cascade Lake) @ 2.20 GHz", "cores": "2", "system": "Linux 6.1, x86_64"},
        ladder=ladder(),
        artifacts=(artifact(),),
        parity=parity(),
        latency=latency(),
        instructions=(
            InstructionRecord(model="student-fp32", cpu_model="cortex-a76", instructions=11_842_311.0),
            InstructionRecord(model=TARGET, cpu_model="cortex-a76", instructions=4_310_877.0),
        ),
        gates=GATES,
        stages=stages(),
        curves=(
            curve("student", epochs=12, start=0.78, end=0.923, loss=4.1),
            curve("student-alone", epochs=12, start=0.74, end=0.914, loss=0.71),
            curve("finetune", epochs=2, start=0.9171, end=0.9205, loss=1.02),
        ),
        confusion=(
            confusion(10),
            confusion(10).model_copy(update={"stage": "artifact onnxruntime-aarch64"}),
        ),
        sensitivity=tuple(
            SensitivityRecord(
                spec="uint8 asymmetric",
                node=f"conv2d_{index}",
                layer=f"stages.{index}.conv1",
                alone_sqnr_db=48.0 - 3 * index,
                alone_agreement=0.999,
                others_sqnr_db=31.0 + index,
                others_agreement=0.99,
            )
            for index in range(9)
        ),
        float_layers=(
            FloatLayerRecord(
                spec="uint8 asymmetric",
                node="conv2d_8",
                layer="stages.8.conv1",
                accuracy_before=0.9102,
                accuracy_after=0.9188,
            ),
        ),
        integer_share=(
            IntegerShareRecord(
                target=TARGET,
                label="ONNX Runtime 1.31.1, x86_64 workstation",
                fraction=0.93,
                macs=3_021_888,
                floats=(FloatOperator(node="conv2d_8", kind="FusedConv", macs=211_532),),
                islands={"HardSigmoid": 2},
                wanted=0.9,
            ),
        ),
        notes=("Fashion-MNIST: 60,000 training and 10,000 evaluation images.",),
    )


def changed(summary: Summary, **parts: object) -> Summary:
    """Return a validated copy with some parts replaced."""
    return Summary.model_validate(summary.model_dump() | parts)


@pytest.fixture
def full() -> Summary:
    """Everything ran and passed."""
    return full_summary()


@pytest.fixture
def not_run(full: Summary) -> Summary:
    """The emulated board could not be had."""
    lost = Rung(
        stage="artifact",
        target=TARGET,
        value=None,
        n=0,
        execution=Execution.NOT_RUN,
        executor="onnxruntime aarch64 under QEMU",
        note=NO_QEMU,
    )
    uncompared = full.parity[1].model_dump() | {
        "other_execution": Execution.NOT_RUN,
        "n": 0,
        "passed": None,
        "note": NO_QEMU,
        **dict.fromkeys(("top1_agreement", "identical_outputs", "within_one_step", "largest_steps")),
    }
    gate = GateRecord(name="parity x86 ↔ aarch64", passed=None, found=NO_QEMU, wanted="identical bits")
    return changed(
        full,
        ladder=(*full.ladder[:-1], lost),
        parity=(full.parity[0], uncompared),
        gates=(*GATES[:3], gate, GATES[4]),
        instructions=(),
    )


@pytest.fixture
def failed(full: Summary) -> Summary:
    """The artifact lost too much accuracy."""
    gate = GateRecord(
        name="accuracy of the artifact",
        passed=False,
        found="90.11 %, 1.96 points below the student",
        wanted="at most 0.30 points below 92.07 %",
    )
    stopped = StageRecord(name="bench", key=_digest("bench"), state="not-run", wall_s=0, cpu_s=0, note="a gate failed")
    worse = [rung.model_copy(update={"value": 0.9011}) for rung in full.ladder[-2:]]
    return changed(
        full,
        ladder=(*full.ladder[:-2], *worse),
        gates=(*GATES[:-1], gate),
        latency=(),
        stages=(*full.stages[:-1], stopped),
    )


@pytest.fixture
def minimal() -> Summary:
    """Nothing optional is there."""
    return Summary(
        name="minimal",
        recipe={},
        classes=(),
        versions={},
        machine={},
        ladder=(),
        artifacts=(),
        parity=(),
        gates=(),
        stages=(),
    )


@pytest.fixture
def run_folder(tmp_path: Path) -> Callable[[Summary], Path]:
    """Return a function that lays a run directory: summary.json and the measurements it names."""

    def lay(summary: Summary) -> Path:
        (tmp_path / FILE).write_text(summary.model_dump_json(indent=1), "utf-8")
        for index, record in enumerate([*summary.latency, *summary.unsteady]):
            path = tmp_path / record.measurement_file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(measurement_of(record, seed=index).model_dump_json(by_alias=True), "utf-8")
        return tmp_path

    return lay


def measurement_of(record: LatencyRecord | UnsteadyRecord, *, seed: int) -> Measurement:
    """Return a measurement with samples around the record's median, with a tail, and with sensors."""
    generator = np.random.default_rng(seed)
    median = record.p50_ms if isinstance(record, LatencyRecord) else 1.0
    processes = []
    for process in range(3):
        body = median * (1 + 0.01 * process) * (1 + 0.03 * generator.standard_normal(500))
        tail = np.where(generator.random(500) < 0.02, generator.exponential(2.0 * median, 500), 0.0)
        if isinstance(record, UnsteadyRecord):
            body[440:] *= 1.5
        samples = np.maximum(1, (body + tail) * 1e6).astype(int).tolist()
        at = np.linspace(-1e6, sum(samples), 12).astype(int).tolist()
        traces = [
            {"quantity": quantity, "sensor": sensor, "at_ns": at, "values": values}
            for quantity, sensor, values in (
                ("temperature_c", "thermal_zone0 cpu-thermal", (41.0 + np.arange(12)).tolist()),
                ("frequency_mhz", "policy0", [2400.0] * 12),
            )
        ]
        processes.append({"load_ns": 9_000_000, "first_ns": 1_900_000, "samples_ns": samples, "traces": traces})
    target, slash, profile = record.model.partition("/")
    document = {
        "started": "2026-11-24T02:40:00Z",
        "artifact": {
            "name": record.model,
            "target": target if slash else None,
            "profile": profile or None,
            "format": "onnx",
            "model_sha256": _digest(record.model),
            "size_bytes": 52_871,
        },
        "runtime": {"name": "onnxruntime", "version": "1.32.0", "provider": "CPUExecutionProvider", "threads": 1},
        "device": {
            "kind": "host",
            "execution": str(record.execution),
            "name": record.device,
            "machine": "x86_64",
            "soc": "Intel Xeon (Cascade Lake) @ 2.20 GHz",
            "cores": 2,
            "memory_bytes": 8_343_281_664,
        },
        "workload": {"batch": 1, "input": "real", "shape": (1, 1, 28, 28), "scope": "invoke+copies"},
        "protocol": {"runner": "a test", "min_samples": 1024, "min_seconds": 60.0, "clock": "monotonic_ns"},
        "verified": None,
        "processes": processes,
    }
    return measurement_from_recording(Recording.model_validate(document))
