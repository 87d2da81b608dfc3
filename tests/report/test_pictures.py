"""What the pictures show, read back from their SVG."""

from xml.etree import ElementTree as ET

import numpy as np
import pytest

from edgedistill.report.curve_picture import draw_accuracy, draw_loss
from edgedistill.report.drawing import Drawing
from edgedistill.report.ladder_picture import draw_ladder
from edgedistill.report.latency_picture import Latency, draw_ecdf, draw_histograms
from edgedistill.run.summary import Curve, CurvePoint, Summary

WIDTHS = (330, 960)


def shapes(drawing: Drawing, style: str) -> list[ET.Element]:
    """Return the elements that have a CSS class."""
    root = ET.fromstring(drawing.__html__())  # noqa: S314 - our own picture
    return [element for element in root.iter() if style in element.get("class", "").split()]


def points(element: ET.Element) -> np.ndarray:
    """Return the points of a polyline, (points, 2), in pixels."""
    return np.array([[float(value) for value in pair.split(",")] for pair in element.get("points", "").split()])


@pytest.mark.parametrize("width", WIDTHS)
def test_only_what_a_processor_ran_is_filled_and_what_was_not_run_has_no_dot(not_run: Summary, width: float) -> None:
    drawing = draw_ladder(not_run, width=width)
    assert drawing is not None
    assert len(shapes(drawing, "dot")) == 4
    assert len(shapes(drawing, "hollow")) == 1
    assert len(shapes(drawing, "missing")) == 1


@pytest.mark.parametrize("width", WIDTHS)
def test_dots_stand_in_the_order_of_their_accuracies(full: Summary, width: float) -> None:
    drawing = draw_ladder(full, width=width)
    assert drawing is not None
    dots = sorted(shapes(drawing, "dot") + shapes(drawing, "hollow"), key=lambda dot: float(dot.get("cy", "")))
    across = [float(dot.get("cx", "")) for dot in dots]
    values = [rung.value for rung in full.ladder]
    assert np.argsort(across, kind="stable").tolist() == np.argsort(values, kind="stable").tolist()
    assert np.corrcoef(across, np.array(values, dtype=float))[0, 1] > 0.9999


def test_no_ladder_no_picture(minimal: Summary) -> None:
    assert draw_ladder(minimal, width=960) is None


def latency(*processes: list[float]) -> Latency:
    """Return samples in milliseconds with their median."""
    arrays = tuple(np.array(process) for process in processes)
    median = float(np.median(np.concatenate(arrays)))
    return Latency("INT8", "c-int8", arrays, p50_ms=median, p50_ci95_ms=(median * 0.99, median * 1.01))


@pytest.mark.parametrize("width", WIDTHS)
def test_samples_beyond_the_histogram_are_counted(width: float) -> None:
    body = [1.0 + index / 1000 for index in range(200)]
    drawing = draw_histograms([latency(body, [*body, 50.0, 70.0])], width=width)
    text = " ".join(element.text or "" for element in shapes(drawing, "small"))
    assert "402 samples in 2 processes" in text
    assert "2 beyond the axis, up to 70.0 ms" in text


def test_the_histogram_has_the_shape_of_the_samples() -> None:
    drawing = draw_histograms([latency([1.0] * 300 + [2.0] * 100)], width=330)
    outline = points(shapes(drawing, "area")[0])
    heights = outline[:, 1].max() - outline[:, 1]
    high = sorted(set(heights[heights > 0].round(1)))
    assert len(high) == 2
    assert high[1] / high[0] == pytest.approx(3, rel=0.01)


def test_equal_samples_can_be_drawn() -> None:
    flat = latency([0.5] * 50)
    assert len(shapes(draw_histograms([flat], width=330), "area")) == 1
    assert len(shapes(draw_ecdf([flat], width=330), "curve")) == 2


def test_the_ecdf_rises_from_the_shortest_to_the_longest_sample() -> None:
    drawing = draw_ecdf([latency([1.0, 2.0, 3.0, 4.0], [2.0, 30.0])], width=330)
    pooled = points(shapes(drawing, "curve")[1])
    assert len(shapes(drawing, "thin")) == 2
    assert (np.diff(pooled[:, 0]) >= 0).all()
    assert (np.diff(pooled[:, 1]) <= 0).all()
    # half of the samples take at most 2 ms: the curve is at 2 ms when its height is a half
    half = pooled[np.isclose(pooled[:, 1], (pooled[0, 1] + pooled[-1, 1]) / 2, atol=0.1)]
    share = np.log(2 / (1 / 1.03)) / np.log(30 * 1.03 * 1.03)
    assert half[0, 0] == pytest.approx(44 + share * (330 - 8 - 44), abs=0.2)


def curve(*accuracies: float | None) -> Curve:
    """Return a training with one point an epoch."""
    return Curve(
        name="student",
        points=tuple(
            CurvePoint(epoch=epoch, loss=1 / epoch, accuracy=accuracy, learning_rate=0.1)
            for epoch, accuracy in enumerate(accuracies, start=1)
        ),
    )


def test_a_falling_loss_falls_and_a_rising_accuracy_rises() -> None:
    history = curve(0.5, None, 0.7, 0.8)
    accuracy = draw_accuracy(history)
    assert accuracy is not None
    assert (np.diff(points(shapes(draw_loss(history), "curve")[0])[:, 1]) > 0).all()
    assert (np.diff(points(shapes(accuracy, "curve")[0])[:, 1]) < 0).all()
    assert len(points(shapes(accuracy, "curve")[0])) == 3
    assert shapes(accuracy, "end")[-1].text == "80.00"


def test_one_point_is_a_dot_and_no_accuracy_no_picture() -> None:
    assert len(shapes(draw_loss(curve(0.5)), "dot")) == 1
    assert draw_accuracy(curve(None, None)) is None
