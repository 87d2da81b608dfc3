"""From recordings with known samples to what is said of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgedistill.bench.analysis import is_quick, measurement_from_recording
from edgedistill.bench.latency import LatencyRecord, UnsteadyRecord
from edgedistill.bench.measurement import Measurement, RealRecording, measurement_from_file, rehearsal_of
from edgedistill.bench.reading import recording_from_document
from edgedistill.bench.records import label_of, main_energy, record_of, ship_text
from edgedistill.bench.table import remarks_on
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Make = Callable[..., dict[str, object]]


def measured(document: dict[str, object]) -> Measurement:
    return measurement_from_recording(recording_from_document(document, thing="it"))


def around(level_ns: float, count: int = 400, *, seed: int = 0) -> np.ndarray:
    return (level_ns * np.exp(np.random.default_rng(seed).normal(0, 0.01, count))).astype(np.int64)


def test_the_numbers_of_known_samples(document_of: Make) -> None:
    samples = np.random.default_rng(0).permutation(np.arange(1, 1001)) * 1000
    document = document_of(samples, samples, samples)
    for process, load_ns in zip(document["processes"], (3_000_000, 4_000_000, 9_000_000), strict=True):
        process["load_ns"] = load_ns
    found = measured(document).analysis
    assert (found.verdict, found.n, found.steady_processes, found.quick) == ("steady", 3000, 3, True)
    assert (found.cold_load_ms, found.first_inference_ms) == (4.0, 2.0)
    assert found.p50_ms == pytest.approx(0.5005, rel=1e-12)
    assert found.p50_ci95_ms == pytest.approx((0.5005, 0.5005))
    assert (found.p90.value_ms, found.p99.value_ms) == (0.9, 0.99)
    assert found.p90.interval95_ms[0] < 0.9 < found.p90.interval95_ms[1] <= found.p90.bound99_ms + 0.01
    assert found.mad_ms == pytest.approx(0.25, rel=1e-12)
    assert (found.lowest_ms, found.highest_ms) == (0.001, 1.0)
    assert found.between_process_cv == 0.0


def test_warm_up_is_left_out_and_an_outlier_is_not(document_of: Make) -> None:
    samples = np.concatenate([around(3e6, 100), around(1e6, 900)])
    samples[700] = 500_000_000
    found = measured(document_of(samples)).analysis
    assert [finding.label for finding in found.processes] == ["warm-up"]
    assert 700 <= found.n <= 850
    assert found.p50_ms == pytest.approx(1.0, rel=0.01)
    assert found.highest_ms == 500.0
    assert found.outliers >= 1


def test_a_tail_that_cannot_be_bounded_is_no_number(document_of: Make) -> None:
    few = measured(document_of(around(1e6, 43))).analysis
    assert (few.p90.value_ms, few.p90.needed, few.p99.needed) == (None, 44, 459)
    assert measured(document_of(around(1e6, 459))).analysis.p99.value_ms is not None


def test_without_a_steady_state_there_is_no_number(document_of: Make) -> None:
    restless = np.concatenate([around(1e6, 900), around(2e6, 100)])
    measurement = measured(document_of(restless, restless, around(1e6)))
    found = measurement.analysis
    assert (found.verdict, found.n, found.p50_ms, found.p50_ci95_ms, found.p90) == (
        "no steady state",
        0,
        None,
        None,
        None,
    )
    record = record_of(measurement, model="a/b", file="m.json")
    assert isinstance(record, UnsteadyRecord)
    assert record.reason == "no steady state in most of 3 processes (2 no steady state, 1 flat)"


def test_one_restless_process_of_three_is_left_out_and_said(document_of: Make) -> None:
    restless = np.concatenate([around(1e6, 900), around(2e6, 100)])
    found = measured(document_of(restless, around(1e6), around(1e6, seed=1))).analysis
    assert (found.verdict, found.steady_processes, found.n) == ("steady", 2, 800)
    assert any(rule.startswith("no steady state in 1 of 3 processes") for rule in found.failed_rules)


@pytest.mark.parametrize(
    ("count", "each_ns", "quick"),
    [(1024, 60_000_000, False), (1023, 60_000_000, True), (1024, 50_000_000, True)],
)
def test_quick_is_below_1024_samples_or_60_seconds(count: int, each_ns: int, *, quick: bool) -> None:
    assert is_quick(np.array_split(np.full(count, each_ns), 5)) is quick


def test_a_full_measurement_fails_no_rule(document_of: Make) -> None:
    processes = [around(60e6, 210, seed=seed) for seed in range(5)]
    assert measured(document_of(*processes)).analysis.failed_rules == ()


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"verified": None}, "the golden samples were not computed on this device"),
        (
            {"workload": {"batch": 1, "input": "random", "shape": [1, 8], "scope": "invoke"}},
            "the inputs were random numbers",
        ),
    ],
)
def test_what_a_reader_should_doubt_is_said(document_of: Make, changes: dict[str, object], rule: str) -> None:
    processes = [around(60e6, 210, seed=seed) for seed in range(5)]
    (found,) = measured(document_of(*processes, **changes)).analysis.failed_rules
    assert found.startswith(rule)


def test_an_emulators_recording_is_never_a_measurement(document_of: Make) -> None:
    document = document_of(around(1e6))
    document["device"]["execution"] = "emulated"
    recording = recording_from_document(document, thing="it")
    with pytest.raises(DataError, match="an emulated device, whose time says nothing"):
        measurement_from_recording(recording)
    with pytest.raises(ValueError, match=r"device\.execution"):
        RealRecording.model_validate(document)
    real = measured(document_of(around(1e6))).model_dump(mode="json", by_alias=True)
    real["recording"]["device"]["execution"] = "emulated"
    with pytest.raises(ValueError, match="Input should be 'device' or 'host'"):
        Measurement.model_validate(real)
    rehearsal = rehearsal_of(recording)
    assert not hasattr(rehearsal, "analysis")


def test_a_real_recording_is_no_rehearsal(document_of: Make) -> None:
    with pytest.raises(DataError, match="a real machine; wanted an emulated one"):
        rehearsal_of(recording_from_document(document_of(), thing="it"))


def with_sensor(process: dict[str, object], quantity: str, values: list[float], sensor: str = "s") -> None:
    length = sum(process["samples_ns"])
    at = np.linspace(0, length, len(values)).astype(int).tolist()
    process.setdefault("traces", []).append({"quantity": quantity, "sensor": sensor, "at_ns": at, "values": values})


def test_a_falling_frequency_is_the_evidence(document_of: Make) -> None:
    slower = np.concatenate([around(1e6, 500), around(1.3e6, 1500)])
    document = document_of(slower, slower)
    for process in document["processes"]:
        with_sensor(process, "frequency_mhz", [2400.0] * 20 + [1850.0] * 80, "policy0")
        with_sensor(process, "frequency_mhz", [600.0] * 100, "policy4")
        with_sensor(process, "temperature_c", [41.0, 84.4])
    found = measured(document).analysis
    assert (found.verdict, found.throttling.found) == ("throttled", True)
    assert "CPU frequency fell to 77 %" in found.throttling.evidence
    assert "highest temperature 84 °C" in found.throttling.evidence
    assert "the device throttled" in found.failed_rules


def test_burst_and_sustained_are_the_first_and_the_last_minute(document_of: Make) -> None:
    samples = np.concatenate([np.full(1200, 100_000_000), np.full(1200, 150_000_000)])
    found = measured(document_of(samples)).analysis.throttling
    assert (found.first_minute_ms, found.last_minute_ms) == (100.0, 150.0)


def test_energy_is_power_above_idle_times_time_per_inference(document_of: Make) -> None:
    document = document_of(np.full(400, 100_000_000), np.full(400, 100_000_000))
    document["idle_power"] = [{"sensor": "VDD_IN", "seconds": 10.0, "watts": 3.0}]
    for process, watts in zip(document["processes"], (8.0, 9.0), strict=True):
        with_sensor(process, "power_w", [watts] * 50, "VDD_IN")
        with_sensor(process, "power_w", [1.0] * 50, "VDD_CPU")
    measurement = measured(document)
    main, other = measurement.analysis.energy
    assert (main.sensor, main.idle_w, main.active_w, main.seconds) == ("VDD_IN", 3.0, 8.5, 80.0)
    assert (main.mj_per_inference, main.net_mj_per_inference) == pytest.approx((850.0, 550.0))
    reach = 12.7062047 * 70.7106781 / np.sqrt(2)
    assert main.net_ci95_mj == pytest.approx((550.0 - reach, 550.0 + reach))
    assert (other.sensor, other.net_mj_per_inference) == ("VDD_CPU", None), "its idle power was not read"
    assert main_energy(measurement) == ("VDD_IN", pytest.approx(550.0))


def test_a_short_energy_is_doubted(document_of: Make) -> None:
    document = document_of(np.full(400, 10_000_000))
    with_sensor(document["processes"][0], "power_w", [8.0] * 5, "VDD_IN")
    assert "energy of VDD_IN: 4 s; wanted 30 s" in measured(document).analysis.failed_rules


def test_memory_is_the_largest_process_and_what_the_model_took(document_of: Make) -> None:
    document = document_of(around(1e6), around(1e6))
    for process, peak in zip(document["processes"], (90, 95), strict=True):
        process["memory"] = {"before_load_bytes": 70, "peak_bytes": peak}
    found = measured(document).analysis
    assert (found.peak_memory_bytes, found.model_memory_bytes) == (95, 25)


def test_the_record_of_a_measurement(document_of: Make) -> None:
    document = document_of(around(1e6), around(1e6))
    document["device"] |= {"model": "Raspberry Pi 5", "governor": "performance"}
    measurement = measured(document)
    record = record_of(measurement, model="arm-onnxruntime/raspberry-pi-5", file="bench/m.json")
    assert isinstance(record, LatencyRecord)
    assert (record.execution, record.device, record.n) == ("device", "ssh://pi@desk", 800)
    assert record.label == label_of(measurement)
    assert record.label == "ONNX Runtime 1.32.0, CPUExecutionProvider, Raspberry Pi 5, 1 thread, governor performance"
    assert record.p90_ci95_ms == measurement.analysis.p90.interval95_ms


@pytest.mark.parametrize(
    ("ship", "int8", "fp16", "said"),
    [
        (
            "fp16",
            [1.2, 1.2, 1.3],
            [1.0, 1.0, 1.1],
            "ship FP16: INT8 took 1.2 times as long (median 1.2 ms against 1 ms",
        ),
        ("int8", [1.0, 1.0], [2.0, 2.0], "ship INT8: FP16 took 2 times as long (median 2 ms against 1 ms"),
        (
            "either",
            [1.0, 1.2],
            [1.1, 1.1],
            "ship INT8 or FP16: neither is faster in every process (medians INT8 1.1 ms",
        ),
    ],
)
def test_a_record_says_which_precision_to_ship_and_where(
    document_of: Make, ship: str, int8: list[float], fp16: list[float], said: str
) -> None:
    document = document_of(around(1e6), around(1e6), precisions={"ship": ship, "int8_ms": int8, "fp16_ms": fp16})
    measurement = measured(document)
    record = record_of(measurement, model="m", file="f")
    assert isinstance(record, LatencyRecord)
    assert ship_text(record).startswith(f"On ssh://pi@desk (device): {said}")
    assert f"  {ship_text(record)}" in remarks_on(measurement)


def test_where_one_precision_was_measured_nothing_is_said_of_shipping(document_of: Make) -> None:
    measurement = measured(document_of(around(1e6), around(1e6)))
    record = record_of(measurement, model="m", file="f")
    assert isinstance(record, LatencyRecord)
    assert ship_text(record) == ""
    assert not any("ship" in line for line in remarks_on(measurement))


def test_a_precision_to_ship_that_the_medians_do_not_show_is_refused(document_of: Make) -> None:
    document = document_of(around(1e6), precisions={"ship": "int8", "int8_ms": [1.2], "fp16_ms": [1.0]})
    with pytest.raises(DataError, match="'int8' is not what the medians of the processes say"):
        measured(document)


def test_the_identity_is_that_of_the_content(document_of: Make) -> None:
    first, again = measured(document_of(around(1e6))), measured(document_of(around(1e6)))
    other = measured(document_of(around(1e6, seed=1)))
    assert first.id == again.id != other.id


def test_a_file_that_is_no_measurement_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text("{}")
    with pytest.raises(DataError, match="cannot be read"):
        measurement_from_file(tmp_path / "m.json")
