"""Two artifacts that take turns on one device: which is faster, by how much, and whether that can be told at all.

Both are loaded in the same fresh process and alternate in short blocks, A B B A, B A A B, ..., so that whatever the
machine does meanwhile meets both; the next process loads them the other way round.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Final, Literal

import numpy as np
from pydantic import AwareDatetime, Field, ValidationError

from edgedistill.bench.measurement import RealDevice
from edgedistill.bench.recording import (
    MOST_SAMPLES,
    ArtifactFacts,
    Nanoseconds,
    Part,
    RuntimeFacts,
    Text,
    Trace,
    Verified,
    Workload,
)
from edgedistill.bench.student import student_quantile
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SCHEMA: Final = "edgedistill.bench-pair/1"
CONFIDENCE = 0.99
FEWEST_PROCESSES = 3
QUAD = 4
NS_PER_MS = 1e6

Subject = Annotated[int, Field(ge=0, le=1)]


class Block(Part):
    """Consecutive inferences of one of the two."""

    subject: Subject
    samples_ns: tuple[Nanoseconds, ...] = Field(min_length=1, max_length=MOST_SAMPLES)


class PairProcess(Part):
    """One fresh process in which both were loaded."""

    starts_with: Subject
    blocks: tuple[Block, ...] = Field(min_length=2 * QUAD, max_length=1_000_000)
    """In quads: first, second, second, first, or the other way round."""
    affinity: tuple[int, ...] | None = None
    traces: tuple[Trace, ...] = Field(default=(), max_length=256)


class PairRecording(Part):
    """What a runner's `pair` prints, of a real machine: an emulator's is refused."""

    schema_version: Literal["edgedistill.bench-pair/1"] = Field(default=SCHEMA, alias="schema")
    started: AwareDatetime
    artifacts: tuple[ArtifactFacts, ArtifactFacts]
    runtime: RuntimeFacts
    device: RealDevice
    workload: Workload
    runner: Text
    clock: Text
    verified: tuple[Verified | None, Verified | None]
    processes: tuple[PairProcess, ...] = Field(min_length=1, max_length=1000)


class Comparison(Part):
    """Whether two artifacts differ in latency on one device."""

    verdict: Literal["faster", "slower", "no difference"]
    """Of the second against the first; a difference is only claimed where the interval excludes 1."""
    ratio: float
    """Latency of the second over that of the first."""
    ratio_ci99: tuple[float, float]
    """99 % interval, across processes."""
    first_ms: float
    """Median of all samples of the first, taken in turns with the second."""
    second_ms: float
    processes: int
    quads: int
    n: tuple[int, int]
    """Samples of each."""


def pair_from_document(document: object, *, thing: str) -> PairRecording:
    """Return the recording of a pair that a runner printed, out of its envelope.

    Raises:
        DataError: it is not what the schema says, or comes from an emulator.
    """
    inner = document.get("result") if isinstance(document, dict) and "result" in document else document
    try:
        return PairRecording.model_validate(inner)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(thing, found=f"{place}: {first['msg']}", wanted=f"schema {SCHEMA}") from error


def comparison_of(recording: PairRecording) -> Comparison:
    """Return whether the second artifact is faster or slower, or no difference can be told.

    Each quad gives the logarithm of a ratio of block medians; a process's value is the median of its quads; the
    interval is Student's t over the processes. Quads take a slow drift out, processes the differences of memory layout.

    Raises:
        DataError: there are fewer than three processes.
    """
    values = [_process_value(process) for process in recording.processes]
    if len(values) < FEWEST_PROCESSES:
        raise DataError(
            "comparison of two artifacts", found=f"{len(values)} processes", wanted=f"at least {FEWEST_PROCESSES}"
        )
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(len(values))
    reach = student_quantile((1 + CONFIDENCE) / 2, degrees=len(values) - 1) * error
    low, high = math.exp(mean - reach), math.exp(mean + reach)
    samples = [_samples_of(recording, subject) for subject in (0, 1)]
    return Comparison(
        verdict="faster" if high < 1 else "slower" if low > 1 else "no difference",
        ratio=math.exp(mean),
        ratio_ci99=(low, high),
        first_ms=float(np.median(samples[0])) / NS_PER_MS,
        second_ms=float(np.median(samples[1])) / NS_PER_MS,
        processes=len(values),
        quads=sum(len(process.blocks) // QUAD for process in recording.processes),
        n=(len(samples[0]), len(samples[1])),
    )


def _process_value(process: PairProcess) -> float:
    return float(np.median(list(_quad_ratios(process.blocks))))


def _quad_ratios(blocks: Sequence[Block]) -> Iterator[float]:
    """Yield log(second / first) of each whole quad."""
    for start in range(0, len(blocks) - QUAD + 1, QUAD):
        medians: dict[int, list[float]] = {0: [], 1: []}
        for block in blocks[start : start + QUAD]:
            medians[block.subject].append(math.log(float(np.median(block.samples_ns))))
        if medians[0] and medians[1]:
            yield float(np.mean(medians[1]) - np.mean(medians[0]))


def _samples_of(recording: PairRecording, subject: int) -> list[int]:
    return [
        value
        for process in recording.processes
        for block in process.blocks
        if block.subject == subject
        for value in block.samples_ns
    ]
