"""What a model answers beside its teacher: agreement, and accuracy where it abstains when it is least sure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from edgedistill.evaluate.abstention import abstention_curve
from edgedistill.evaluate.judges import UNKNOWN, ClassJudge, neighbours_kept, similarity_correlation
from edgedistill.evaluate.segmentation import MaskJudge, pixel_accuracy
from edgedistill.run.summary import AbstentionCurve, AbstentionPoint, AgreementRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from edgedistill.evaluate.executor import Execution
    from edgedistill.run.context import Context

SMALLEST_COMPARED = 3  # rows of which similarities can be ranked


@dataclass(frozen=True)
class Subject:
    """Whose answers they are.

    Args:
        stage: "student" or "artifact".
        execution: what stands behind them.
        target: `target/profile` of an artifact.
    """

    stage: str
    execution: Execution
    target: str | None = field(default=None)


def agreement_records(context: Context, subject: Subject, outputs: NDArray[np.float32]) -> list[dict[str, object]]:
    """Return how far outputs (n, ...) agree with the teacher's on the evaluation set's first n samples."""
    return [
        AgreementRecord(
            stage=subject.stage,
            target=subject.target,
            measure=measure,
            value=value,
            n=len(outputs),
            execution=subject.execution,
        ).model_dump(mode="json")
        for measure, value in _measures(context, outputs)
    ]


def abstention_records(context: Context, subject: Subject, outputs: NDArray[np.float32]) -> list[dict[str, object]]:
    """Return the accuracy of outputs (n, classes) against the share answered; nothing of a task without classes."""
    judge = context.judge
    if not isinstance(judge, ClassJudge):
        return []
    labels = judge.labels[: len(outputs)]
    known = labels != UNKNOWN
    points = abstention_curve(outputs[known], labels[known])
    record = AbstentionCurve(
        stage=subject.stage,
        target=subject.target,
        metric=judge.metric,
        n=int(known.sum()),
        execution=subject.execution,
        points=tuple(AbstentionPoint(**asdict(point)) for point in points),
    )
    return [record.model_dump(mode="json")]


def _measures(context: Context, outputs: NDArray[np.float32]) -> Iterator[tuple[str, float]]:
    teacher = context.teacher_outputs[: len(outputs)]
    if isinstance(context.judge, ClassJudge):
        yield "same class as the teacher", float((outputs.argmax(1) == teacher.argmax(1)).mean())
        return
    if isinstance(context.judge, MaskJudge):
        yield "share of pixels at their class", pixel_accuracy(context.judge.counts(outputs))
        yield "share of pixels at the teacher's class", float((outputs.argmax(1) == teacher.argmax(1)).mean())
        return
    yield "same nearest neighbour as by the teacher", neighbours_kept(outputs, teacher)
    if len(outputs) >= SMALLEST_COMPARED:
        yield "rank correlation of similarities", similarity_correlation(outputs, teacher)
