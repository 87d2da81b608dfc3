"""The record of synthetic processes, in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from edgedistill.bench.protocol import (
    Circumstances,
    ProcessSamples,
    details,
    is_quick,
    process_samples,
    summarise,
    warmup_inferences,
)
from edgedistill.errors import DataError
from edgedistill.evaluate.executor import Execution

HERE = Circumstances(
    model="student-fp32", execution=Execution.HOST, label="a test", threads=2, samples_file="bench/a.json"
)


def process(samples: np.ndarray, *, load_ns: int = 5_000_000, first_ns: int = 2_000_000) -> ProcessSamples:
    return ProcessSamples(load_ns, first_ns, np.full(10, 9_000_000), samples)


def test_the_record_of_known_samples() -> None:
    samples = np.arange(1, 1001) * 1000
    record = summarise([process(samples, load_ns=load) for load in (3_000_000, 4_000_000, 9_000_000)], HERE)
    assert (record.model, record.threads, record.samples_file) == ("student-fp32", 2, "bench/a.json")
    assert (record.processes, record.n) == (3, 3000)
    assert (record.cold_load_ms, record.first_inference_ms) == (4.0, 2.0)
    assert record.p50_ms == pytest.approx(0.5005, rel=1e-12)
    assert (record.p90_ms, record.p99_ms) == (0.9, 0.99)
    assert record.mad_ms == pytest.approx(0.25, rel=1e-12)
    assert record.p50_ci95_ms[0] < record.p50_ms < record.p50_ci95_ms[1]


def test_warm_up_is_not_summarised_and_an_outlier_is_not_removed() -> None:
    record = summarise([process(np.array([1_000_000] * 49 + [500_000_000]))], HERE)
    assert record.n == 50
    assert record.p50_ms == 1.0  # the warm-up's 9 ms would have moved nothing but n
    assert details([process(np.array([1_000_000] * 49 + [500_000_000]))])["outliers"] == {
        "rule": "further than 5 MAD from the median",
        "count": 1,
        "removed": 0,
    }


def test_the_99th_percentile_is_no_number_below_459_samples() -> None:
    assert summarise([process(np.arange(1, 459))], HERE).p99_ms is None
    assert summarise([process(np.arange(1, 460))], HERE).p99_ms is not None


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(DataError, match="43 samples; wanted at least 44"):
        summarise([process(np.arange(1, 44))], HERE)
    with pytest.raises(DataError, match="0 samples"):
        summarise([], HERE)


def test_processes_with_unequal_counts_are_refused() -> None:
    with pytest.raises(DataError, match=r"processes of \[50, 60\] samples"):
        summarise([process(np.arange(1, 51)), process(np.arange(1, 61))], HERE)


@pytest.mark.parametrize(
    ("count", "each_ns", "quick"),
    [(1024, 60_000_000, False), (1023, 60_000_000, True), (1024, 50_000_000, True)],
)
def test_quick_is_below_1024_samples_or_60_seconds(count: int, each_ns: int, *, quick: bool) -> None:
    assert is_quick(np.full(count, each_ns)) is quick


def test_details_keep_the_warm_up_and_each_process() -> None:
    found = details([process(np.array([1, 2, 3])), process(np.array([5, 5, 9]))])
    assert found["process_p50_ns"] == [2.0, 5.0]
    assert found["warmup_ns"] == [[9_000_000] * 10] * 2


@pytest.mark.parametrize(("samples", "warmup"), [(44, 10), (100, 10), (500, 50)])
def test_the_warm_up_is_a_tenth_and_at_least_ten(samples: int, warmup: int) -> None:
    assert warmup_inferences(samples) == warmup


REPORT = {"load_ns": 3, "first_ns": 2, "warmup_ns": [4, 5], "samples_ns": [1, 2]}


def test_a_report_is_read() -> None:
    found = process_samples(REPORT)
    assert (found.load_ns, found.first_ns) == (3, 2)
    assert found.warmup_ns.tolist() == [4, 5]
    assert found.samples_ns.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples_ns": [1, 0]}, "'samples_ns'"),
        ({"samples_ns": [1.5]}, "'samples_ns'"),
        ({"load_ns": -1}, "'load_ns'"),
        ({"first_ns": "fast"}, "'first_ns'"),
    ],
)
def test_a_report_with_anything_but_durations_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        process_samples({**REPORT, **change})


def test_a_report_without_a_part_is_refused() -> None:
    with pytest.raises(DataError, match="no 'samples_ns'"):
        process_samples({name: value for name, value in REPORT.items() if name != "samples_ns"})
