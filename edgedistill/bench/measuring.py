"""The measuring loop, for a program that runs on the device. Needs Python 3.8 and nothing else.

It stands in this package, where the workstation's own measurement uses it, and loose in an artifact beside its runner.
One process measures (`timed`, `alternated`); the process that started it watches the sensors meanwhile (`watched`).
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

CLOCK = "monotonic_ns"
PERIOD_S = 0.2
GRACE_S = 5.0
TIMER_READINGS = 1001
BLOCK_NS = 40_000_000
FEWEST_IN_BLOCK = 5
LAST_WORDS = 400
QUAD = (0, 1, 1, 0)  # A B B A: a drift that is even over the four meets both alike


class MeasuringError(Exception):
    """A measuring process did not end well; the text says how."""


def timed(infer: Callable[[int], object], *, min_samples: int, min_seconds: float, max_seconds: float) -> list[int]:
    """Return how long each inference took, in nanoseconds.

    Args:
        infer: makes inference number so-and-so.
        min_samples: inferences, at least.
        min_seconds: their sum, at least.
        max_seconds: of the clock, after which it ends even with fewer.
    """
    clock = time.monotonic_ns
    durations: list[int] = []
    total, wanted_ns, index = 0, int(min_seconds * 1e9), 0
    gc.disable()  # a collection is this process's own, not the model's
    deadline = clock() + int(max_seconds * 1e9)
    while True:
        start = clock()
        infer(index)
        end = clock()
        durations.append(max(1, end - start))
        total += end - start
        index += 1
        if (index >= min_samples and total >= wanted_ns) or end >= deadline:
            break
    gc.enable()
    return durations


def alternated(infer: Sequence[Callable[[int], object]], *, seconds: float, starts_with: int) -> list[dict[str, Any]]:
    """Return the durations of two models that take turns: blocks in the order A B B A, then B A A B, and so on.

    Args:
        infer: the two.
        seconds: of the clock, at least; whole quads are made, at least two.
        starts_with: 0 or 1.

    Returns:
        One entry for each block: `subject` (0 or 1) and `samples_ns`.
    """
    clock = time.monotonic_ns
    blocks: list[dict[str, Any]] = []
    gc.disable()
    ends, quads = clock() + int(seconds * 1e9), 0
    while quads < 2 or clock() < ends:  # noqa: PLR2004 - one of each order
        for turn in QUAD:
            subject = (turn + starts_with + quads) % 2
            blocks.append({"subject": subject, "samples_ns": _block(infer[subject])})
        quads += 1
    gc.enable()
    return blocks


def _block(infer: Callable[[int], object]) -> list[int]:
    clock = time.monotonic_ns
    durations: list[int] = []
    until = clock() + BLOCK_NS
    while True:
        start = clock()
        infer(len(durations))
        end = clock()
        durations.append(max(1, end - start))
        if end >= until and len(durations) >= FEWEST_IN_BLOCK:
            return durations


def timer_overhead_ns() -> float:
    """Return the median of two readings of the clock with nothing between them."""
    clock = time.monotonic_ns
    differences = []
    for _ in range(TIMER_READINGS):
        start = clock()
        differences.append(clock() - start)
    return float(sorted(differences)[TIMER_READINGS // 2])


def clock_facts() -> dict[str, Any]:
    """Return what the recording's protocol says of the clock."""
    resolution = time.get_clock_info("monotonic").resolution * 1e9
    return {"clock": CLOCK, "clock_resolution_ns": resolution, "timer_overhead_ns": timer_overhead_ns()}


