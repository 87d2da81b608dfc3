"""From raw samples to a measurement: steady states, quantiles with intervals, throttling, energy, and what to doubt."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

from edgedistill.bench.measurement import (
    Analysis,
    Energy,
    Measurement,
    ProcessFinding,
    Quantile,
    Throttling,
    id_of,
    real_recording,
)
from edgedistill.bench.statistics import (
    interval_across_processes,
    interval_samples_needed,
    median_absolute_deviation,
    outlier_count,
    quantile_interval,
    samples_needed,
    tail,
    upper_bound,
)
from edgedistill.bench.steady_state import FREQUENCY_FALL, Label, SteadyState, steady_state
from edgedistill.bench.student import student_quantile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from edgedistill.bench.measurement import RealRecording
    from edgedistill.bench.recording import Process, Recording, Trace

    Samples = NDArray[np.int64]

NS_PER_MS = 1e6
ENOUGH_SAMPLES, ENOUGH_SECONDS = 1024, 60.0
ENOUGH_PROCESSES = 5
ENOUGH_ENERGY_SECONDS = 30.0
MINUTE_NS = 60_000_000_000
P90, P99 = 0.90, 0.99


def measurement_from_recording(recording: Recording, *, seed: int = 0) -> Measurement:
    """Return a recording with its analysis.

    Args:
        recording: of a real machine.
        seed: of the bootstrap.

    Raises:
        DataError: it is an emulator's.
    """
    real = real_recording(recording)
    return Measurement(id=id_of(recording), recording=real, analysis=analysis_of(real, seed=seed))


def analysis_of(recording: RealRecording, *, seed: int = 0) -> Analysis:
    """Return what follows from the samples of a recording."""
    samples = [np.asarray(process.samples_ns, np.int64) for process in recording.processes]
    states = [
        steady_state(part, frequency_mhz=lowest_frequency(process.traces))
        for part, process in zip(samples, recording.processes, strict=True)
    ]
    findings = tuple(map(_finding, states, samples))
    steady = [part[state.begins :] for part, state in zip(samples, states, strict=True) if state.begins is not None]
    verdict = _verdict(states)
    if verdict == "no steady state":
        steady = []
    throttling = _throttling(states, samples, recording.processes)
    return Analysis(
        verdict=verdict,
        n=sum(map(len, steady)),
        steady_processes=len(steady),
        quick=is_quick(samples),
        cold_load_ms=_median_ms([process.load_ns for process in recording.processes]),
        first_inference_ms=_median_ms([process.first_ns for process in recording.processes]),
        p90=_quantile(steady, P90),
        p99=_quantile(steady, P99),
        **_centre(steady, seed),
        **_memory(recording.processes),
        processes=findings,
        throttling=throttling,
        energy=tuple(_energies(recording, samples)),
        failed_rules=tuple(_failed_rules(recording, states, samples, throttling)),
    )


def is_quick(processes: Sequence[Samples]) -> bool:
    """Tell whether there are fewer than 1,024 samples, or less than 60 s of them, warm-up included."""
    seconds = sum(float(samples.sum()) for samples in processes) / 1e9
    return sum(map(len, processes)) < ENOUGH_SAMPLES or seconds < ENOUGH_SECONDS


def lowest_frequency(traces: Sequence[Trace]) -> NDArray[np.float64] | None:
    """Return the readings of the CPU clock that fell the most, from the first sample on; none where none was read."""
    found = [
        np.asarray([value for at, value in zip(trace.at_ns, trace.values, strict=True) if at >= 0])
        for trace in traces
        if trace.quantity == "frequency_mhz" and not trace.sensor.startswith("devfreq")
    ]
    usable = [readings for readings in found if len(readings) and readings.min() > 0]
    tenth = [max(1, len(readings) // 10) for readings in usable]
    ratios = [float(np.median(r[-t:]) / np.median(r[:t])) for r, t in zip(usable, tenth, strict=True)]
    return usable[int(np.argmin(ratios))] if usable else None


def _finding(state: SteadyState, samples: Samples) -> ProcessFinding:
    return ProcessFinding(
        label=state.label,
        n=len(samples),
        begins=state.begins,
        changes=state.changes,
        p50_ms=None if state.begins is None else _median_ms(samples[state.begins :]),
        drift=state.drift,
        frequency_ratio=state.frequency_ratio,
        modes_ms=state.modes_ms,
    )


def _verdict(states: Sequence[SteadyState]) -> Literal["steady", "slow-down", "throttled", "no steady state"]:
    """Return what at least half of the processes did; worse comes first."""
    labels = [state.label for state in states]
    restless = sum(state.begins is None for state in states)
    if 2 * restless > len(states):
        return "no steady state"
    if 2 * labels.count(Label.THROTTLED) >= len(states):
        return "throttled"
    slower = labels.count(Label.SLOW_DOWN) + labels.count(Label.THROTTLED)
    return "slow-down" if 2 * slower >= len(states) else "steady"


def _centre(steady: Sequence[Samples], seed: int) -> dict[str, object]:
    if not steady:
        names = ("p50_ms", "p50_ci95_ms", "mad_ms", "mean_ms", "lowest_ms", "highest_ms", "between_process_cv")
        return {**dict.fromkeys(names), "outliers": 0}
    pooled = np.concatenate(steady)
    low, high = interval_across_processes(steady, seed=seed)
    medians = np.array([np.median(part) for part in steady])
    return {
        "p50_ms": _median_ms(pooled),
        "p50_ci95_ms": (low / NS_PER_MS, high / NS_PER_MS),
        "mad_ms": median_absolute_deviation(pooled) / NS_PER_MS,
        "mean_ms": float(pooled.mean()) / NS_PER_MS,
        "lowest_ms": float(pooled.min()) / NS_PER_MS,
        "highest_ms": float(pooled.max()) / NS_PER_MS,
        "outliers": outlier_count(pooled),
        "between_process_cv": float(medians.std(ddof=1) / medians.mean()) if len(medians) > 1 else None,
    }


def _quantile(steady: Sequence[Samples], share: float) -> Quantile | None:
    if not steady:
        return None
    pooled = np.concatenate(steady)
    value, bound = tail(pooled, share), upper_bound(pooled, share)
    interval = quantile_interval(pooled, share) if len(pooled) >= interval_samples_needed(share) else None
    return Quantile(
        share=share,
        value_ms=None if value is None else value / NS_PER_MS,
        interval95_ms=None if interval is None else (interval[0] / NS_PER_MS, interval[1] / NS_PER_MS),
        bound99_ms=None if bound is None else bound / NS_PER_MS,
        needed=samples_needed(share),
    )


def _memory(processes: Sequence[Process]) -> dict[str, int | None]:
    known = [process.memory for process in processes if process.memory]
    own = [memory.peak_bytes - memory.before_load_bytes for memory in known if memory.before_load_bytes]
    return {
        "peak_memory_bytes": max((memory.peak_bytes for memory in known), default=None),
        "model_memory_bytes": max(own, default=None),
    }


def _throttling(states: Sequence[SteadyState], samples: Sequence[Samples], processes: Sequence[Process]) -> Throttling:
    falls = [state.frequency_ratio for state in states if state.frequency_ratio is not None]
    evidence = [f"latency at the end of a process is {max(state.drift for state in states):.3f} times the beginning's"]
    if falls:
        fell = f"fell to {100 * min(falls):.0f} %" if min(falls) < FREQUENCY_FALL else "did not fall by 5 %"
        evidence.append(f"CPU frequency {fell}")
    else:
        evidence.append("CPU frequency could not be read")
    temperatures = [value for process in processes for value in _values(process.traces, "temperature_c")]
    if temperatures:
        evidence.append(f"highest temperature {max(temperatures):.0f} \N{DEGREE SIGN}C")
    told = [state for state in states if state.label is not Label.TOO_SHORT]
    longest = max(samples, key=lambda part: int(part.sum()))
    first, last = _minutes(longest)
    return Throttling(
        found=any(state.throttled for state in told) if told else None,
        evidence=tuple(evidence),
        first_minute_ms=first,
        last_minute_ms=last,
    )


def _minutes(samples: Samples) -> tuple[float | None, float | None]:
    """Return the medians of the first and of the last minute; none below two minutes."""
    ends = np.cumsum(samples)
    if ends[-1] < 2 * MINUTE_NS:
        return None, None
    return _median_ms(samples[ends <= MINUTE_NS]), _median_ms(samples[ends > ends[-1] - MINUTE_NS])


def _values(traces: Sequence[Trace], quantity: str) -> Iterator[float]:
    for trace in traces:
        if trace.quantity == quantity:
            yield from trace.values


def _energies(recording: RealRecording, samples: Sequence[Samples]) -> Iterator[Energy]:
    idle = {reading.sensor: reading.watts for reading in recording.idle_power}
    names = dict.fromkeys(
        trace.sensor for process in recording.processes for trace in process.traces if trace.quantity == "power_w"
    )
    for name in names:
        parts = [
            found
            for process, part in zip(recording.processes, samples, strict=True)
            if (found := _power(process.traces, name, part)) is not None
        ]
        if parts:
            yield _energy(name, parts, idle.get(name))


def _power(traces: Sequence[Trace], sensor: str, samples: Samples) -> tuple[float, float, int] | None:
    """Return mean watts, seconds and samples of one process, from its first sample to its last."""
    ends = int(samples.sum())
    trace = (
        next(trace for trace in traces if trace.sensor == sensor)
        if any(trace.sensor == sensor for trace in traces)
        else None
    )
    if trace is None:
        return None
    inside = [value for at, value in zip(trace.at_ns, trace.values, strict=True) if 0 <= at <= ends]
    return (float(np.mean(inside)), ends / 1e9, len(samples)) if inside else None


def _energy(sensor: str, parts: Sequence[tuple[float, float, int]], idle_w: float | None) -> Energy:
    watts, seconds, counts = (np.array(column) for column in zip(*parts, strict=True))
    total = float(seconds.sum())
    active = float((watts * seconds).sum() / total)
    per_inference_s = total / float(counts.sum())
    net = None if idle_w is None else 1e3 * (active - idle_w) * per_inference_s
    interval = None
    if idle_w is not None and len(parts) > 1 and net is not None:
        each = 1e3 * (watts - idle_w) * seconds / counts
        reach = student_quantile(0.975, degrees=len(parts) - 1) * float(each.std(ddof=1)) / math.sqrt(len(parts))
        interval = (net - reach, net + reach)
    return Energy(
        sensor=sensor,
        idle_w=idle_w,
        active_w=active,
        seconds=total,
        mj_per_inference=1e3 * active * per_inference_s,
        net_mj_per_inference=net,
        net_ci95_mj=interval,
    )


def _failed_rules(
    recording: RealRecording, states: Sequence[SteadyState], samples: Sequence[Samples], throttling: Throttling
) -> Iterator[str]:
    """Yield what a reader should doubt."""
    if recording.verified is None:
        yield "the golden samples were not computed on this device: the numbers may be another model's"
    if is_quick(samples):
        seconds = sum(float(part.sum()) for part in samples) / 1e9
        yield f"quick: {sum(map(len, samples)):,} samples in {seconds:.1f} s; wanted {ENOUGH_SAMPLES:,} and 60 s"
    if recording.workload.mode == "burst" and len(states) < ENOUGH_PROCESSES:
        yield f"{len(states)} of {ENOUGH_PROCESSES} fresh processes: their differences are poorly known"
    restless = [index + 1 for index, state in enumerate(states) if state.begins is None]
    if restless:
        yield f"no steady state in {len(restless)} of {len(states)} processes; their samples are not in the numbers"
    if throttling.found:
        yield "the device throttled"
    discarded = sum(process.discarded for process in recording.processes)
    if discarded:
        yield f"{discarded:,} inferences before the samples were not reported by the runtime's own tool"
    if recording.workload.input == "random":
        yield "the inputs were random numbers"
    for energy in _energies(recording, samples):
        if energy.seconds < ENOUGH_ENERGY_SECONDS:
            yield f"energy of {energy.sensor}: {energy.seconds:.0f} s; wanted {ENOUGH_ENERGY_SECONDS:.0f} s"
            return


def _median_ms(durations_ns: Sequence[int] | Samples) -> float:
    return float(np.median(np.asarray(durations_ns))) / NS_PER_MS
