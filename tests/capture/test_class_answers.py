"""Answers as classes: which one is named, what log probabilities tell of the others, and what is no class at all."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_stores import labelled_chat

from edgedistill.capture.class_answers import answered, classes_of, plain_name, refuse_strangers
from edgedistill.errors import DataError

CLASSES = ("negative", "neutral", "positive")


@pytest.mark.parametrize(
    "answer",
    [
        "positive",
        " Positive.\n",
        '"positive"',
        "**Positive**",
        '{"label": "positive"}',
        "<think>It says love.</think>\npositive",
    ],
)
def test_one_class_is_named_in_many_ways(answer: str) -> None:
    assert plain_name(answer) == "positive"
    assert answered(labelled_chat(0, "x", answer), CLASSES) == {"positive": 0.0}


def test_an_answer_that_names_no_class_tells_nothing() -> None:
    assert answered(labelled_chat(0, "x", "I cannot say that."), CLASSES) is None


def test_alternatives_of_the_first_token_are_the_other_classes() -> None:
    logprobs = {
        "positive": math.log(0.7),
        " Positive": math.log(0.1),
        "negative": math.log(0.15),
        "The": math.log(0.05),
    }
    found = answered(labelled_chat(0, "x", "positive", logprobs=logprobs), CLASSES)
    assert found is not None
    assert {name: round(math.exp(value), 6) for name, value in found.items()} == {"positive": 0.8, "negative": 0.15}


def test_a_token_that_begins_two_classes_tells_of_none() -> None:
    logprobs = {"positive": math.log(0.9), "ne": math.log(0.1)}
    assert answered(labelled_chat(0, "x", "positive", logprobs=logprobs), CLASSES) == {"positive": 0.0}


def test_a_part_of_a_name_is_enough() -> None:
    logprobs = {"pos": math.log(0.6), "neg": math.log(0.3), "neu": math.log(0.1)}
    found = answered(labelled_chat(0, "x", "positive", logprobs=logprobs), CLASSES)
    assert found is not None
    assert {name: round(math.exp(value), 6) for name, value in found.items()} == {
        "positive": 0.6,
        "negative": 0.3,
        "neutral": 0.1,
    }


def test_a_first_token_that_is_reasoning_tells_nothing_of_classes() -> None:
    chat = labelled_chat(0, "x", "<think>so</think>positive", logprobs={"<think>": -0.1, "negative": -3.0})
    assert answered(chat, CLASSES) == {"positive": 0.0}


def test_impossible_alternatives_are_left_out() -> None:
    logprobs = {"positive": 0.0, "negative": -math.inf}
    assert answered(labelled_chat(0, "x", "positive", logprobs=logprobs), CLASSES) == {"positive": 0.0}


@given(st.dictionaries(st.sampled_from(["pos", "positive", "neg", "neutral", "x", " "]), st.floats(-50, 0), min_size=1))
def test_log_probabilities_stay_at_most_zero(logprobs: dict[str, float]) -> None:
    found = answered(labelled_chat(0, "x", "positive", logprobs=logprobs), CLASSES)
    assert found is not None
    assert "positive" in found
    assert all(value <= 0 for value in found.values())


def test_classes_are_the_answers_as_they_are_most_often_written() -> None:
    answers = ["Spam", "spam", "Spam.", '{"label": "not spam"}', "not spam", "Not spam"]
    assert classes_of(answers, thing="x") == ("Not spam", "Spam")


@pytest.mark.parametrize(
    "answers",
    [
        [f"Here is a long text about number {number}, as you asked for it." for number in range(60)],
        [f"answer {number}" for number in range(60)],
        ["yes"] * 50 + ["I am sorry, but that is nothing I could ever help with."],
    ],
)
def test_texts_are_no_classes(answers: list[str]) -> None:
    with pytest.raises(DataError, match=r"the teacher writes texts.*task: embedding"):
        classes_of(answers, thing="'capture:x'")


def test_many_strangers_are_refused() -> None:
    refuse_strangers(20, 100, CLASSES, thing="x")
    with pytest.raises(DataError, match="21 of 100 answers name none of the classes negative"):
        refuse_strangers(21, 100, CLASSES, thing="x")
