"""What the runner's `bench` and `pair` do: fresh processes, sensors, one recording. Needs Python 3.8, no package.

It stands in the artifact's folder beside runner.py, measuring.py and sensors.py. The recording's format is published
as measurement.schema.json of edgedistill; its statistics are computed on the workstation (`edgedistill bench import`).
"""

from __future__ import annotations

import platform
import sys
import time
from datetime import datetime, timezone
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    Document = dict[str, Any]
    Module = Any  # a module that was loaded by its path

SCHEMA, PAIR_SCHEMA = "edgedistill.bench/1", "edgedistill.bench-pair/1"
RUNNER = "edgedistill arm-onnxruntime runner 2"
LOADING_TIMEOUT_S = 1200.0
IDLE_SECONDS = 10.0


def bench(
    program: str, options: argparse.Namespace, facts: Document, *, measuring: Module, sensors: Module
) -> Document:
    """Measure in fresh processes, one after the other, and return the recording.

    Args:
        program: path of runner.py.
        options: of the command line.
        facts: `artifact` (its manifest), `verified`, `version` and `options` of the runtime, `shape`, `emulated`.
        measuring: the module, loaded by its path; so is `sensors`.
        sensors: the module.
    """
    found = sensors.sensors_of()
    seconds = options.seconds / options.processes
    samples = max(options.samples, -(-options.min_samples // options.processes))
    command = [sys.executable, program, "sample", *_shared(options)]
    command += ["--samples", str(samples), "--seconds", str(seconds), "--max-seconds", str(options.max_seconds)]
    idle = measuring.idle_power(found, seconds=IDLE_SECONDS)
    processes = _fresh(command, options, measuring, found, ends=[[] for _ in range(options.processes)])
    return {
        **_head(SCHEMA, options, sensors, facts),
        "artifact": _artifact(facts["artifact"]),
        "verified": facts["verified"],
        "protocol": {
            "runner": RUNNER,
            "min_samples": samples * options.processes,
            "min_seconds": options.seconds,
            "max_seconds": options.max_seconds * options.processes,
            "rest_seconds": options.rest,
            **measuring.clock_facts(),
        },
        "processes": processes,
        "idle_power": idle,
    }


def pair(program: str, options: argparse.Namespace, facts: Document, *, measuring: Module, sensors: Module) -> Document:
    """Measure two artifacts that take turns in the same fresh processes, and return the recording of the pair.

    Args:
        program: path of runner.py.
        options: of the command line.
        facts: as for `bench`; `artifact` and `verified` are lists of two.
        measuring: the module.
        sensors: the module.
    """
    found = sensors.sensors_of()
    command = [sys.executable, program, "turns", *_shared(options), "--against", options.against]
    command += ["--seconds", str(options.seconds / options.processes)]
    ends = [["--starts-with", str(index % 2)] for index in range(options.processes)]
    return {
        **_head(PAIR_SCHEMA, options, sensors, facts),
        "artifacts": [_artifact(manifest) for manifest in facts["artifact"]],
        "verified": facts["verified"],
        "runner": RUNNER,
        "clock": measuring.CLOCK,
        "processes": _fresh(command, options, measuring, found, ends=ends),
    }


def sample(
    options: argparse.Namespace,
    load: Callable[[], Callable[[int], object]],
    *,
    measuring: Module,
    sensors: Module,  # noqa: ARG001 - every function here is called alike
) -> Document:
    """Measure in this process: load, first inference, then samples; nanoseconds.

    The model file is in the system's file cache when it is loaded, because its hash was checked.

    Args:
        options: of the command line.
        load: loads the model and returns what makes inference number so-and-so.
        measuring: the module.
        sensors: not used: the process that started this one reads them.
    """
    cpus = measuring.pin(options.affinity)
    before = measuring.resident_bytes("VmRSS")
    load_ns, infer = _took(load)
    first_ns, _ = _took(lambda: infer(0))
    started = time.monotonic_ns()
    samples = measuring.timed(
        infer, min_samples=options.samples, min_seconds=options.seconds, max_seconds=options.max_seconds
    )
    return {
        "started_ns": started,
        "load_ns": load_ns,
        "first_ns": first_ns,
        "samples_ns": samples,
        "affinity": cpus,
        "memory": measuring.memory(before),
    }


def turns(
    options: argparse.Namespace,
    load: Sequence[Callable[[], Callable[[int], object]]],
    *,
    measuring: Module,
    sensors: Module,  # noqa: ARG001 - as `sample`
) -> Document:
    """Measure two models in this process, in turns: A B B A, B A A B, ...; `--starts-with` is loaded first."""
    cpus = measuring.pin(options.affinity)
    infer = {}
    for subject in (options.starts_with, 1 - options.starts_with):
        infer[subject] = load[subject]()
        infer[subject](0)
    started = time.monotonic_ns()
    blocks = measuring.alternated([infer[0], infer[1]], seconds=options.seconds, starts_with=options.starts_with)
    return {"started_ns": started, "starts_with": options.starts_with, "affinity": cpus, "blocks": blocks}


def _took(call: Callable[[], Any]) -> tuple[int, Any]:
    start = time.monotonic_ns()
    result = call()
    return max(1, time.monotonic_ns() - start), result


def _fresh(
    command: Sequence[str],
    options: argparse.Namespace,
    measuring: Module,
    sensors: Sequence[Any],
    *,
    ends: Sequence[Sequence[str]],
) -> list[Document]:
    """Run one fresh process for each end of the command line, with a rest before each."""
    timeout_s = options.max_seconds + LOADING_TIMEOUT_S
    processes = []
    for end in ends:
        time.sleep(options.rest)
        envelope = measuring.watched([*command, *end], sensors, timeout_s=timeout_s)
        processes.append({**envelope["result"], "traces": envelope["traces"]})
    return processes


def _shared(options: argparse.Namespace) -> list[str]:
    cpus = [] if options.affinity is None else ["--affinity", ",".join(map(str, options.affinity))]
    return ["--threads", str(options.threads), *cpus]


def _head(schema: str, options: argparse.Namespace, sensors: Module, facts: Document) -> Document:
    name = options.name or platform.node() or "this machine"
    return {
        "schema": schema,
        "started": datetime.now(timezone.utc).isoformat(),
        "runtime": {
            "name": "onnxruntime",
            "version": facts["version"],
            "provider": "CPUExecutionProvider",
            "threads": options.threads,
            "options": facts["options"],
        },
        "device": sensors.device_state(name, emulated=facts["emulated"]),
        "workload": {
            "mode": options.mode,
            "batch": 1,
            "input": "real",
            "shape": facts["shape"],
            "scope": "invoke+copies",
        },
    }


def _artifact(manifest: Document) -> Document:
    """Return what a recording says of an artifact with this manifest."""
    entry = manifest["files"][manifest["model"]]
    return {
        **{name: manifest.get(name) for name in ("name", "target", "profile", "precision")},
        "format": PurePosixPath(manifest["model"]).suffix.lstrip(".") or "onnx",
        "model_sha256": entry["sha256"],
        "size_bytes": entry["size_bytes"],
    }
