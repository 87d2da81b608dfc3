"""Examples that a teacher made up are checked for what their task wants."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistill.capture.synthesis.examples import Example, answer_schema, answer_words, examples_in
from edgedistill.capture.synthesis.task import NAMES, Task, task_named

ALL = {name: task_named(name, labels=("a", "b") if name == "classification" else (), max_words=6) for name in NAMES}
TALK = [{"role": "user", "content": "hi "}, {"role": "assistant", "content": "hello"}]
GOOD: dict[str, dict[str, object]] = {
    "classification": {"text": " costs $5 "},
    "nli": {"premise": "It rains.", "hypothesis": "It is wet."},
    "nlu-qa": {"context": "Bern has 134,000 people.", "question": "How many?", "answer": "134,000"},
    "conversation": {"messages": TALK},
    "summarization": {
        "document": "A long report of many words about a train that came late.",
        "summary": "Train late.",
    },
    "math": {"question": "6 * 7?", "solution": "6 * 7 = 42", "answer": "42"},
}


def read(task: Task, *examples: object) -> tuple[list[Example], list[str]]:
    return examples_in(json.dumps({"examples": examples}), task, dict.fromkeys(task.constants, "a"), topic="rain")


@pytest.mark.parametrize("name", NAMES)
def test_a_good_example_becomes_a_row(name: str) -> None:
    task = ALL[name]
    (example,), wrong = read(task, GOOD[name])
    assert wrong == []
    messages = example.messages(task)
    assert [message["role"] for message in messages] == ["system", "user", "assistant"]
    assert example.key(task)
    expected = {
        "classification": ("costs $5", "a"),
        "nli": ("Premise: It rains.\nHypothesis: It is wet.", "a"),
        "nlu-qa": ("Passage: Bern has 134,000 people.\n\nQuestion: How many?", "134,000"),
        "conversation": ("hi", "hello"),
        "summarization": ("A long report of many words about a train that came late.", "Train late."),
        "math": ("6 * 7?", "6 * 7 = 42\nAnswer: 42"),
    }
    assert (messages[1]["content"], messages[2]["content"]) == expected[name]


@pytest.mark.parametrize(
    ("name", "changed", "reason"),
    [
        ("classification", {"text": " "}, "no text"),
        ("classification", {"text": 7}, "no text"),
        ("classification", {"text": "x" * 20_001}, "more than 20,000 characters"),
        ("nli", {"hypothesis": "it rains."}, "a hypothesis that is the premise"),
        ("nlu-qa", {"answer": "134000"}, "does not stand in the passage"),
        ("nlu-qa", {"context": "a " * 14, "answer": "a " * 13 + "a"}, "more than 12 words"),
        ("math", {"answer": "forty-two"}, "no number"),
        ("summarization", {"summary": "one two three four five six seven"}, "more than 6 words"),
        ("summarization", {"document": "Train late."}, "as long as its document"),
        ("conversation", {"messages": []}, "messages that are none"),
        ("conversation", {"messages": TALK[:1]}, "do not take turns"),
        ("conversation", {"messages": TALK[::-1]}, "do not take turns"),
        ("conversation", {"messages": [*TALK, *TALK[1:]]}, "do not take turns"),
        ("conversation", {"messages": [{"role": "user", "content": ""}, TALK[1]]}, "messages that are none"),
        ("conversation", {"messages": "hi"}, "messages that are none"),
    ],
)
def test_what_is_wrong_with_others(name: str, changed: dict[str, object], reason: str) -> None:
    good, (found,) = read(ALL[name], {**GOOD[name], **changed})
    assert good == []
    assert reason in found


def test_good_ones_stay_beside_bad_ones() -> None:
    good, wrong = read(ALL["nli"], GOOD["nli"], {}, "text", GOOD["nli"])
    assert (len(good), wrong) == (2, ["no premise", "no premise"])


def test_a_label_is_the_one_that_was_asked_for() -> None:
    (example,), _ = read(ALL["classification"], {"text": "x", "label": "b", "more": 1})
    assert example.fields == {"text": "x", "label": "a"}


@pytest.mark.parametrize("text", ["", "none", "{}", '{"examples": {}}', '{"examples": []}', "[" * 9999])
def test_an_answer_without_examples(text: str) -> None:
    assert examples_in(text, ALL["math"], {}, topic="") == ([], ["an answer without examples"])


@pytest.mark.parametrize("name", NAMES)
def test_schema_and_words_say_the_same(name: str) -> None:
    task = ALL[name]
    schema = json.loads(json.dumps(answer_schema(task)))
    keys = schema["properties"]["examples"]["items"]["required"]
    assert keys == list(task.fields)
    assert all(f'"{key}"' in answer_words(task) for key in keys)


KEYS = st.sampled_from(["messages", "role", "content", "text", "premise", "answer"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
    max_leaves=8,
)


@given(st.sampled_from(NAMES), st.lists(json_values, max_size=4))
def test_any_answer_is_examples_or_reasons(name: str, entries: list[object]) -> None:
    task = ALL[name]
    good, wrong = read(task, *entries)
    assert len(good) + len(wrong) == max(1, len(entries))
    for example in good:
        example.messages(task)
