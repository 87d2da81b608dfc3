"""Definitions run unchanged in every form in which they are kept; what is wrong in one is said before anything runs."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.capture.grading.definitions import DefinitionError, LabelModel, Multi
from edgedistill.capture.grading.evaluation import evaluation_from_document, evaluation_from_file
from edgedistill.errors import UnsupportedError

if TYPE_CHECKING:
    from pathlib import Path

CHECK = {
    "type": "string_check",
    "name": "equal",
    "input": "{{sample.output_text}}",
    "reference": "x",
    "operation": "eq",
}
SIMILAR = {
    "type": "text_similarity",
    "name": "alike",
    "input": "{{sample.output_text}}",
    "reference": "{{item.reference}}",
    "evaluation_metric": "rouge_l",
    "pass_threshold": 0.5,
}
SCORE = {
    "type": "score_model",
    "name": "my_score_model",
    "input": [
        {"role": "system", "content": "You are an expert grader."},
        {"role": "user", "content": "Reference: {{ item.reference_answer }}. Model answer: {{ sample.output_text }}"},
    ],
    "pass_threshold": 0.5,
    "model": "o4-mini-2025-04-16",
    "range": [0, 1],
    "sampling_params": {"max_completions_tokens": 32768, "top_p": 1, "reasoning_effort": "medium"},
}
LABEL = {
    "type": "label_model",
    "model": "o3-mini",
    "input": [
        {"role": "developer", "content": "Classify the sentiment as one of 'positive', 'neutral', or 'negative'"},
        {"role": "user", "content": "Statement: {{item.input}}"},
    ],
    "passing_labels": ["positive"],
    "labels": ["positive", "neutral", "negative"],
    "name": "Example label grader",
}
PYTHON = {"type": "python", "source": "def grade(sample, item):\n    return 1.0", "image_tag": "2025-05-08"}
MULTI = {
    "type": "multi",
    "graders": {
        "name": {
            "name": "name_grader",
            "type": "text_similarity",
            "input": "{{sample.output_json.name}}",
            "reference": "{{item.name}}",
            "evaluation_metric": "fuzzy_match",
            "pass_threshold": 0.9,
        },
        "email": {
            "name": "email_grader",
            "type": "string_check",
            "input": "{{sample.output_json.email}}",
            "reference": "{{item.email}}",
            "operation": "eq",
        },
    },
    "calculate_output": "(name + email) / 2",
}


@pytest.mark.parametrize("grader", [CHECK, SIMILAR, SCORE, LABEL, PYTHON, MULTI], ids=lambda grader: grader["type"])
def test_one_grader(grader: dict[str, Any]) -> None:
    evaluation = evaluation_from_document(grader)
    (criterion,) = evaluation.criteria
    assert criterion.type == grader["type"]
    assert criterion.title == grader.get("name", grader["type"])


def test_the_body_that_creates_an_evaluation() -> None:
    document = {
        "name": "sentiment",
        "data_source_config": {"type": "stored_completions", "metadata": {"usecase": "chatbot"}},
        "testing_criteria": [LABEL, SIMILAR],
        "metadata": {"team": "a"},
    }
    evaluation = evaluation_from_document(document)
    assert evaluation.name == "sentiment"
    assert [criterion.title for criterion in evaluation.criteria] == ["Example label grader", "alike"]
    assert evaluation.metadata == {"usecase": "chatbot"}


def test_an_evaluation_that_was_read_back_from_the_service() -> None:
    document = {
        "object": "eval",
        "id": "eval_67abd54d9b0081909a86353f6fb9317a",
        "created_at": 1739314509,
        "name": "External data",
        "metadata": {},
        "data_source_config": {
            "type": "custom",
            "schema": {
                "type": "object",
                "properties": {
                    "item": {"type": "object", "properties": {"input": {}, "truth": {}}, "required": ["input", "truth"]}
                },
                "required": ["item"],
            },
        },
        "testing_criteria": [{**CHECK, "id": "equal-2eaf2d8d-d649-4335-8148-9535a7ca73c2"}],
    }
    assert evaluation_from_document(document).required == ("input", "truth")


def test_a_schema_of_the_item_itself() -> None:
    source = {"type": "custom", "item_schema": {"type": "object", "required": ["text"]}, "include_sample_schema": True}
    document = {"data_source_config": source, "testing_criteria": [CHECK]}
    assert evaluation_from_document(document).required == ("text",)


def test_other_forms() -> None:
    job = {"model": "o4-mini", "method": {"type": "reinforcement", "reinforcement": {"grader": MULTI}}}
    run = {"grader": SCORE, "item": {"reference_answer": 1.0}, "model_sample": "0.9"}
    assert isinstance(evaluation_from_document(job).criteria[0], Multi)
    assert evaluation_from_document(run).criteria[0].type == "score_model"
    assert len(evaluation_from_document([CHECK, SIMILAR]).criteria) == 2


def test_messages_in_all_their_forms() -> None:
    content = [
        "text",
        {"type": "input_text", "text": "{{item.a}}"},
        {"type": "output_text", "text": "b"},
        {"type": "input_image", "image_url": "{{item.url}}", "detail": "low"},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ]
    single = {"type": "message", "role": "user", "content": {"type": "input_text", "text": "c"}}
    document = {**LABEL, "input": [{"role": "user", "content": content}, single]}
    (criterion,) = evaluation_from_document(document).criteria
    assert isinstance(criterion, LabelModel)
    assert isinstance(criterion.input, tuple)
    assert len(criterion.input) == 2


def test_a_multi_grader_with_one_grader_goes_by_its_name() -> None:
    document = {"type": "multi", "graders": CHECK, "calculate_output": "1 - equal"}
    assert evaluation_from_document(document).criteria[0].title == "multi"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (None, "no graders"),
        ({}, "no graders"),
        ([], "no graders"),
        ({"testing_criteria": []}, "no graders"),
        ({**SIMILAR, "pass_treshold": 0.5}, "pass_treshold is no key of a grader; did you mean 'pass_threshold'"),
        ({**SIMILAR, "evaluation_metric": "rouge_9"}, "evaluation_metric: Input should be 'fuzzy_match'"),
        ({**CHECK, "operation": "contains"}, "operation: Input should be 'eq'"),
        ({key: CHECK[key] for key in CHECK if key != "reference"}, "reference: Field required"),
        ({**CHECK, "input": "{{ answer }}"}, "no path that a template may have"),
        ({**SCORE, "input": [{"role": "user", "content": "{{ items.a }}"}]}, "no path"),
        ({**SCORE, "range": [1, 0]}, "its first number must be the smaller"),
        ({**LABEL, "passing_labels": ["good"]}, "passing_labels has good, which labels has not"),
        ({**PYTHON, "source": "def grade(:"}, "source is no Python"),
        ({**PYTHON, "source": "#" * 300_000}, "256 kB"),
        ({**MULTI, "calculate_output": "name + mail"}, "no grader is called 'mail'"),
        ({**MULTI, "graders": {"a": MULTI}}, "graders"),
        ([CHECK, CHECK], "two criteria called 'equal'"),
    ],
)
def test_what_is_wrong_is_said(document: object, message: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        evaluation_from_document(document)
    assert message in str(caught.value)


def test_a_type_that_is_not_run_here_is_named() -> None:
    with pytest.raises(UnsupportedError, match=r"'azure_ai_evaluator'.*string_check"):
        evaluation_from_document({"type": "azure_ai_evaluator"})


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "sentiment.json"
    path.write_text(json.dumps(LABEL), "utf-8")
    assert evaluation_from_file(path).name == "sentiment"
    path.write_text("{", "utf-8")
    with pytest.raises(DefinitionError, match="no JSON"):
        evaluation_from_file(path)
    with pytest.raises(DefinitionError, match="No such file"):
        evaluation_from_file(tmp_path / "absent.json")


def test_a_definition_is_known_by_its_content() -> None:
    again = evaluation_from_document(dict(reversed(LABEL.items())))
    assert evaluation_from_document(LABEL).sha256 == again.sha256
    assert evaluation_from_document({**LABEL, "model": "o3"}).sha256 != again.sha256


leaves = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=12)
keys = st.sampled_from(
    ["type", "name", "input", "graders", "range", "labels", "role", "content", "testing_criteria", "x"]
)
json_values = st.recursive(
    leaves, lambda v: st.lists(v, max_size=3) | st.dictionaries(keys, v, max_size=4), max_leaves=10
)


@given(json_values)
def test_any_json_is_an_evaluation_or_refused(document: object) -> None:
    with suppress(DefinitionError, UnsupportedError):
        evaluation_from_document(document)


@given(st.sampled_from([CHECK, SIMILAR, SCORE, LABEL, PYTHON, MULTI]), st.data())
def test_a_definition_with_any_value_in_it_is_one_or_refused(grader: dict[str, Any], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from([*grader, "pass_threshold", "sampling_params", "range"]))
    with suppress(DefinitionError, UnsupportedError):
        evaluation_from_document({**grader, key: data.draw(json_values)})
