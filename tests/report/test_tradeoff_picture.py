"""Accuracy against latency: the front, and where points and bars stand."""

from __future__ import annotations

import re

from edgedistill.report.tradeoff_picture import Choice, best_of, draw_tradeoff


def choice(title: str, latency_ms: float, accuracy: float) -> Choice:
    latencies = (0.9 * latency_ms, 1.1 * latency_ms)
    return Choice(title, "c-int8", latency_ms, latencies, accuracy, (accuracy - 0.01, accuracy + 0.01))


FAST, GOOD, BEATEN = choice("fast", 1.0, 0.90), choice("good", 4.0, 0.93), choice("beaten", 5.0, 0.92)


def test_the_front_holds_what_nothing_else_beats_in_both() -> None:
    assert best_of([BEATEN, GOOD, FAST]) == [FAST, GOOD]
    assert best_of([FAST, choice("same", 1.0, 0.90)]) == [FAST], "an equal is no better"
    assert best_of([GOOD]) == [GOOD]


def test_every_model_has_a_point_two_bars_and_its_name() -> None:
    picture = draw_tradeoff([FAST, GOOD, BEATEN], width=545).__html__()
    assert len(re.findall(r'class="dot c-int8"', picture)) == 3
    assert len(re.findall(r'class="whisker c-int8"', picture)) == 6
    for name in ("fast", "good", "beaten"):
        assert f">{name}</text>" in picture


def test_faster_is_further_left_and_better_is_higher() -> None:
    picture = draw_tradeoff([FAST, GOOD], width=330).__html__()
    (fast, good) = [
        (float(x), float(y)) for x, y in re.findall(r'<circle class="dot c-int8" cx="([\d.]+)" cy="([\d.]+)"', picture)
    ]
    assert fast[0] < good[0]
    assert fast[1] > good[1]


def test_names_stay_inside_the_picture() -> None:
    picture = draw_tradeoff(
        [choice("a name of some length", 1.0, 0.9), choice("another long name", 99.0, 0.95)], width=330
    )
    ends = re.findall(r'<text class="small end" x="([\d.]+)"[^>]*>another long name', picture.__html__())
    assert len(ends) == 1, "close to the right edge it stands left of its point"
