"""Rows of text become checked samples: labels, a teacher's recorded answers, and splits that leak nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.data.text_rows import CERTAINTY, TextRow, answer_logits, samples_from_rows, split_of
from edgedistill.data.transfer_set import UNKNOWN, Samples
from edgedistill.errors import DataError

LABELLED = [TextRow(f"text {number}", "yes" if number % 2 else "no") for number in range(60)]


def samples(rows: list[TextRow], split: str = "train", **changes: object) -> Samples:
    options = {"source": "text:x", "fingerprint": "f", "max_characters": 100, "labelled": True, **changes}
    return samples_from_rows(rows, split, **options)  # type: ignore[arg-type] # one of two literals


def test_classes_are_the_names_that_occur_sorted() -> None:
    train, test = samples(LABELLED), samples(LABELLED, "test")
    assert train.classes == test.classes == ("no", "yes")
    assert len(train) + len(test) == 60
    assert [train.classes[label] for label in train.labels] == [
        LABELLED[int(text.split()[1])].label for text in train.raw.tolist()
    ]


def test_equal_texts_are_never_on_both_sides() -> None:
    rows = [TextRow(f"  Text  {number}" if number % 2 else f"text {number - 1}") for number in range(200)]
    sides = {row.text.casefold().strip(): split_of(row.text) for row in rows}
    assert split_of("  Some   TEXT ") == split_of("some text")
    assert set(sides.values()) == {"train", "test"}


def test_the_test_set_is_about_a_fifth() -> None:
    share = np.mean([split_of(f"number {number}") == "test" for number in range(2000)])
    assert 0.17 < share < 0.23


def test_a_named_split_is_kept() -> None:
    rows = [TextRow("a", "x", split="train"), TextRow("a", "y", split="train"), TextRow("b", "x", split="test")]
    assert samples(rows).raw.tolist() == ["a", "a"]
    assert samples(rows, "test").raw.tolist() == ["b"]


def test_recorded_answers_teach_where_no_label_is_known() -> None:
    rows = [
        TextRow("a", "yes", {"no": -0.1, "yes": -3.0}, "train"),
        TextRow("b", None, {"no": 0.0}, "train"),
        TextRow("c", None, {"yes": 0.0}, "test"),
        TextRow("d", "no", {"yes": 0.0}, "test"),
    ]
    train, test = samples(rows), samples(rows, "test")
    assert train.labels.tolist() == [1, 0]  # the person's word before the teacher's
    assert test.labels.tolist() == [UNKNOWN, 0]
    assert test.gold
    assert train.answers is not None
    assert train.answers.argmax(1).tolist() == [0, 0]


def test_without_any_label_the_answers_stand_in_and_say_so() -> None:
    rows = [TextRow(name, None, {answer: 0.0}, "test") for name, answer in (("a", "yes"), ("b", "no"))]
    test = samples(rows, "test")
    assert not test.gold
    assert test.labels.tolist() == [1, 0]


def test_one_row_without_an_answer_leaves_none() -> None:
    rows = [TextRow("a", "yes", {"yes": 0.0}, "train"), TextRow("b", "no", None, "train")]
    assert samples(rows).answers is None


def test_a_task_without_classes_needs_no_labels() -> None:
    found = samples([TextRow("a", split="train")], labelled=False)
    assert found.classes == ()
    assert found.labels.tolist() == [UNKNOWN]


@pytest.mark.parametrize(
    ("rows", "classes", "message"),
    [
        ([TextRow("a", "x", split="test")], (), "no texts"),
        ([TextRow("a", split="train")], (), "at least 2 classes"),
        ([TextRow("a", "x", split="train")], (), "at least 2 classes"),
        ([TextRow("a", "x", split="train")], ("y", "z"), "class 'x'"),
        ([TextRow("a", "x", split="train")], ("x", "y"), "no training sample of 1 classes: y"),
        ([TextRow("a", "x", split="train")], ("x", "x"), "each name once"),
    ],
)
def test_what_cannot_be_learned_is_refused(rows: list[TextRow], classes: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        samples(rows, classes=classes)


def test_an_answer_of_one_class_is_nearly_certain() -> None:
    probabilities = np.exp(answer_logits({"b": 0.0}, ("a", "b", "c")))
    np.testing.assert_allclose(probabilities, [(1 - CERTAINTY) / 2, CERTAINTY, (1 - CERTAINTY) / 2], rtol=1e-5)


def test_what_an_answer_leaves_out_shares_the_rest() -> None:
    probabilities = np.exp(answer_logits({"a": math.log(0.7), "b": math.log(0.1)}, ("a", "b", "c", "d")))
    np.testing.assert_allclose(probabilities, [0.7, 0.1, 0.1, 0.1], rtol=1e-5)


@given(st.dictionaries(st.sampled_from("abcde"), st.floats(-200, 0), min_size=1))
def test_answers_are_distributions_that_keep_the_order(answer: dict[str, float]) -> None:
    logits = answer_logits(answer, tuple("abcde"))
    assert np.isfinite(logits).all()
    np.testing.assert_allclose(np.exp(logits.astype(np.float64)).sum(), 1, rtol=1e-5)
