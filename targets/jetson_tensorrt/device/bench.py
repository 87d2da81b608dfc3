"""Measures INT8 beside FP16: enqueue to result in fresh processes, GPU time by events, and trtexec's own way."""

from __future__ import annotations

import datetime as dt
import gc
import json
import os
import resource
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, NamedTuple, Optional, Sequence

import numpy as np

from edgedistill.targets.jetson_tensorrt.device import module, sensors, trtexec
from edgedistill.targets.jetson_tensorrt.device.answer import RunnerError, TensorRtError

if TYPE_CHECKING:
    from edgedistill.targets.jetson_tensorrt.device.engine import Engine
    from edgedistill.targets.jetson_tensorrt.device.manifest import Manifest, Version
    from edgedistill.targets.jetson_tensorrt.device.store import Kept
    from edgedistill.targets.jetson_tensorrt.device.trtexec import Options

SCHEMA = "edgedistill.bench/1"
RUNNER = "edgedistill jetson runner 1"
PROCESS_TIMEOUT_S = 3600.0
PERCENTILES = (50, 90, 95, 99)
LAST_CHARACTERS = 400
SHIPPED = ("int8", "fp16")
TOPPING_LAYERS = 10


class Plan(NamedTuple):
    """How to measure.

    Args:
        samples: inferences of each process after the first, at least.
        seconds: of inference of each process, at least.
        max_seconds: after which a process ends anyway.
        processes: for each precision.
        rest_seconds: before each process.
        name: how recordings call this module.
    """

    samples: int
    seconds: float = 0.0
    max_seconds: float = 1200.0
    processes: int = 1
    rest_seconds: float = 0.0
    name: str = "local"


