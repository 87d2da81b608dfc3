"""Latency over time: processes beside each other, sensors below."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from edgedistill.report.samples import measurement_in_run
from edgedistill.report.timeline_picture import draw_timeline

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edgedistill.bench.measurement import Measurement
    from edgedistill.run.summary import Summary


@pytest.fixture
def measurement(full: Summary, run_folder: Callable[[Summary], Path]) -> Measurement:
    return measurement_in_run(run_folder(full), "bench/student-fp32.json")


def drawn(measurement: Measurement, *, width: float = 545) -> str:
    return draw_timeline(measurement, title="Student, fp32", colour="c-student", width=width).__html__()


def test_each_process_has_its_stretch_and_its_label(measurement: Measurement) -> None:
    picture = drawn(measurement)
    assert len(re.findall('class="trace c-student"', picture)) == 3
    assert re.findall(r">(\d flat)</text>", picture) == ["1 flat", "2 flat", "3 flat"]
    assert "3 processes, 0.82" in picture


def test_temperature_and_frequency_stand_below(measurement: Measurement) -> None:
    picture = drawn(measurement)
    assert len(re.findall('class="sensor"', picture)) == 6
    assert "°C</text>" in picture
    assert "2,400 MHz</text>" in picture


def test_without_sensors_there_is_no_lane(measurement: Measurement) -> None:
    bare = [process.model_copy(update={"traces": ()}) for process in measurement.recording.processes]
    recording = measurement.recording.model_copy(update={"processes": tuple(bare)})
    without = measurement.model_copy(update={"recording": recording})
    assert "sensor" not in drawn(without)
    assert (
        draw_timeline(without, title="x", colour="c", width=330).height
        < draw_timeline(measurement, title="x", colour="c", width=330).height
    )


def test_where_the_steady_state_begins_is_marked(measurement: Measurement) -> None:
    assert 'class="begins"' not in drawn(measurement)
    findings = [finding.model_copy(update={"begins": 100}) for finding in measurement.analysis.processes]
    analysis = measurement.analysis.model_copy(update={"processes": tuple(findings)})
    assert len(re.findall('class="begins"', drawn(measurement.model_copy(update={"analysis": analysis})))) == 3


def test_what_lies_above_the_axis_is_counted(measurement: Measurement) -> None:
    (count,) = re.findall(r"milliseconds; (\d+) above, up to ([\d.]+) ms", drawn(measurement))
    samples = [value for process in measurement.recording.processes for value in process.samples_ns]
    assert float(count[1]) == pytest.approx(max(samples) / 1e6, rel=0.01)
    assert 0 < int(count[0]) <= 0.01 * len(samples) + 1


def test_no_point_leaves_the_picture(measurement: Measurement) -> None:
    for line in re.findall(r'class="trace c-student" points="([^"]*)"', drawn(measurement, width=330)):
        for point in line.split():
            x, y = (float(part) for part in point.split(","))
            assert 0 <= x <= 330
            assert 0 <= y <= 300
