"""Does the protocol name what a trace is, and do its intervals cover what is true?

For each class 1,000 synthetic traces whose class and steady median are known (`traces.py`): how often the class is
found, and how often the 95 % interval of the steady median covers it. Then 1,000 measurements of five processes that
differ by 0 and by 2 %, the interval across processes, and the 90th and 99th percentile's intervals.

    python benchmarks/protocol/synthetic.py [--traces 1000]
"""

from __future__ import annotations

import argparse
import json
import platform
from collections import Counter
from pathlib import Path

import numpy as np
from traces import Noise, median_factor, trace

from edgedistill.bench.statistics import correlation_time, interval_across_processes, quantile_interval
from edgedistill.bench.steady_state import Label, steady_state
from edgedistill.progress import SILENT, Progress

RESULT = Path(__file__).parents[1] / "results" / "protocol_synthetic.json"
CLASSES = (
    Label.FLAT,
    Label.WARM_UP,
    Label.SLOW_DOWN,
    Label.BIMODAL,
    Label.THROTTLED,
    Label.NO_STEADY_STATE,
)
SEED = 7


def classified(label: Label, traces: int) -> dict[str, object]:
    """Return how traces of a class were labelled, and how often the interval covered the steady median."""
    found, covered, judged = Counter[str](), 0, 0
    for index in range(traces):
        made = trace(label, np.random.default_rng([SEED, CLASSES.index(label), index]))
        state = steady_state(made.samples, frequency_mhz=made.frequency_mhz)
        found[str(state.label)] += 1
        if made.median_ns is None or state.begins is None:
            continue
        judged += 1
        low, high = interval_across_processes([made.samples[state.begins :]])
        covered += low <= made.median_ns <= high
    row: dict[str, object] = {"n": traces, "right": found[str(label)] / traces, "labels": dict(found.most_common())}
    if judged:
        row |= {"intervals": judged, "covered": covered / judged}
    return row


def across_processes(traces: int, *, between: float, processes: int) -> dict[str, object]:
    """Return how often the interval across processes covers the median."""
    noise, covered = Noise(0.02, 0.01, 0.0), 0
    true = 1e6 * median_factor(noise)
    for index in range(traces):
        rng = np.random.default_rng([SEED, 100, processes, int(1000 * between), index])
        factors = np.exp(rng.normal(0, between, processes))
        samples = [(1e6 * factor * noise.draw(rng, 205)).astype(np.int64) for factor in factors]
        low, high = interval_across_processes(samples, seed=index)
        covered += low <= true <= high
    return {"processes": processes, "between_process_cv": between, "n": traces, "covered": covered / traces}


def percentiles(traces: int, *, share: float, count: int) -> dict[str, object]:
    """Return how often the order-statistic interval of a percentile covers it; exponential samples, closed form."""
    true, covered = -1e6 * np.log(1 - share), 0
    for index in range(traces):
        samples = np.random.default_rng([SEED, 200, count, index]).exponential(1e6, count).astype(np.int64)
        interval = quantile_interval(samples, share, correlation=correlation_time(samples, share))
        covered += interval is not None and interval[0] <= true <= interval[1]
    return {"share": share, "samples": count, "n": traces, "covered": covered / traces}


def validated(traces: int, progress: Progress = SILENT) -> dict[str, object]:
    """Return everything this script shows."""
    with progress.track("synthetic traces", total=len(CLASSES)) as tracker:
        classes = {}
        for label in CLASSES:
            classes[str(label)] = classified(label, traces)
            tracker.advance()
    return {
        "what": "synthetic traces of known class; 95 % intervals",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "seed": SEED,
        "classes": classes,
        "across_processes": [
            across_processes(traces, between=between, processes=processes)
            for processes in (3, 5)
            for between in (0.0, 0.02)
        ],
        "percentiles": [
            percentiles(traces, share=share, count=count)
            for share, count in ((0.5, 1024), (0.9, 1024), (0.99, 1024), (0.99, 10_000))
        ],
    }


def main() -> None:
    """Run, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces", type=int, default=1000)
    options = parser.parse_args()
    result = validated(options.traces)
    print(json.dumps(result, indent=1))
    if options.traces >= 1000:  # noqa: PLR2004 - fewer are a rehearsal
        RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
