"""Olive's latency metric and ours, side by side: the same models, machine, runtime and thread; wanted: within 3 %.

Rounds of two fresh processes, Olive's and ours, in turns (A B B A ...). Olive gives one p50 a process, of which the
median is taken; ours is the measurement's p50 with its interval.

    python benchmarks/protocol/beside_olive.py --olive PEER_PYTHON MODEL.onnx:1,28,28 ... [--rounds 8]

`PEER_PYTHON` is the Python of a virtual environment with `olive-ai` and the same onnxruntime.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime

from edgedistill.bench.host import run_job
from edgedistill.bench.sensors import device_state
from edgedistill.bench.statistics import interval_across_processes
from edgedistill.bench.steady_state import steady_state
from edgedistill.bench.worker import Job, Model

HERE = Path(__file__).parent
RESULT = HERE.parent / "results" / "protocol_beside_olive.json"
OPTIONS = {"session.x64quantprecision": "1"}
SECONDS = 2.0
ROUNDS_OF_LOOPS = 7


def ours(model: Path, inputs: Path) -> np.ndarray:
    """Return the steady samples of one process of ours, in nanoseconds."""
    job = Job(
        models=(Model(path=str(model), session_options=OPTIONS),),
        inputs=str(inputs),
        threads=1,
        min_samples=205,
        min_seconds=SECONDS,
        max_seconds=60.0,
    )
    samples = np.asarray(run_job(job, inputs.parent, thing=str(model))["samples_ns"], np.int64)
    begins = steady_state(samples).begins
    return samples[begins or 0 :]


def olives(python: str, model: Path, shape: str, repeats: int) -> dict[str, object]:
    """Return what Olive says in one process."""
    command = (python, str(HERE / "olive_latency.py"), str(model), shape, str(repeats))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def with_and_without_yield(model: Path, inputs: Path, *, count: int) -> dict[str, float]:
    """Return the median of a plain loop, and of one that gives the processor away after each inference, as Olive does.

    Olive calls `time.sleep(0)` between its samples, outside of what it times; the next inference starts colder.
    """
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    for key, value in OPTIONS.items():
        settings.add_session_config_entry(key, value)
    session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: np.load(inputs)[:1]}
    found: dict[str, list[float]] = {"loop_ms": [], "loop_with_yield_ms": []}
    for _ in range(ROUNDS_OF_LOOPS):
        for name, durations in found.items():
            times = np.empty(count)
            for index in range(count):
                start = time.perf_counter()
                session.run(None, feed)
                times[index] = time.perf_counter() - start
                if name == "loop_with_yield_ms":
                    time.sleep(0)
            durations.append(1e3 * float(np.median(times)))
    return {name: float(np.median(durations)) for name, durations in found.items()}


def side_by_side(options: argparse.Namespace, model: Path, shape: str) -> dict[str, object]:
    """Return both medians of one model."""
    here: list[np.ndarray] = []
    there: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "inputs.npy"
        dimensions = tuple(int(part) for part in shape.split(","))
        np.save(inputs, np.random.default_rng(0).random((8, *dimensions), np.float32))
        for index in range(options.rounds):
            for own in (True, False) if index % 2 else (False, True):
                if own:
                    here.append(ours(model, inputs))
                else:
                    typical = float(np.median(here[-1])) if here else 5e6
                    there.append(olives(options.olive, model, shape, int(SECONDS * 1e9 / typical)))
        typical = float(np.median(np.concatenate(here)))
        loops = with_and_without_yield(model, inputs, count=max(50, int(3e8 / typical)))
    olive_ms = float(np.median([float(str(item["p50_ms"])) for item in there]))
    low, high = interval_across_processes(here)
    ours_ms = float(np.median(np.concatenate(here))) / 1e6
    return {
        "model": model.name,
        "size_bytes": model.stat().st_size,
        "olive_p50_ms": olive_ms,
        "olive_p50_ms_each": [item["p50_ms"] for item in there],
        "ours_p50_ms": ours_ms,
        "ours_ci95_ms": [low / 1e6, high / 1e6],
        "ours_over_olive": ours_ms / olive_ms,
        **loops,
        "versions": {name: there[0][name] for name in ("olive", "onnxruntime")},
    }


def main() -> None:
    """Measure every model, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL:SHAPE")
    parser.add_argument("--olive", required=True)
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args()
    result = {
        "what": "p50 of Olive's latency metric and of ours, one thread, processes in turns, nothing else running",
        "machine": device_state("local", emulated=False).get("soc"),
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "rounds": options.rounds,
        "models": [
            side_by_side(options, Path(path).resolve(), shape)
            for path, _, shape in (item.rpartition(":") for item in options.models)
        ],
    }
    print(json.dumps(result, indent=1))
    RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
