"""The tasks' own files say all that they have to, and fill in."""

from __future__ import annotations

from string import Template

import pytest

from edgedistill.capture.synthesis.task import NAMES, subjects, task_named
from edgedistill.errors import InputError

ALL = {name: task_named(name, labels=("a", "b") if name == "classification" else ()) for name in NAMES}
SHARED = {"labels", "max_words"}


@pytest.mark.parametrize("name", NAMES)
def test_prompts_ask_for_nothing_that_is_not_there(name: str) -> None:
    task = ALL[name]
    order = {"count", "topic", "manner", "label", "domain"}
    made_up = set(task.fields) | set(task.constants)
    allowed = {
        "student.system": SHARED,
        "student.user": made_up | SHARED,
        "student.answer": made_up,
        "reasoned.system": SHARED,
        "density.system": SHARED,
        "generate.system": SHARED,
        "generate.user": order | SHARED,
    }
    for key, text in task.texts.items():
        assert set(Template(text).get_identifiers()) <= allowed.get(key, set()), key
        assert Template(text).is_valid()


@pytest.mark.parametrize("name", NAMES)
def test_every_task_is_asked_about_and_made_up(name: str) -> None:
    task = ALL[name]
    assert task.texts["student.system"]
    assert task.texts["generate.system"]
    assert {"count", "topic", "manner", "domain"} <= set(Template(task.texts["generate.user"]).get_identifiers())
    assert set(task.inputs) <= set(task.fields)
    assert bool(task.texts["student.user"]) == (name != "conversation")


def test_which_tasks_can_be_thought_about() -> None:
    # as the hosted distillation: no chain of thought for talk and summaries, density for summaries alone
    assert {name for name in NAMES if ALL[name].texts["reasoned.system"]} == {"classification", "math", "nli", "nlu-qa"}
    assert {name for name in NAMES if ALL[name].texts["density.system"]} == {"summarization"}


def test_a_question() -> None:
    task = task_named("classification", labels=("good", "bad", "good"))
    assert task.labels == ("good", "bad")
    system, user = task.question({"text": "costs $5"})
    assert "good, bad" in str(system["content"])
    assert user == {"role": "user", "content": "costs $5"}
    assert "at most 30 words" in task_named("summarization", max_words=30).text("student.system")


@pytest.mark.parametrize(
    ("name", "labels", "message"),
    [
        ("clasification", ("a", "b"), "did you mean 'classification'"),
        ("classification", (), "at least two"),
        ("classification", ("a", "a"), "at least two"),
        ("nli", ("a", "b"), "it has its own"),
        ("math", ("a", "b"), "none"),
    ],
)
def test_what_is_no_task(name: str, labels: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        task_named(name, labels=labels)


def test_subjects_differ() -> None:
    topics, manners = subjects()
    assert len(topics) == len(set(topics)) >= 40
    assert len(manners) == len(set(manners)) >= 10
