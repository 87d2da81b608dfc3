"""The first lines of the page: did the run pass, what was not run, and the three numbers one asks for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from edgedistill.evaluate.executor import Execution
from edgedistill.report.table import ACCURACY, rung_value
from edgedistill.report.wording import (
    DASH,
    count,
    milliseconds,
    points,
    ratio,
    significant,
    size,
    stage_title,
    unbroken,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edgedistill.bench.latency import LatencyRecord
    from edgedistill.run.summary import ArtifactRecord, ParityRecord, Rung, Summary


class State(StrEnum):
    """How a check, or the whole run, ended."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not-run"


class Finding(NamedTuple):
    """Things that failed or were not run, for the same reason (empty when none is known)."""

    things: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Verdict:
    """How the run ended.

    Args:
        state: PASSED only if every gate ran and passed.
        sentence: one line for people.
        failures: what failed, and how.
        not_run: what was not run, and why.
        on_device: whether any result comes from the deployment hardware.
    """

    state: State
    sentence: str
    failures: tuple[Finding, ...]
    not_run: tuple[Finding, ...]
    on_device: bool


@dataclass(frozen=True)
class Headline:
    """One of the three numbers.

    Args:
        title: what it is.
        figure: the number, or "not run".
        detail: what it is compared with.
        execution: what stands behind it, if it is a result of running something.
    """

    title: str
    figure: str
    detail: str
    execution: Execution | None = None


def state_of(passed: bool | None) -> State:  # noqa: FBT001 - the summary's own three-valued field
    """Return the state of one check."""
    if passed is None:
        return State.NOT_RUN
    return State.PASSED if passed else State.FAILED


def verdict_of(summary: Summary) -> Verdict:
    """Return how the run ended; a gate that was not run is never a pass."""
    failures, not_run = _by_reason(_failures(summary)), _by_reason(_missing(summary))
    state = State.FAILED if failures else State.NOT_RUN if not_run or not summary.gates else State.PASSED
    executions = [rung.execution for rung in summary.ladder if rung.value is not None]
    executions += [record.execution for record in summary.latency]
    return Verdict(
        state=state,
        sentence=_sentence(summary, failures=failures, not_run=not_run),
        failures=failures,
        not_run=not_run,
        on_device=Execution.DEVICE in executions,
    )


def _sentence(summary: Summary, *, failures: Sequence[Finding], not_run: Sequence[Finding]) -> str:
    states = [state_of(gate.passed) for gate in summary.gates]
    failed, missing = states.count(State.FAILED), states.count(State.NOT_RUN)
    if not states:
        return "Nothing is proved: the run has no gates."
    if failed:
        return f"{failed} of {len(states)} gates failed."
    if missing:
        return f"{len(states) - missing} of {len(states)} gates passed; {missing} not run."
    if failures:
        return f"All {len(states)} gates passed, but something else failed."
    if not_run:
        return f"All {len(states)} gates passed, but not everything was run."
    return f"All {len(states)} gates passed."


def _failures(summary: Summary) -> Iterator[tuple[str, str]]:
    """Yield what failed, and how."""
    for stage in summary.stages:
        if stage.state == "failed":
            yield f"stage {stage.name}", stage.note
    for gate in summary.gates:
        if gate.passed is False:
            yield f"gate {gate.name}", f"found {gate.found}, wanted {gate.wanted}"
    for parity in summary.parity:
        if parity.passed is False:
            yield f"parity of {_pair(parity)}", parity.note


def _missing(summary: Summary) -> Iterator[tuple[str, str]]:
    """Yield what was not run, and why."""
    for stage in summary.stages:
        if stage.state == "not-run":
            yield f"stage {stage.name}", stage.note
    for gate in summary.gates:
        if gate.passed is None:
            yield f"gate {gate.name}", gate.found
    for rung in summary.ladder:
        if rung.value is None:
            yield f"accuracy of {rung.target or stage_title(rung.stage)} in {rung.executor}", rung.note
    for parity in summary.parity:
        if parity.passed is None:
            yield f"parity of {_pair(parity)}", parity.note


def _by_reason(findings: Iterable[tuple[str, str]]) -> tuple[Finding, ...]:
    """Return the findings grouped: one cause often keeps a gate, a rung and a comparison from being run."""
    things: dict[str, list[str]] = {}
    for thing, reason in findings:
        things.setdefault(reason, []).append(thing)
    return tuple(Finding(tuple(names), reason) for reason, names in things.items())


def _pair(parity: ParityRecord) -> str:
    return f"{parity.reference} and {parity.other}, {parity.target}"


