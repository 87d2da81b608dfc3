"""Accuracy against the share answered, drawn and tabled."""

from __future__ import annotations

from edgedistill.evaluate.executor import Execution
from edgedistill.report.abstention_picture import draw_abstention
from edgedistill.report.page import page_from_summary
from edgedistill.run.summary import AbstentionCurve, AbstentionPoint, AgreementRecord, Summary

POINTS = ((0.5, 1.0, 0.9), (0.9, 0.6, 0.95), (0.99, 0.2, 1.0))


def curve(points: tuple[tuple[float, float, float], ...] = POINTS, metric: str = "accuracy") -> AbstentionCurve:
    return AbstentionCurve(
        stage="artifact",
        target="arm-onnxruntime/raspberry-pi-5",
        metric=metric,
        n=880,
        execution=Execution.HOST,
        points=tuple(AbstentionPoint(threshold=t, answered=share, accuracy=value) for t, share, value in points),
    )


def summary(**parts: object) -> Summary:
    empty: dict[str, object] = dict.fromkeys(("classes", "ladder", "artifacts", "parity", "gates", "stages"), ())
    return Summary.model_validate({"name": "x", "recipe": {}, "versions": {}, "machine": {}, **empty, **parts})


def test_every_point_is_drawn_and_fewer_answered_stand_left() -> None:
    drawn = draw_abstention(curve()).__html__()
    assert drawn.count("<circle") == len(POINTS)
    assert "accuracy by share answered: 90.00 % of all answered" in drawn
    assert "<polyline" in drawn or "<path" in drawn


def test_one_point_has_no_line() -> None:
    drawn = draw_abstention(curve(POINTS[:1], "agreement with the teacher")).__html__()
    assert drawn.count("<circle") == 1
    assert "agreement with the teacher, %" in drawn


def test_the_page_shows_agreement_and_the_curve() -> None:
    measures = ("same class as the teacher", "rank correlation of similarities")
    agreement = [
        AgreementRecord(stage="artifact", measure=measure, value=0.9375, n=880, execution=Execution.HOST)
        for measure in measures
    ]
    page = page_from_summary(summary(agreement=agreement, abstention=(curve(),)), ())
    for text in ('id="answers"', "93.75", "0.9375", "60.00", "0.9900", "Answering only when sure"):
        assert text in page
    assert 'id="answers"' not in page_from_summary(summary(), ())
