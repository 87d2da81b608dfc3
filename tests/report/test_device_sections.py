"""The report's latencies, device by device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgedistill.bench.latency import PrecisionRecord, UnsteadyRecord
from edgedistill.errors import DataError
from edgedistill.evaluate.executor import Execution
from edgedistill.report.device_sections import device_sections
from edgedistill.report.page import write_report

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgedistill.run.summary import Summary


@pytest.fixture
def two_devices(full: Summary) -> Summary:
    there = full.latency[1].model_copy(
        update={"execution": Execution.DEVICE, "device": "ssh://pi@desk", "measurement_file": "bench/devices/pi.json"}
    )
    restless = UnsteadyRecord(
        model=there.model,
        execution=Execution.DEVICE,
        device="adb:R58M",
        label="ONNX Runtime 1.32.0",
        reason="no steady state in most of 3 processes",
        measurement_file="bench/devices/phone.json",
    )
    return full.model_copy(update={"latency": (*full.latency, there), "unsteady": (restless,)})


def test_each_machine_has_its_section(two_devices: Summary, run_folder: Callable[[Summary], Path]) -> None:
    here, board, phone = device_sections(two_devices, run_folder(two_devices))
    assert [section.name for section in (here, board, phone)] == ["local", "ssh://pi@desk", "adb:R58M"]
    assert (len(here.rows), len(board.rows), len(phone.rows)) == (2, 1, 0)
    assert (len(here.timelines), len(board.timelines), len(phone.timelines)) == (2, 1, 1)
    assert here.tradeoff is not None
    assert board.tradeoff is None, "one model is no choice"
    assert phone.distributions == ()
    assert ("Processor", "Intel Xeon (Cascade Lake) @ 2.20 GHz") in here.facts


def test_a_model_has_the_same_colour_on_every_machine(
    two_devices: Summary, run_folder: Callable[[Summary], Path]
) -> None:
    here, board, _ = device_sections(two_devices, run_folder(two_devices))
    assert "trace c-int8" in here.timelines[1]["wide"].__html__()
    assert "trace c-int8" in board.timelines[0]["wide"].__html__()


def test_the_page_shows_them_and_says_where_there_is_no_number(
    two_devices: Summary, run_folder: Callable[[Summary], Path]
) -> None:
    text = write_report(run_folder(two_devices)).read_text("utf-8")
    section = text.partition('<section id="latency">')[2].partition("</section>")[0]
    assert section.count("<h3>") == 3
    assert "No number for INT8 artifact, raspberry-pi-5: no steady state in most of 3 processes" in section
    assert "badge-device" in section


def test_the_page_says_which_precision_to_ship_where_both_were_measured(
    two_devices: Summary, run_folder: Callable[[Summary], Path]
) -> None:
    *before, there = two_devices.latency
    beside = PrecisionRecord(ship="fp16", int8_ms=1.2, fp16_ms=1.0, processes=5)
    changed = there.model_copy(update={"precisions": beside})
    summary = two_devices.model_copy(update={"latency": (*before, changed)})
    text = write_report(run_folder(summary)).read_text("utf-8")
    assert text.count("ship FP16: INT8 took 1.2 times as long (median 1.2 ms against 1 ms; 5 processes each") == 1
    assert "On ssh://pi@desk (device): ship" in text
    assert "ship" not in write_report(run_folder(two_devices)).read_text("utf-8")


def test_a_missing_measurement_is_named(two_devices: Summary, run_folder: Callable[[Summary], Path]) -> None:
    folder = run_folder(two_devices)
    (folder / "bench/devices/pi.json").unlink()
    with pytest.raises(DataError, match=r"measurement 'bench/devices/pi\.json': the file does not exist"):
        device_sections(two_devices, folder)
