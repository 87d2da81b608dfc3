"""What a judging model is asked, and how its answer is read, whatever it answers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.capture.endpoint.answers import Answer
from edgedistill.capture.endpoint.forms import AnswerForm
from edgedistill.capture.grading.definitions import LabelModel, ScoreModel
from edgedistill.capture.grading.judge import request_body, score_of_answer

NAMES = {"item": {"question": "2 + 2?", "url": "data:image/png;base64,AA"}, "sample": {"output_text": "4"}}
SCORE = ScoreModel.model_validate(
    {
        "type": "score_model",
        "model": "judge",
        "input": [{"role": "user", "content": "{{item.question}} {{sample.output_text}}"}],
        "range": [0, 10],
        "sampling_params": {"temperature": 0, "seed": 7, "max_completions_tokens": 50},
    }
)
LABEL = LabelModel.model_validate(
    {
        "type": "label_model",
        "model": "judge",
        "input": [{"role": "user", "content": "{{sample.output_text}}"}],
        "labels": ["good", "bad"],
        "passing_labels": ["good"],
    }
)


def test_a_score_is_asked_for_in_the_published_form() -> None:
    body = request_body(SCORE, NAMES)
    assert body["model"] == "judge"
    assert body["messages"] == [{"role": "user", "content": "2 + 2? 4"}]
    assert (body["temperature"], body["seed"], body["max_completion_tokens"]) == (0, 7, 50)
    assert "max_completions_tokens" not in body
    form = body["response_format"]
    assert isinstance(form, dict)
    assert form["type"] == "json_schema"
    assert form["json_schema"]["strict"] is True
    schema = form["json_schema"]["schema"]
    assert schema["properties"]["result"] == {"type": "number"}
    assert schema["required"] == ["steps", "result"]
    assert schema["additionalProperties"] is False


def test_a_label_is_asked_for_as_one_of_the_labels() -> None:
    form = request_body(LABEL, NAMES)["response_format"]
    assert isinstance(form, dict)
    assert form["json_schema"]["schema"]["properties"]["result"] == {"type": "string", "enum": ["good", "bad"]}


def test_servers_without_schemas_are_told_in_words() -> None:
    for form in (AnswerForm.OBJECT, AnswerForm.PROMPT):
        body = request_body(SCORE, NAMES, form=form)
        messages = body["messages"]
        assert isinstance(messages, list)
        assert "a number from 0 to 10" in messages[-1]["content"]
        assert body.get("response_format") == ({"type": "json_object"} if form is AnswerForm.OBJECT else None)
    told = request_body(LABEL, NAMES, form=AnswerForm.PROMPT)["messages"]
    assert isinstance(told, list)
    assert "good, bad" in told[-1]["content"]


def test_parts_of_a_message_become_those_of_the_chat_completions_api() -> None:
    content = [
        "{{item.question}}",
        {"type": "input_text", "text": "{{sample.output_text}}"},
        {"type": "input_image", "image_url": "{{item.url}}", "detail": "low"},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ]
    grader = SCORE.model_copy(
        update={
            "input": ScoreModel.model_validate(
                {**SCORE.model_dump(), "input": [{"role": "user", "content": content}]}
            ).input
        }
    )
    messages = request_body(grader, NAMES)["messages"]
    assert isinstance(messages, list)
    assert messages[0]["content"] == [
        {"type": "text", "text": "2 + 2?"},
        {"type": "text", "text": "4"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"result": 7, "steps": []}', 7.0),
        ('{"result": "7.5"}', 7.5),
        ('{"result": 99}', 10.0),
        ('{"result": -1}', 0.0),
        ('```json\n{"result": 3}\n```', 3.0),
        ('<think>{"result": 1}</think>{"result": 2}', 2.0),
        ('Here it is: {"result": 4}. Good luck!', 4.0),
    ],
)
def test_scores(text: str, value: float) -> None:
    score = score_of_answer(SCORE, Answer(text))
    assert (score.value, score.invalid) == (value, "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "[]",
        "null",
        '{"result": null}',
        '{"result": true}',
        '{"result": "high"}',
        '{"result": 1e999}',
        '{"score": 7}',
        "{" * 9999,
    ],
)
def test_what_is_no_number_is_0_and_says_why(text: str) -> None:
    score = score_of_answer(SCORE, Answer(text))
    assert score.value == 0.0
    assert score.invalid


def test_0_outside_of_the_range_is_the_nearest_in_it() -> None:
    grader = SCORE.model_copy(update={"range": (1.0, 5.0)})
    assert score_of_answer(grader, Answer("")).value == 1.0


def test_a_refusal_and_a_cut_off_answer_say_so() -> None:
    assert "refused: no" in score_of_answer(SCORE, Answer("", refusal="no")).invalid
    assert "cut off" in score_of_answer(SCORE, Answer('{"steps": [', finish_reason="length")).invalid


@pytest.mark.parametrize(("result", "value"), [("good", 1.0), ("bad", 0.0)])
def test_labels(result: str, value: float) -> None:
    steps = [{"description": "length", "conclusion": "short"}, {"description": "alone"}, "none"]
    score = score_of_answer(LABEL, Answer(json.dumps({"result": result, "steps": steps})))
    assert (score.value, score.label, score.invalid) == (value, result, "")
    assert score.steps == ("length: short", "alone")


@pytest.mark.parametrize("result", ["Good", "ugly", 1, None, ["good"]])
def test_what_is_no_label_is_0_and_says_why(result: object) -> None:
    score = score_of_answer(LABEL, Answer(json.dumps({"result": result})))
    assert (score.value, score.label) == (0.0, None)
    assert "no label" in score.invalid


@given(st.text())
def test_any_answer_is_a_score_in_the_range(text: str) -> None:
    assert 0.0 <= score_of_answer(SCORE, Answer(text)).value <= 10.0
    assert score_of_answer(LABEL, Answer(text)).value in (0.0, 1.0)