def pin(cpus: Sequence[int] | None) -> list[int] | None:
    """Keep this process on some CPUs, and return where it may run; None where the system does not say.

    Raises:
        MeasuringError: the system has no such CPU.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    if cpus:
        try:
            os.sched_setaffinity(0, cpus)
        except OSError as error:
            message = f"CPUs {list(cpus)} cannot be used ({error.strerror}); this machine has {_cpus()}"
            raise MeasuringError(message) from error
    return _cpus()


def _cpus() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def resident_bytes(kind: str) -> int | None:
    """Return the resident memory of this process: `VmRSS` now, `VmHWM` the most so far; None where it cannot be read.

    getrusage would count the memory of the process that started this one, before it became this program.
    """
    try:
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    except OSError:
        return None
    values = (line.split()[1] for line in lines if line.startswith(f"{kind}:"))
    return next((int(value) * 1024 for value in values), None)


def memory(before_load: int | None) -> dict[str, Any] | None:
    """Return what the recording says of memory: before loading, and the peak."""
    peak = resident_bytes("VmHWM")
    return None if peak is None else {"before_load_bytes": before_load, "peak_bytes": peak}


def watched(
    command: Sequence[str],
    sensors: Sequence[Any],
    *,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Run a measuring process, read the sensors while it runs, and return its JSON document with `traces` added.

    The document says in `started_ns`, on this machine's monotonic clock, when its first sample started; the traces'
    instants count from there.

    Args:
        command: prints one JSON document.
        sensors: each has `quantity`, `name` and `read()`, which returns a number or None.
        timeout_s: after which the process is ended.
        environment: of the process; none means this one's.

    Raises:
        MeasuringError: it does not end, ends with an error, or prints no JSON document.
    """
    readings: list[list[tuple[int, float]]] = [[] for _ in sensors]
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(  # noqa: S603 - this very program, no shell
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env=environment
        )
        try:
            _watch(process, sensors, readings, timeout_s)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        said = [_content(file) for file in (output, errors)]
    if process.returncode:
        raise MeasuringError(f"a measuring process ended with {process.returncode}: {_last_words(*said)}")
    try:
        document: dict[str, Any] = json.loads(said[0])
    except ValueError as error:
        raise MeasuringError(f"a measuring process printed no JSON document: {_last_words(*said)}") from error
    inner = document.get("result", document)  # a runner puts an envelope around
    started = int(inner.pop("started_ns"))
    return {**document, "traces": _traces(sensors, readings, started)}


def _watch(
    process: subprocess.Popen[bytes],
    sensors: Sequence[Any],
    readings: Sequence[list[tuple[int, float]]],
    timeout_s: float,
) -> None:
    deadline = time.monotonic() + timeout_s
    while process.poll() is None:
        for sensor, found in zip(sensors, readings):
            value = sensor.read()
            if value is not None:
                found.append((time.monotonic_ns(), value))
        if time.monotonic() > deadline:
            raise MeasuringError(f"a measuring process did not end within {timeout_s:g} s; it was stopped")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PERIOD_S)


def _content(file: Any) -> str:  # noqa: ANN401 - TemporaryFile's type has another name on each Python
    file.seek(0)
    content: bytes = file.read()
    return content.decode("utf-8", "replace")


def _last_words(output: str, errors: str) -> str:
    """Return the message of a runner's JSON document, or the end of what a process said."""
    try:
        return str(json.loads(output)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return repr((errors.strip() or output.strip())[-LAST_WORDS:])


def _traces(
    sensors: Sequence[Any], readings: Sequence[Sequence[tuple[int, float]]], started: int
) -> list[dict[str, Any]]:
    return [
        {
            "quantity": sensor.quantity,
            "sensor": sensor.name,
            "at_ns": [at - started for at, _ in found],
            "values": [value for _, value in found],
        }
        for sensor, found in zip(sensors, readings)
        if found
    ]


def idle_power(sensors: Sequence[Any], *, seconds: float) -> list[dict[str, Any]]:
    """Return the mean of each power sensor over some seconds in which nothing is run here."""
    found: dict[str, list[float]] = {sensor.name: [] for sensor in sensors if sensor.quantity == "power_w"}
    if not found:
        return []
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        time.sleep(PERIOD_S)
        for sensor in sensors:
            value = sensor.read() if sensor.name in found else None
            if value is not None:
                found[sensor.name].append(value)
    return [
        {"sensor": name, "seconds": seconds, "watts": sum(values) / len(values)}
        for name, values in found.items()
        if values
    ]
