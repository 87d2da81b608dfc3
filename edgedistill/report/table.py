"""The accuracy ladder as rows of text: the page and the terminal show the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from edgedistill.report.interval import wilson_interval
from edgedistill.report.wording import (
    BADGES,
    NOTHING,
    count,
    percent,
    percent_range,
    points,
    significant,
    size,
    stage_title,
)

if TYPE_CHECKING:
    from edgedistill.evaluate.executor import Execution
    from edgedistill.run.summary import Rung, Summary

ACCURACY: Final = "accuracy"
"""The one metric that is a share of right samples, and so has a binomial interval."""


class LadderRow(NamedTuple):
    """One rung, every cell as the reader sees it; an em dash where there is nothing to show.

    Args:
        step: "Teacher", "Student, distilled", "Artifact".
        target: `target/profile` of an artifact, else empty.
        value: "91.82 %", "not run", or "mIoU 0.612" for a metric that is no accuracy.
        interval: 95 % Wilson interval of an accuracy: "91.27-92.34 %".
        against_teacher: difference to the teacher's value of the same metric, in percentage points.
        n: evaluation samples.
        parameters: weights of the model.
        size: of the model file.
        badge: what stands behind the value, in words.
        execution: the same as an enum.
        executor: runtime, version, options, machine.
        note: why it was not run, or what to know.
    """

    step: str
    target: str
    value: str
    interval: str
    against_teacher: str
    n: str
    parameters: str
    size: str
    badge: str
    execution: Execution
    executor: str
    note: str


def ladder_rows(summary: Summary) -> tuple[LadderRow, ...]:
    """Return the accuracy ladder from the teacher to the device, in the summary's order."""
    teacher = next((rung for rung in summary.ladder if rung.stage == "teacher"), None)
    return tuple(_row(rung, teacher) for rung in summary.ladder)


def rung_interval(rung: Rung) -> tuple[float, float] | None:
    """Return the 95 % Wilson interval of a rung's accuracy; none for another metric or nothing run."""
    if rung.metric != ACCURACY or rung.value is None or rung.n < 1 or not 0 <= rung.value <= 1:
        return None
    return wilson_interval(rung.value, rung.n)


def _row(rung: Rung, teacher: Rung | None) -> LadderRow:
    interval = rung_interval(rung)
    return LadderRow(
        step=stage_title(rung.stage),
        target=rung.target or "",
        value=rung_value(rung),
        interval=percent_range(*interval) if interval else NOTHING,
        against_teacher=_difference(rung, teacher),
        n=count(rung.n) if rung.value is not None else NOTHING,
        parameters=count(rung.parameters) if rung.parameters is not None else NOTHING,
        size=size(rung.size_bytes) if rung.size_bytes is not None else NOTHING,
        badge=BADGES[rung.execution],
        execution=rung.execution,
        executor=rung.executor,
        note=rung.note,
    )


def rung_value(rung: Rung) -> str:
    """Return a rung's value as the reader sees it: "91.82 %", "not run", "mIoU 0.612"."""
    if rung.value is None:
        return "not run"
    if rung.metric == ACCURACY:
        return percent(rung.value)
    return f"{rung.metric} {significant(rung.value)}"


def _difference(rung: Rung, teacher: Rung | None) -> str:
    if teacher is None or rung is teacher or teacher.value is None or rung.value is None:
        return NOTHING
    return points(rung.value - teacher.value) if rung.metric == teacher.metric == ACCURACY else NOTHING
