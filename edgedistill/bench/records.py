"""What a run's summary says of a measurement."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Literal

from edgedistill.bench.latency import LatencyRecord, PrecisionRecord, UnsteadyRecord
from edgedistill.evaluate.executor import Execution

if TYPE_CHECKING:
    from edgedistill.bench.measurement import Measurement

EXECUTIONS: dict[str, Literal[Execution.DEVICE, Execution.HOST]] = {
    "device": Execution.DEVICE,
    "host": Execution.HOST,
}


def record_of(measurement: Measurement, *, model: str, file: str) -> LatencyRecord | UnsteadyRecord:
    """Return the record of a measurement: a latency, or why there is none.

    Args:
        measurement: of a device or of this workstation.
        model: `student-fp32` or `target/profile`.
        file: where the measurement is, relative to the run directory.
    """
    analysis, recording = measurement.analysis, measurement.recording
    execution, device, label = EXECUTIONS[recording.device.execution], recording.device.name, label_of(measurement)
    if analysis.verdict == "no steady state" or analysis.p50_ms is None or analysis.p50_ci95_ms is None:
        return UnsteadyRecord(
            model=model,
            execution=execution,
            device=device,
            label=label,
            reason=unsteady_reason(measurement),
            measurement_file=file,
        )
    energy = main_energy(measurement)
    return LatencyRecord(
        model=model,
        execution=execution,
        device=device,
        label=label,
        threads=recording.runtime.threads,
        processes=len(recording.processes),
        n=analysis.n,
        quick=analysis.quick,
        verdict=analysis.verdict,
        cold_load_ms=analysis.cold_load_ms,
        first_inference_ms=analysis.first_inference_ms,
        p50_ms=analysis.p50_ms,
        p50_ci95_ms=analysis.p50_ci95_ms,
        p90_ms=analysis.p90.value_ms if analysis.p90 else None,
        p90_ci95_ms=analysis.p90.interval95_ms if analysis.p90 else None,
        p99_ms=analysis.p99.value_ms if analysis.p99 else None,
        p99_ci95_ms=analysis.p99.interval95_ms if analysis.p99 else None,
        mad_ms=analysis.mad_ms or 0.0,
        peak_memory_bytes=analysis.peak_memory_bytes,
        energy_mj=energy[1] if energy else None,
        energy_sensor=energy[0] if energy else None,
        doubts=analysis.failed_rules,
        precisions=_precisions(measurement),
        measurement_file=file,
    )


def _precisions(measurement: Measurement) -> PrecisionRecord | None:
    found = measurement.recording.precisions
    if found is None:
        return None
    return PrecisionRecord(
        ship=found.ship,
        int8_ms=median(found.int8_ms),
        fp16_ms=median(found.fp16_ms),
        processes=min(len(found.int8_ms), len(found.fp16_ms)),
    )


def ship_text(record: LatencyRecord) -> str:
    """Return which precision to ship on that machine, and why; empty where only one was measured."""
    found = record.precisions
    if found is None:
        return ""
    names, medians = {"int8": "INT8", "fp16": "FP16"}, {"int8": found.int8_ms, "fp16": found.fp16_ms}
    place, turns = f"On {record.device} ({record.execution})", f"{found.processes} processes each, in turns"
    if found.ship == "either":
        both = f"INT8 {found.int8_ms:.4g} ms, FP16 {found.fp16_ms:.4g} ms"
        return f"{place}: ship INT8 or FP16: neither is faster in every process (medians {both}; {turns})"
    other = "fp16" if found.ship == "int8" else "int8"
    took, against = medians[other], medians[found.ship]
    told = f"{names[other]} took {took / against:.3g} times as long (median {took:.4g} ms against {against:.4g} ms"
    return f"{place}: ship {names[found.ship]}: {told}; {turns})"


def label_of(measurement: Measurement) -> str:
    """Return one line for people: runtime, version, provider, machine, options."""
    runtime, device = measurement.recording.runtime, measurement.recording.device
    machine = device.model or device.soc or device.machine or device.kind
    parts = [f"{_runtime_name(runtime.name)} {runtime.version}", runtime.provider, machine]
    if runtime.threads is not None:
        parts.append("1 thread" if runtime.threads == 1 else f"{runtime.threads} threads")
    parts += [f"governor {device.governor}"] if device.governor else []
    parts += [f"power mode {device.power_mode}"] if device.power_mode else []
    parts += [f"{key}={value}" for key, value in sorted(runtime.options.items())]
    return ", ".join(parts)


def unsteady_reason(measurement: Measurement) -> str:
    """Return why a measurement has no number."""
    labels = [finding.label for finding in measurement.analysis.processes]
    counted = ", ".join(f"{labels.count(label)} {label}" for label in dict.fromkeys(labels))
    return f"no steady state in most of {len(labels)} processes ({counted})"


def main_energy(measurement: Measurement) -> tuple[str, float] | None:
    """Return the sensor that saw the most power, and the energy of an inference by it, idle subtracted."""
    known = [item for item in measurement.analysis.energy if item.net_mj_per_inference is not None]
    if not known:
        return None
    most = max(known, key=lambda item: item.active_w)
    return most.sensor, float(most.net_mj_per_inference or 0.0)


def _runtime_name(name: str) -> str:
    return {"onnxruntime": "ONNX Runtime", "tensorrt": "TensorRT", "coreml": "Core ML"}.get(name, name)