def headlines_of(summary: Summary) -> tuple[Headline, ...]:
    """Return accuracy, size and latency of the first artifact."""
    artifact = summary.artifacts[0] if summary.artifacts else None
    return (_accuracy(summary, artifact), _size(artifact), _latency(summary, artifact))


def _accuracy(summary: Summary, artifact: ArtifactRecord | None) -> Headline:
    teacher = next((rung for rung in summary.ladder if rung.stage == "teacher"), None)
    reached = _last_rung(summary, artifact)
    if reached is None:
        return Headline("Accuracy", "not run", "The artifact was not evaluated.")
    if teacher is None or teacher.value is None or reached.value is None:
        return Headline("Accuracy", rung_value(reached), f"artifact, n = {count(reached.n)}", reached.execution)
    if any(record.used_as == "evaluation set" for record in summary.synthesis):
        detail = f"There is no evaluation set. {rung_value(reached)}, n = {count(reached.n)}"
        return Headline("Accuracy", "not measured", detail, reached.execution)
    if teacher.n != reached.n:
        detail = f"artifact, n = {count(reached.n)}; teacher {rung_value(teacher)} on n = {count(teacher.n)}"
        return Headline("Accuracy", rung_value(reached), detail, reached.execution)
    detail = f"teacher \N{RIGHTWARDS ARROW} artifact, n = {count(reached.n)}"
    if teacher.metric == reached.metric == ACCURACY:
        detail = f"{points(reached.value - teacher.value)} points: {detail}"
    figure = f"{rung_value(teacher).removesuffix(' %')} \N{RIGHTWARDS ARROW} {rung_value(reached)}"
    return Headline("Accuracy", figure, detail, reached.execution)


def _last_rung(summary: Summary, artifact: ArtifactRecord | None) -> Rung | None:
    """Return the rung closest to the device that has a value, of the first artifact."""
    name = f"{artifact.target}/{artifact.profile}" if artifact else None
    rungs = [rung for rung in summary.ladder if rung.stage == "artifact" and rung.value is not None]
    return next((rung for rung in reversed(rungs) if name is None or rung.target == name), None)


def _size(artifact: ArtifactRecord | None) -> Headline:
    if artifact is None:
        return Headline("Size", "not built", "There is no artifact.")
    # a model is a file, or a folder (`.mlpackage`)
    inside = f"{artifact.model}/"
    parts = [file for file in artifact.files if file.path == artifact.model or file.path.startswith(inside)]
    found = sum(file.size_bytes for file in parts)
    if not found:
        return Headline("Size", "unknown", f"The artifact does not list {artifact.model}.")
    figure = f"{size(artifact.fp32_bytes)} \N{RIGHTWARDS ARROW} {size(found)}"
    detail = f"{ratio(artifact.fp32_bytes / found)} smaller: fp32 \N{RIGHTWARDS ARROW} INT8 model file"
    return Headline("Size", figure, detail)


def _latency(summary: Summary, artifact: ArtifactRecord | None) -> Headline:
    name = f"{artifact.target}/{artifact.profile}" if artifact else None
    found = next((record for record in summary.latency if record.model == name), None)
    if found is None:
        return Headline("Latency", "not measured", "The run has no latency of the artifact.")
    low, high = found.p50_ci95_ms
    detail = f"p50 of the INT8 artifact, {unbroken('95 % interval')} " + unbroken(
        f"{significant(low)}{DASH}{significant(high)} ms"
    )
    float_student = _measured_with(found, summary)
    if float_student is not None:
        student_ms = unbroken(milliseconds(float_student.p50_ms))
        detail += f"; fp32 student {student_ms}, {_speed_up(float_student, found)}"
    return Headline("Latency", milliseconds(found.p50_ms), detail, found.execution)


def _measured_with(found: LatencyRecord, summary: Summary) -> LatencyRecord | None:
    """Return the record of the fp32 student closest to an artifact's: each pair is measured side by side."""
    place = summary.latency.index(found)
    students = [i for i, record in enumerate(summary.latency) if record.model == "student-fp32"]
    return summary.latency[min(students, key=lambda i: abs(i - place))] if students else None


def _speed_up(slow: LatencyRecord, fast: LatencyRecord) -> str:
    """Return the ratio of two medians; its bounds are the worst cases of both intervals, wider than 95 %."""
    low = slow.p50_ci95_ms[0] / fast.p50_ci95_ms[1]
    high = slow.p50_ci95_ms[1] / fast.p50_ci95_ms[0]
    if low <= 1 <= high:
        return "no clear difference"
    return f"{ratio(slow.p50_ms / fast.p50_ms)} as long ({significant(low)}{DASH}{significant(high)})"
