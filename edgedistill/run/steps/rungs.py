"""Makes a rung of the accuracy ladder from what an executor answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedistill.evaluate.executor import Execution
from edgedistill.evaluate.judges import UNKNOWN, ClassJudge
from edgedistill.evaluate.metrics import confusion_matrix
from edgedistill.evaluate.segmentation import MaskJudge
from edgedistill.run.summary import Confusion, Curve, CurvePoint, Rung

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgedistill.distill.history import History
    from edgedistill.evaluate.executor import Executor
    from edgedistill.evaluate.judges import Judge


def rung(
    stage: str,
    executor: Executor,
    outputs: NDArray[np.float32],
    judge: Judge,
    *,
    target: str | None = None,
    parameters: int | None = None,
    size_bytes: int | None = None,
    student: float | None = None,
    note: str = "",
) -> Rung:
    """Return the rung of outputs (n, ...) of the evaluation set's first n samples; see `Rung` for the rest."""
    return Rung(
        stage=stage,
        target=target,
        metric=judge.metric,
        value=judge.score(outputs),
        n=judge.count(len(outputs)),
        student=student,
        execution=executor.execution,
        executor=executor.label,
        parameters=parameters,
        size_bytes=size_bytes,
        note=note,
    )


def rung_not_run(stage: str, *, target: str, executor: str, note: str) -> Rung:
    """Return the rung of something that could not be run here; it never counts as a pass."""
    return Rung(stage=stage, target=target, value=None, n=0, execution=Execution.NOT_RUN, executor=executor, note=note)


def confusions(stage: str, outputs: NDArray[np.float32], judge: Judge) -> list[Confusion]:
    """Return the confusion matrix of outputs (n, classes), of maps that of their pixels; none without classes."""
    if isinstance(judge, MaskJudge):
        return [_confusion(stage, judge.counts(outputs))]
    if not isinstance(judge, ClassJudge):
        return []
    labels = judge.labels[: len(outputs)]
    known = labels != UNKNOWN
    return [_confusion(stage, confusion_matrix(outputs[known], labels[known]))]


def _confusion(stage: str, counts: NDArray[np.int64]) -> Confusion:
    return Confusion(stage=stage, counts=tuple(tuple(row) for row in counts.tolist()))


def curve(name: str, history: History) -> Curve:
    """Return a training's history as the summary keeps it."""
    points = (
        CurvePoint(epoch=point.epoch, loss=point.loss, accuracy=point.accuracy, learning_rate=point.learning_rate)
        for point in history.points
    )
    return Curve(name=name, points=tuple(points))
