"""Examples that a teacher made up: read from its answer, checked for what their task wants, turned into rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edgedistill.capture.endpoint.forms import closed_object, object_in
from edgedistill.capture.json_text import Json, list_at, text_of
from edgedistill.capture.synthesis.answers import number_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edgedistill.capture.synthesis.task import Task

MAX_TEXT: Final = 20_000
"""Longest field, in characters."""
_MAX_ANSWER_WORDS: Final = 12


@dataclass(frozen=True)
class Example:
    """One example.

    Args:
        fields: its values, by name; of a conversation, `messages`.
        topic: what it was to be about.
    """

    fields: Mapping[str, object]
    topic: str = ""

    def key(self, task: Task) -> str:
        """Return the text by which it is the same as another: what the student is asked."""
        if task.name == "conversation":
            return " ".join(str(message["content"]) for message in _messages(self.fields["messages"]))
        return "\n".join(str(self.fields[name]) for name in task.inputs)

    def messages(self, task: Task) -> list[Json]:
        """Return it as a fine-tuning line's messages."""
        if task.name == "conversation":
            system: Json = {"role": "system", "content": task.text("student.system")}
            return [system, *_messages(self.fields["messages"])]
        answer = task.text("student.answer", self.fields)
        return [*task.question(self.fields), {"role": "assistant", "content": answer}]


def answer_schema(task: Task) -> Json:
    """Return the JSON schema of what the teacher is asked for: a list of examples."""
    kinds: dict[str, Json] = {name: {"type": "string", "description": what} for name, what in task.fields.items()}
    if task.name == "conversation":
        role: Json = {"type": "string", "enum": ["user", "assistant"]}
        kinds = {"messages": {"type": "array", "items": closed_object({"role": role, "content": {"type": "string"}})}}
    return closed_object({"examples": {"type": "array", "items": closed_object(kinds)}})


def answer_words(task: Task) -> str:
    """Return the same for models that read no schema."""
    one: Json = dict(task.fields)
    if task.name == "conversation":
        one = {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}
    return f'Answer with one JSON object and nothing else: {{"examples": [{text_of(one)}, ...]}}.'


def examples_in(text: str, task: Task, constants: Mapping[str, str], *, topic: str) -> tuple[list[Example], list[str]]:
    """Return the examples in a teacher's answer that are good, and what is wrong with the others.

    Args:
        text: the answer.
        task: what they are for.
        constants: fields that all of them share: {"label": "neutral"}.
        topic: what they were to be about.
    """
    document = object_in(text)
    found = list_at(document, "examples")
    if not found:
        return [], ["an answer without examples"]
    good, wrong = [], []
    for entry in found:
        fields: Json = {**entry, **constants} if isinstance(entry, dict) else {}
        problem = next(_problems(fields, task), "")
        if problem:
            wrong.append(problem)
        else:
            names = ("messages",) if task.name == "conversation" else (*task.fields, *constants)
            good.append(Example({name: _tidy(fields[name]) for name in names}, topic))
    return good, wrong


def _tidy(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def _problems(fields: Json, task: Task) -> Iterator[str]:
    if task.name == "conversation":
        yield from _problems_of_talk(fields.get("messages"))
        return
    for name in task.fields:
        value = fields.get(name)
        if not isinstance(value, str) or not value.strip():
            yield f"no {name}"
            return
        if len(value) > MAX_TEXT:
            yield f"a {name} of more than {MAX_TEXT:,} characters"
    yield from _problems_of_task({name: str(fields[name]).strip() for name in task.fields}, task)


def _problems_of_task(fields: Mapping[str, str], task: Task) -> Iterator[str]:
    if task.name == "nlu-qa":
        if fields["answer"] not in fields["context"]:
            yield "an answer that does not stand in the passage"
        if len(fields["answer"].split()) > _MAX_ANSWER_WORDS:
            yield f"an answer of more than {_MAX_ANSWER_WORDS} words"
    if task.name == "math" and number_in(fields["answer"]) is None:
        yield "an answer that is no number"
    if task.name == "summarization":
        words = len(fields["summary"].split())
        if words > task.max_words:
            yield f"a summary of more than {task.max_words} words"
        if words >= len(fields["document"].split()):
            yield "a summary as long as its document"
    if task.name == "nli" and fields["premise"].casefold() == fields["hypothesis"].casefold():
        yield "a hypothesis that is the premise"


def _problems_of_talk(value: object) -> Iterator[str]:
    messages = value if isinstance(value, list) else []
    said = [message.get("content") if isinstance(message, dict) else None for message in messages]
    roles = [message.get("role") if isinstance(message, dict) else None for message in messages]
    if not messages or not all(isinstance(text, str) and text.strip() for text in said):
        yield "messages that are none"
    elif roles != ["user", "assistant"] * (len(roles) // 2):
        yield "messages that do not take turns from the user to the assistant"
    elif any(len(str(text)) > MAX_TEXT for text in said):
        yield f"a message of more than {MAX_TEXT:,} characters"


def _messages(value: object) -> list[Json]:
    """Return the messages of a conversation that was checked, without keys that do not belong there."""
    messages = value if isinstance(value, list) else []
    return [{"role": message["role"], "content": str(message["content"]).strip()} for message in messages]
