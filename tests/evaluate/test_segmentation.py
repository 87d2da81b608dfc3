from __future__ import annotations

import numpy as np
import pytest

from edgedistill.errors import ShapeError
from edgedistill.evaluate.parity import parity
from edgedistill.evaluate.segmentation import UNKNOWN, MaskJudge, mean_iou, pixel_accuracy


def outputs_of(masks: np.ndarray, classes: int = 3) -> np.ndarray:
    return np.moveaxis(np.eye(classes, dtype=np.float32)[masks], -1, 1)


def test_mean_iou_and_pixel_accuracy_in_closed_form() -> None:
    counts = np.array([[6, 1, 0], [2, 3, 0], [0, 0, 0]])
    assert mean_iou(counts) == pytest.approx((6 / 9 + 3 / 6) / 2, rel=1e-12)  # nobody has the third class
    assert pixel_accuracy(counts) == pytest.approx(9 / 12, rel=1e-12)


def test_a_class_that_is_predicted_and_not_there_counts_as_nothing() -> None:
    assert mean_iou(np.array([[4, 0, 4], [0, 4, 0], [0, 0, 0]])) == pytest.approx((0.5 + 1 + 0) / 3, rel=1e-12)


def test_the_judge_counts_known_pixels_of_all_samples_together() -> None:
    masks = np.array([[[0, 1], [1, UNKNOWN]], [[2, 2], [2, 2]], [[UNKNOWN, UNKNOWN], [UNKNOWN, UNKNOWN]]])
    answers = np.array([[[0, 1], [0, 2]], [[2, 2], [2, 1]], [[0, 0], [0, 0]]])
    judge = MaskJudge(masks)
    outputs = outputs_of(answers)
    assert judge.counts(outputs).tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 3]]
    assert judge.score(outputs) == pytest.approx((1 / 2 + 1 / 3 + 3 / 4) / 3, rel=1e-12)
    assert [judge.count(rows) for rows in (1, 2, 3)] == [1, 2, 2]
    assert (judge.answers(outputs) == answers).all()
    assert judge.score(outputs[:1]) == pytest.approx((1 / 2 + 1 / 2) / 2, rel=1e-12)


def test_outputs_that_are_no_maps_are_refused() -> None:
    with pytest.raises(ShapeError, match="maps"):
        MaskJudge(np.zeros((2, 4, 4), np.int64)).score(np.zeros((2, 3, 4, 5), np.float32))


def test_parity_of_maps_counts_pixels_and_names_the_sample() -> None:
    masks = np.zeros((3, 2, 2), np.int64)
    reference = outputs_of(masks) * 255
    other = reference.copy()
    other[1, :, 0, 0] = (0, 255, 0)
    found = parity(reference, other, max_steps=1, answers=MaskJudge(masks).answers)
    assert (found.n, found.first_sample) == (3, 1)
    assert found.top1_agreement == pytest.approx(11 / 12)
    assert found.within_steps == pytest.approx(34 / 36)
    assert parity(reference, reference, max_steps=0, answers=MaskJudge(masks).answers).first_sample is None
