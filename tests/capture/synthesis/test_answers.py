"""A teacher's answer becomes a label, with its reasoning or without, or is refused."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.capture.endpoint.answers import Answer
from edgedistill.capture.synthesis.answers import (
    Reasoning,
    Thought,
    checked_answer,
    choice_of,
    label_among,
    label_of,
    number_in,
)
from edgedistill.capture.synthesis.task import task_named

NLI = task_named("nli")
MATH = task_named("math")
SUMMARY = task_named("summarization", max_words=5)
LABELS = ("positive", "negative", "not sure")


def label(
    text: str, *, thought: Thought = Thought.NONE, reasoning: Reasoning = Reasoning.KEEP, task: object = None
) -> str:
    found = label_of(Answer(text), thought=thought, reasoning=reasoning, task=task)  # type: ignore[arg-type]
    return found.text or f"FAILED {found.failure}"


def test_as_it_is_an_answer_is_kept_to_the_letter() -> None:
    for text in ("  4 \n", "<think>2 + 2</think>4", "I think: 4"):
        assert label(text) == text


def test_stripped_only_the_answer_is_left() -> None:
    assert label("<think>2 + 2</think>\n\n4", reasoning=Reasoning.STRIP) == "4"
    assert label("4", reasoning=Reasoning.STRIP) == "4"
    assert label("<think>on and on", reasoning=Reasoning.STRIP) == "FAILED no answer"
    # reasoning alone is no label, whether it would be kept or not
    assert label("<think>on and on</think>") == "FAILED no answer"


def test_a_chain_of_thought_is_kept_or_stripped() -> None:
    text = json.dumps({"reasoning": ["rain wets", "so it is wet"], "answer": "Entailment"})
    how = {"thought": Thought.CHAIN_OF_THOUGHT, "task": NLI}
    assert label(text, reasoning=Reasoning.STRIP, **how) == "entailment"  # type: ignore[arg-type]
    assert label(text, reasoning=Reasoning.KEEP, **how) == "rain wets\nso it is wet\n\nentailment"  # type: ignore[arg-type]
    behind = f"<think>hm</think>```json\n{text}\n```"
    assert label(behind, reasoning=Reasoning.STRIP, **how) == "entailment"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["entailment", "{}", '{"answer": ""}', '{"answer": 1}', '{"reasoning": "entailment"}', "[]"]
)
def test_who_was_told_to_answer_in_json_and_does_not_gives_no_label(text: str) -> None:
    assert label(text, thought=Thought.CHAIN_OF_THOUGHT, task=NLI).startswith("FAILED")


@pytest.mark.parametrize(
    "text",
    ["positive", "Positive.", ' "positive"\n', "**Positive**", "Answer: positive", "Hm.\nFinal answer: Positive!"],
)
def test_a_label_is_spelled_as_the_task_does(text: str) -> None:
    assert label_among(text, LABELS) == "positive"


@pytest.mark.parametrize("text", ["", "positive or negative", "positively", "neutral", "not"])
def test_what_is_no_label(text: str) -> None:
    assert label_among(text, LABELS) == ""


def test_a_task_with_labels_refuses_other_answers() -> None:
    assert label("Neutral.", task=NLI) == "neutral"
    assert label("It depends.", task=NLI) == "FAILED 'It depends.' is no label"
    assert label("<think>hm</think>Neutral", task=NLI, reasoning=Reasoning.STRIP) == "neutral"
    assert label("<think>hm</think>Neutral", task=NLI) == "<think>hm</think>Neutral"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("42", Fraction(42)),
        ("Answer: 42", Fraction(42)),
        ("6 * 7 = 42 apples\nAnswer: 42 apples", Fraction(42)),
        ("**Answer:** $1,234.50", Fraction("1234.5")),
        ("so it is \\boxed{3/4}", Fraction(3, 4)),
        ("5 + 5 = 10\n#### 10", Fraction(10)),
        ("Answer: -0.5", Fraction(-1, 2)),
        ("first 3, then 4", Fraction(4)),
        ("none", None),
        ("", None),
        ("1/0", None),
        ("²", None),
    ],
)
def test_the_number_that_a_solution_ends_with(text: str, number: Fraction | None) -> None:
    assert number_in(text) == number


def test_mathematics() -> None:
    solution = "6 * 7 = 42\nAnswer: 42"
    assert label(solution, task=MATH) == solution
    assert label(solution, task=MATH, reasoning=Reasoning.STRIP) == "Answer: 42"
    assert label("no idea", task=MATH) == "FAILED 'no idea' has no number"
    thought = json.dumps({"reasoning": ["6 * 7 = 42"], "answer": "42"})
    how = {"thought": Thought.CHAIN_OF_THOUGHT, "task": MATH}
    assert label(thought, reasoning=Reasoning.KEEP, **how) == "6 * 7 = 42\n\nAnswer: 42"  # type: ignore[arg-type]
    assert label(thought, reasoning=Reasoning.STRIP, **how) == "Answer: 42"  # type: ignore[arg-type]


def test_a_summary_much_too_long_is_none() -> None:
    assert label("six words are still just fine", task=SUMMARY) == "six words are still just fine"
    assert label("word " * 11, task=SUMMARY) == "FAILED a summary of 11 words; wanted 5"


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (Answer("half an ans", finish_reason="length"), "ended by length"),
        (Answer("", finish_reason="content_filter"), "ended by content_filter"),
        (Answer("", refusal="I cannot"), "refused: I cannot"),
        (Answer(" \n"), "no answer"),
    ],
)
def test_what_is_no_answer(answer: Answer, failure: str) -> None:
    found = label_of(answer, thought=Thought.NONE, reasoning=Reasoning.KEEP, task=None)
    assert (found.text, found.failure) == ("", failure)


@given(
    st.text(),
    st.sampled_from(list(Thought)),
    st.sampled_from(list(Reasoning)),
    st.sampled_from([None, NLI, MATH, SUMMARY]),
)
def test_any_answer_is_a_label_or_a_reason(text: str, thought: Thought, reasoning: Reasoning, task: object) -> None:
    found = label_of(Answer(text), thought=thought, reasoning=reasoning, task=task)  # type: ignore[arg-type]
    assert bool(found.text) != bool(found.failure)
    if task is NLI and found.text and reasoning is Reasoning.STRIP:
        assert found.text in NLI.labels
    assert checked_answer(text, None).text == text


def with_tokens(*tokens: str) -> Answer:
    content = [{"token": token, "logprob": -0.1, "top_logprobs": []} for token in tokens]
    text = "".join(tokens)
    return Answer(text, response={"choices": [{"message": {"content": text}, "logprobs": {"content": content}}]})


def tokens_of(answer: Answer, label: str, thought: Thought = Thought.NONE) -> list[str]:
    choice: Any = choice_of(answer, label, thought=thought)
    assert choice["message"] == {"role": "assistant", "content": label}
    return [token["token"] for token in choice["logprobs"]["content"]] if choice["logprobs"] else []


def test_log_probabilities_of_reasoning_go_with_it() -> None:
    answer = with_tokens("<think>", "hm", "</think>", "\n\n", "Neu", "tral", ".")
    assert tokens_of(answer, "neutral") == ["Neu", "tral", "."]
    assert len(tokens_of(answer, answer.text)) == 7
    assert tokens_of(with_tokens("<think>", "hm</think>\n\nNeu", "tral"), "neutral") == ["hm</think>\n\nNeu", "tral"]
    assert tokens_of(with_tokens("Neu", "tral"), "neutral") == ["Neu", "tral"]
    # an answer in JSON, or tokens that do not spell it: there is no telling which belong to the label
    assert tokens_of(answer, "neutral", Thought.CHAIN_OF_THOUGHT) == []
    broken = with_tokens("<think>", "hm", "</think>", "Neutral")
    assert tokens_of(Answer(broken.text + "!", response=broken.response), "neutral") == []
    assert tokens_of(Answer("Neutral"), "neutral") == []