def sampled(open_engine: Any, cuda: Any, inputs: Any, *, plan: Plan) -> Dict[str, Any]:  # noqa: ANN401 - a callable and arrays
    """Measure in this process and return nanoseconds: load, first, then each inference twice, by clock and by events.

    Args:
        open_engine: returns the opened engine; its time is the load.
        cuda: the GPU.
        inputs: (n, ...) preprocessed samples, taken in turn.
        plan: how many inferences after the first, and how long; the warm-up is among them.
    """
    start = time.monotonic_ns()
    engine = open_engine()
    load_ns = time.monotonic_ns() - start
    events = cuda.event(), cuda.event()
    first_ns = _timed(engine, cuda, inputs[:1], events)[0]
    gc.disable()  # a collection is this process's own, not the engine's
    rows: List[Sequence[int]] = []
    with sensors.Recorder() as recorder:
        started = time.monotonic_ns()
        while len(rows) < plan.samples or time.monotonic_ns() - started < plan.seconds * 1e9:
            if time.monotonic_ns() - started > plan.max_seconds * 1e9 and rows:
                break
            place = len(rows) % len(inputs)
            rows.append(_timed(engine, cuda, inputs[place : place + 1], events))
    traces = recorder.traces(started)
    return {
        "load_ns": load_ns,
        "first_ns": first_ns,
        "samples_ns": [row[0] for row in rows],
        "gpu_ns": [row[1] for row in rows],
        "affinity": sorted(os.sched_getaffinity(0)),
        "memory": {"peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024},
        "traces": traces,
        "notes": recorder.notes + sensors.throttling(traces),
    }


def measured(
    manifest: Manifest,
    kept: Sequence[Kept],
    verified: Dict[str, Any],
    command: Sequence[str],
    *,
    plan: Plan,
    say: Callable[[str], None],
) -> List[Dict[str, Any]]:
    """Return two recordings for each precision, by the host's clock and by CUDA events; fresh processes, in ABBA order.

    Args:
        manifest: of the artifact.
        kept: the engines.
        verified: what was found of the golden samples, by precision.
        command: starts a process that measures; precision and limits are added.
        plan: how.
        say: takes a line for whoever waits.

    Raises:
        TensorRtError: a process failed or gave no answer.
    """
    started = dt.datetime.now(dt.timezone.utc).isoformat()
    state, doubts = {**module.facts(), "name": plan.name}, module.warnings()
    limits = ["--samples", str(plan.samples), "--seconds", str(plan.seconds), "--max-seconds", str(plan.max_seconds)]
    found: Dict[str, List[Dict[str, Any]]] = {item.precision: [] for item in kept}
    for turn in range(plan.processes):
        say("process {} of {} of each precision".format(turn + 1, plan.processes))
        ordered = list(kept) if turn % 2 == 0 else list(kept)[::-1]
        for item in ordered:
            time.sleep(plan.rest_seconds)
            answer = _process([*command, "--precision", item.precision, *limits], plan.max_seconds + PROCESS_TIMEOUT_S)
            found[item.precision].append(answer)
    recordings = [
        _recording(manifest, item, found[item.precision], scope, verified[item.precision], started, state, doubts)
        for item in kept
        for scope in ("invoke+copies", "invoke")
    ]
    for recording in recordings:
        recording["protocol"].update(_limits(plan))
    return recordings


def trtexec_measured(
    program: Path, version: Version, kept: Kept, options: Options, *, timeout_s: float
) -> Dict[str, Any]:
    """Return what trtexec measures of an engine: GPU time and, apart from it, latency; then each layer's share.

    Raises:
        TensorRtError: trtexec failed, or its files are cut short.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        times, profile = folder / "times.json", folder / "profile.json"
        arguments = trtexec.run_arguments(version, options, plan=kept.plan, times=times)
        trtexec.call(program, arguments, timeout_s=timeout_s)
        rows = trtexec.times_from(times)
        trtexec.call(
            program, trtexec.profile_arguments(version, options, plan=kept.plan, profile=profile), timeout_s=timeout_s
        )
        layers = trtexec.profile_from(profile)
    return {
        "precision": kept.precision,
        "arguments": [argument for argument in arguments if "=" not in argument or "/" not in argument],
        "n": len(rows),
        "compute_ms": _percentiles([row["computeMs"] for row in rows]),
        "latency_ms": _percentiles([row["latencyMs"] for row in rows]),
        "compute_samples_ms": [row["computeMs"] for row in rows],
        "slowest_layers": sorted(layers, key=lambda layer: -float(layer["average_ms"]))[:TOPPING_LAYERS],
        "note": "the first inferences are not in trtexec's file; data stays on the device",
    }


def advice(recordings: Sequence[Dict[str, Any]]) -> Dict[str, Any]:
    """Return which precision to ship: INT8 only if it is faster in every process, FP16 if it never is."""
    medians: Dict[str, List[float]] = {}
    for recording in recordings:
        if recording["workload"]["scope"] == "invoke+copies":
            precision = str(recording["artifact"]["precision"])
            medians[precision] = [float(np.median(one["samples_ns"])) / 1e6 for one in recording["processes"]]
    if set(medians) != set(SHIPPED):
        return {"ship": None, "reason": "only one precision was measured"}
    int8, fp16 = medians["int8"], medians["fp16"]
    ratio = float(np.median(fp16) / np.median(int8))
    if max(int8) < min(fp16):
        ship, reason = "int8", "INT8 is faster in every process"
    elif min(int8) > max(fp16):
        ship, reason = "fp16", "INT8 is slower than FP16 in every process: ship FP16, and see the slowest layers"
    else:
        ship, reason = "either", "no difference between processes; INT8 is smaller, FP16 loses less accuracy"
    return {"ship": ship, "reason": reason, "fp16_over_int8": ratio, "int8_ms": int8, "fp16_ms": fp16}


def precisions(advised: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    """Return the advice as a recording has it; none where only one precision was measured."""
    return {name: advised[name] for name in ("ship", "int8_ms", "fp16_ms")} if advised["ship"] else None


def _limits(plan: Plan) -> Dict[str, Any]:
    return {
        "min_samples": plan.samples * plan.processes,
        "min_seconds": plan.seconds * plan.processes,
        "max_seconds": plan.max_seconds * plan.processes,
        "rest_seconds": plan.rest_seconds,
    }


def _timed(engine: Engine, cuda: Any, sample: Any, events: Any) -> Sequence[int]:  # noqa: ANN401 - arrays and handles
    start = time.monotonic_ns()
    np.copyto(engine.input, sample)
    engine.copy_in()
    cuda.record(events[0])
    engine.enqueue()
    cuda.record(events[1])
    engine.copy_out()
    cuda.synchronize()
    taken = time.monotonic_ns() - start
    return taken, max(1, round(cuda.elapsed_ms(*events) * 1e6))


def _process(command: Sequence[str], timeout_s: float) -> Dict[str, Any]:
    try:
        done = subprocess.run(  # noqa: S603 - this very program, no shell
            list(command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise TensorRtError("a measuring process gave no answer after {:g} s".format(timeout_s)) from error
    said = done.stdout.decode("utf-8", "replace")
    try:
        document = json.loads(said)
    except ValueError as error:
        raise TensorRtError(
            "a measuring process ended with {} and no answer: {}".format(
                done.returncode, (said + done.stderr.decode("utf-8", "replace"))[-LAST_CHARACTERS:]
            )
        ) from error
    if done.returncode:
        raise TensorRtError(
            "a measuring process ended with {}: {}".format(done.returncode, document["error"]["message"])
        )
    result = document["result"]
    if not isinstance(result, dict):
        raise RunnerError("a measuring process answered {}".format(type(result).__name__))
    return result


def _recording(
    manifest: Manifest,
    kept: Kept,
    processes: Sequence[Dict[str, Any]],
    scope: str,
    verified: Dict[str, Any],
    started: str,
    state: Dict[str, Any],
    doubts: Sequence[str],
) -> Dict[str, Any]:
    document = manifest.document
    file = document["files"][kept.form["file"]]
    by_events = scope == "invoke"
    samples = "gpu_ns" if by_events else "samples_ns"
    notes = list(doubts) + [note for process in processes for note in process["notes"]]
    return {
        "schema": SCHEMA,
        "started": started,
        "artifact": {
            "name": document["name"],
            "target": document["target"],
            "profile": document["profile"],
            "format": "engine",
            "precision": kept.precision,
            "model_sha256": file["sha256"],
            "size_bytes": file["size_bytes"],
        },
        "runtime": {
            "name": "tensorrt",
            "version": kept.facts["tensorrt"],
            "provider": _provider(kept),
            "options": {name: str(value) for name, value in kept.facts["options"].items() if value is not None},
        },
        "device": state,
        "workload": {"batch": 1, "input": "real", "shape": list(document["input"]["shape"]), "scope": scope},
        "protocol": {
            "runner": RUNNER,
            "clock": "cuda_event" if by_events else "monotonic_ns",
        },
        "verified": verified,
        "processes": [
            {
                "load_ns": process["load_ns"],
                "first_ns": process["first_ns"],
                "samples_ns": process[samples],
                "affinity": process["affinity"],
                "memory": process["memory"],
                "traces": process["traces"],
            }
            for process in processes
        ],
        "notes": list(dict.fromkeys(notes))[:100],
    }


def _provider(kept: Kept) -> str:
    core = kept.facts["options"]["dla_core"]
    return "gpu" if core is None else "dla{}".format(core)


def _percentiles(values: Sequence[float]) -> Dict[str, float]:
    ordered = sorted(values)
    return {"p{}".format(p): float(ordered[max(0, -(-len(ordered) * p // 100) - 1)]) for p in PERCENTILES}
