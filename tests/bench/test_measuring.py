"""The device's measuring loop and its watching parent."""

from __future__ import annotations

import itertools
import json
import os
import sys
import time

import pytest

from edgedistill.bench import measuring
from edgedistill.bench.measuring import MeasuringError, alternated, idle_power, pin, timed, timer_overhead_ns, watched


class Clock:
    """A clock that moves when an inference is made, and by one nanosecond for each look."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 10**12
        monkeypatch.setattr(time, "monotonic_ns", self.look)

    def look(self) -> int:
        self.now += 1
        return self.now

    def takes(self, *durations_ns: int) -> object:
        turns = itertools.cycle(durations_ns)

        def infer(_: int) -> None:
            self.now += next(turns) - 1

        return infer


def test_each_duration_is_one_inference(monkeypatch: pytest.MonkeyPatch) -> None:
    infer = Clock(monkeypatch).takes(500, 700)
    assert timed(infer, min_samples=4, min_seconds=0, max_seconds=9) == [500, 700, 500, 700]


def test_it_ends_when_samples_and_seconds_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    second = Clock(monkeypatch).takes(1_000_000_000)
    assert len(timed(second, min_samples=2, min_seconds=5, max_seconds=99)) == 5
    assert len(timed(second, min_samples=7, min_seconds=5, max_seconds=99)) == 7
    assert len(timed(second, min_samples=7, min_seconds=50, max_seconds=3)) == 3


def test_a_clock_that_stands_still_gives_no_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic_ns", lambda: 5)
    assert timed(lambda _: None, min_samples=3, min_seconds=0, max_seconds=1) == [1, 1, 1]


def test_turns_are_a_b_b_a_and_then_the_other_way_round(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    blocks = alternated([clock.takes(3_000_000), clock.takes(20_000_000)], seconds=1.0, starts_with=0)
    assert [block["subject"] for block in blocks[:8]] == [0, 1, 1, 0, 1, 0, 0, 1]
    assert {len(block["samples_ns"]) for block in blocks if block["subject"] == 0} == {14}
    assert {len(block["samples_ns"]) for block in blocks if block["subject"] == 1} == {5}
    assert len(blocks) % 4 == 0
    assert sum(sum(block["samples_ns"]) for block in blocks) >= 1e9


def test_the_timers_overhead_is_less_than_a_millisecond() -> None:
    assert 0 <= timer_overhead_ns() < 1e6


def test_a_process_is_kept_on_its_cpus() -> None:
    before = sorted(os.sched_getaffinity(0))
    try:
        assert pin(before[:1]) == before[:1]
    finally:
        os.sched_setaffinity(0, before)
    assert pin(None) == before


def test_a_cpu_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(MeasuringError, match=r"CPUs \[4000\] cannot be used .* this machine has \[0"):
        pin([4000])


class Sensor:
    """Reads 1, 2, 3, ...; every third time nothing."""

    quantity, name = "power_w", "meter"

    def __init__(self) -> None:
        self.reads = 0

    def read(self) -> float | None:
        self.reads += 1
        return None if self.reads % 3 == 0 else float(self.reads)


def child(text: str) -> list[str]:
    return [sys.executable, "-c", f"import json, sys, time\n{text}"]


def test_sensors_are_read_while_the_process_runs_on_its_own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "PERIOD_S", 0.02)
    said = "time.sleep(0.3); print(json.dumps({'started_ns': time.monotonic_ns(), 'x': 1}))"
    found = watched(child(said), [Sensor()], timeout_s=60)
    (trace,) = found["traces"]
    assert found["x"] == 1
    assert (trace["quantity"], trace["sensor"]) == ("power_w", "meter")
    assert trace["values"][:3] == [1.0, 2.0, 4.0]
    assert len(trace["at_ns"]) == len(trace["values"])
    assert trace["at_ns"] == sorted(trace["at_ns"])
    assert trace["at_ns"][0] < 0, "the first reading was before the first sample"


def test_a_runners_envelope_stays_around_its_result() -> None:
    found = watched(child("print(json.dumps({'ok': True, 'result': {'started_ns': 5, 'y': 2}}))"), [], timeout_s=60)
    assert found == {"ok": True, "result": {"y": 2}, "traces": []}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sys.exit('no model')", "ended with 1: 'no model'"),
        ("print(json.dumps({'error': {'message': 'disk full'}})); sys.exit(2)", "ended with 2: disk full"),
        ("print('hello')", "printed no JSON document: 'hello'"),
        ("time.sleep(60)", "did not end within 0.3 s; it was stopped"),
    ],
)
def test_a_process_that_does_not_end_well_is_told(text: str, message: str) -> None:
    with pytest.raises(MeasuringError, match=message):
        watched(child(text), [], timeout_s=0.3 if "sleep" in text else 60)


def test_more_output_than_a_pipe_holds_does_not_block() -> None:
    text = "print(json.dumps({'started_ns': 1, 'samples_ns': list(range(300000))}))"
    assert len(watched(child(text), [], timeout_s=60)["samples_ns"]) == 300_000


def test_idle_power_is_a_mean_and_nothing_without_a_sensor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "PERIOD_S", 0.01)
    (found,) = idle_power([Sensor()], seconds=0.1)
    assert (found["sensor"], found["seconds"]) == ("meter", 0.1)
    assert found["watts"] >= 1.0
    assert idle_power([], seconds=60) == []
    json.dumps(found)
