"""Does a comparison of an artifact with itself raise false alarms, and does it see a known 5 % slow-down?

Each test is one `--against`: fresh processes in which two models take turns, judged by `bench/pair.py`. A/A: the
same model against itself, 100 times; wanted: a difference is claimed in at most 5. A/B: the same model, one of the two
kept busy for 5 % of each inference's own time; wanted: `slower` in at least 95.

    python benchmarks/protocol/pairs.py MODEL.onnx --shape 1,28,28 [--tests 100] [--into PARTIAL.jsonl]

Tests that are in the partial file are not done again.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnxruntime

from edgedistill.bench.host import LOADING_TIMEOUT_S, Subject, artifact_facts
from edgedistill.bench.measuring import CLOCK, watched
from edgedistill.bench.pair import comparison_of, pair_from_document
from edgedistill.bench.sensors import device_state
from edgedistill.bench.worker import Job, Model

HERE = Path(__file__).parent
RESULT = HERE.parent / "results" / "protocol_pairs.json"
OPTIONS = {"session.x64quantprecision": "1"}
SHARES = {"A/A": 0.0, "A/B 5 % slower": 0.05}


def one_test(model: Path, inputs: Path, *, share: float, processes: int, seconds: float) -> dict[str, object]:
    """Return the comparison of a model with itself, the second `share` slower."""
    document = {
        "schema": "edgedistill.bench-pair/1",
        "started": datetime.now(UTC).isoformat(),
        "artifacts": [artifact_facts(Subject("model", model)).model_dump()] * 2,
        "runtime": {
            "name": "onnxruntime",
            "version": onnxruntime.__version__,
            "provider": "CPUExecutionProvider",
            "threads": 1,
        },
        "device": {**device_state("local", emulated=False), "kind": "host", "execution": "host"},
        "workload": {
            "batch": 1,
            "input": "random",
            "shape": [1, *np.load(inputs, mmap_mode="r").shape[1:]],
            "scope": "invoke+copies",
        },
        "runner": "benchmarks/protocol/pairs.py",
        "clock": CLOCK,
        "verified": [None, None],
        "processes": [
            _process(model, inputs, share=share, seconds=seconds, starts_with=index % 2) for index in range(processes)
        ],
    }
    found = comparison_of(pair_from_document(document, thing="a test"))
    return found.model_dump(mode="json")


def _process(model: Path, inputs: Path, *, share: float, seconds: float, starts_with: int) -> dict[str, object]:
    job = Job(
        models=(Model(path=str(model), session_options=OPTIONS),) * 2,
        inputs=str(inputs),
        threads=1,
        min_samples=1,
        min_seconds=seconds,
        max_seconds=60.0,
        starts_with=starts_with,
    )
    path = inputs.with_name("job.json")
    path.write_text(job.model_dump_json(), "utf-8")
    command = (sys.executable, str(HERE / "slowed.py"), str(path), str(share))
    return watched(command, [], timeout_s=LOADING_TIMEOUT_S)


def done_before(partial: Path) -> list[dict[str, object]]:
    """Return the tests of an earlier start."""
    lines = partial.read_text("utf-8").splitlines() if partial.exists() else []
    return [json.loads(line) for line in lines]


def summary(tests: list[dict[str, object]], options: argparse.Namespace) -> dict[str, object]:
    """Return the counts, and every test."""
    kinds = {}
    for kind in SHARES:
        own = [test for test in tests if test["kind"] == kind]
        ratios = np.array([test["ratio"] for test in own])
        widths = np.array([test["ratio_ci99"][1] - test["ratio_ci99"][0] for test in own])
        kinds[kind] = {
            "n": len(own),
            "verdicts": dict(Counter(str(test["verdict"]) for test in own)),
            "ratio_median": float(np.median(ratios)),
            "ratio_lowest": float(ratios.min()),
            "ratio_highest": float(ratios.max()),
            "interval_width_median": float(np.median(widths)),
        }
    return {
        "what": "verdicts of `bench --against` on this workstation; a difference is claimed at 99 %",
        "model": options.model.name,
        "processes": options.processes,
        "seconds_each": options.seconds,
        "machine": device_state("local", emulated=False).get("soc"),
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "kinds": kinds,
        "tests": [
            {name: test[name] for name in ("kind", "verdict", "ratio", "ratio_ci99", "first_ms", "n")} for test in tests
        ],
    }


def main() -> None:
    """Do the tests that are left, print the counts, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--shape", default="1,28,28")
    parser.add_argument("--tests", type=int, default=100)
    parser.add_argument("--processes", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=0.6)
    parser.add_argument("--into", type=Path, default=Path("protocol_pairs.jsonl"))
    options = parser.parse_args()
    options.model = options.model.resolve()
    tests = done_before(options.into)
    shape = tuple(int(part) for part in options.shape.split(","))
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "inputs.npy"
        np.save(inputs, np.random.default_rng(0).normal(0, 1, (16, *shape)).astype(np.float32))
        for index in range(options.tests):
            for kind, share in SHARES.items():  # in turns: the machine's mood meets both
                if any(test["kind"] == kind and test["index"] == index for test in tests):
                    continue
                found = one_test(
                    options.model, inputs, share=share, processes=options.processes, seconds=options.seconds
                )
                test = {"kind": kind, "index": index, **found}
                tests.append(test)
                with options.into.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(test) + "\n")
    result = summary(tests, options)
    print(json.dumps({name: value for name, value in result.items() if name != "tests"}, indent=1))
    if options.tests >= 100:  # noqa: PLR2004 - fewer are a rehearsal
        RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
