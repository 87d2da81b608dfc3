"""A task that data is made for: how the student is asked, how the teacher is asked, what an example consists of."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any, Final

from edgedistill.errors import InputError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgedistill.capture.json_text import Json

_PACKAGE: Final = "edgedistill.capture.synthesis.tasks"
NAMES: Final = ("classification", "conversation", "math", "nli", "nlu-qa", "summarization")
MAX_SUMMARY_WORDS: Final = 80
"""Longest summary where nothing is said, in words: what the hosted distillation takes."""


@dataclass(frozen=True)
class Task:
    """A task with its own values filled in.

    Args:
        name: "nli".
        labels: the answers that there are; empty where an answer is free text.
        max_words: longest summary, in words.
        fields: what the teacher makes up for one example, with a word on each.
        constants: fields that every example of a request shares.
        texts: prompts by "student.system", "student.user", "student.answer", "reasoned.system", "density.system",
            "generate.system", "generate.user"; empty where the task has none.
    """

    name: str
    labels: tuple[str, ...] = ()
    max_words: int = MAX_SUMMARY_WORDS
    fields: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Fields that the student is asked about: those in its user message."""
        names = Template(self.texts["student.user"]).get_identifiers() if self.texts["student.user"] else ["messages"]
        return tuple(names)

    def text(self, name: str, values: Mapping[str, object] | None = None) -> str:
        """Return a prompt with the task's values and some others filled in."""
        own = {"labels": ", ".join(self.labels), "max_words": self.max_words}
        return Template(self.texts[name]).substitute(own, **(values or {})).strip()

    def question(self, values: Mapping[str, object]) -> list[Json]:
        """Return the messages by which the student is asked about an example, or about the user's own fields."""
        asked: list[Json] = [{"role": "system", "content": self.text("student.system")}]
        return [*asked, {"role": "user", "content": self.text("student.user", values)}]


def task_named(name: str, *, labels: Sequence[str] = (), max_words: int = MAX_SUMMARY_WORDS) -> Task:
    """Return a task.

    Args:
        name: one of `NAMES`.
        labels: the labels of a classification, at least two; other tasks have none or their own.
        max_words: longest summary, in words, at least 5.

    Raises:
        InputError: there is no such task, or the labels do not fit it.
    """
    if name not in NAMES:
        raise InputError(f"task '{name}'", found="no such task", fix=nearest(name, NAMES))
    document = _document(name)
    given = document.get("labels") == "given"
    if given and len(set(labels)) < 2:  # noqa: PLR2004 - one label is no choice
        raise InputError(f"task '{name}'", found=f"{len(set(labels))} labels", wanted="--label with at least two")
    if not given and labels:
        raise InputError(f"task '{name}'", found="labels", wanted="none: it has its own or none")
    return Task(
        name=name,
        labels=tuple(dict.fromkeys(labels)) if given else tuple(document.get("labels", ())),
        max_words=max_words,
        fields=document["generate"]["fields"],
        constants=document["generate"].get("constants", {}),
        texts={
            f"{part}.{key}": document.get(part, {}).get(key, "")
            for part in ("student", "reasoned", "density", "generate")
            for key in ("system", "user", "answer")
        },
    )


def subjects() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what examples are about and how they are written, where the user says nothing: topics and manners."""
    text = resources.files("edgedistill.capture.synthesis").joinpath("subjects.toml").read_text("utf-8")
    document = tomllib.loads(text)
    return tuple(document["topics"]), tuple(document["manners"])


@cache
def _document(name: str) -> dict[str, Any]:
    """Return one of our own files; a test reads them all."""
    return tomllib.loads(resources.files(_PACKAGE).joinpath(f"{name}.toml").read_text("utf-8"))
