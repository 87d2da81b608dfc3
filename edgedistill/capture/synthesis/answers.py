"""What an answer of the teacher is worth as a label: its reasoning taken out or kept, its form checked."""

from __future__ import annotations

import enum
import re
import string
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from edgedistill.capture.endpoint.forms import object_in
from edgedistill.capture.json_text import list_at, object_at, text_at
from edgedistill.capture.reasoning import without_reasoning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedistill.capture.endpoint.answers import Answer
    from edgedistill.capture.json_text import Json
    from edgedistill.capture.synthesis.task import Task

ANSWER_LINE: Final = re.compile(r"(?:^|\n)\s*(?:\**final )?\**answer\**\s*[:=]\s*(.+?)\s*$", re.IGNORECASE | re.DOTALL)
_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:\s*/\s*\d+)?")


class Reasoning(enum.StrEnum):
    """What becomes of a teacher's reasoning."""

    KEEP = "keep"
    """It stays in the label, where the teacher has put it, or before the answer that it was asked for."""
    STRIP = "strip"
    """The label is the answer alone."""


class Thought(enum.StrEnum):
    """Whether the teacher is asked to think before it answers."""

    NONE = "none"
    CHAIN_OF_THOUGHT = "chain-of-thought"
    """Step by step (arXiv:2201.11903)."""
    CHAIN_OF_DENSITY = "chain-of-density"
    """Ever denser summaries (arXiv:2309.04269)."""


@dataclass(frozen=True)
class Label:
    """A label, or why there is none.

    Args:
        text: what the student should say; empty where there is none.
        failure: why there is none; empty where there is one.
    """

    text: str = ""
    failure: str = ""


def label_of(answer: Answer, *, thought: Thought, reasoning: Reasoning, task: Task | None) -> Label:
    """Return the label in an answer.

    Args:
        answer: the teacher's.
        thought: how it was asked.
        reasoning: what becomes of its reasoning.
        task: what the answer has to be; None takes any.
    """
    failure = _no_answer(answer)
    if failure:
        return Label(failure=failure)
    if thought is Thought.NONE:
        steps, said = "", without_reasoning(answer.text)
    else:
        steps, said = _thought_and_answer(answer.text)
    found = checked_answer(said, task) if said.strip() else Label(failure="no answer")
    if found.failure:
        return found
    if task is not None and task.name == "math" and (steps or reasoning is Reasoning.STRIP):
        found = Label(f"Answer: {final_answer(said)}")
    if reasoning is Reasoning.STRIP:
        return found
    if thought is Thought.NONE and said != answer.text:
        return Label(answer.text)
    return Label(f"{steps}\n\n{found.text}") if steps else found


def _no_answer(answer: Answer) -> str:
    if answer.refusal:
        return f"refused: {answer.refusal[:200]}"
    return f"ended by {answer.finish_reason}" if answer.finish_reason in ("length", "content_filter") else ""


def choice_of(answer: Answer, label: str, *, thought: Thought) -> Json:
    """Return the choice of a chat completion that says the label, with the log probabilities that belong to it.

    Those of a reasoning that was stripped go with it; where they cannot be told apart, all go.

    Args:
        answer: the teacher's.
        label: what was made of it.
        thought: how it was asked.
    """
    choices = list_at(answer.response, "choices")
    tokens = list_at(object_at(choices[0] if choices else {}, "logprobs"), "content")
    skipped = 0 if label == answer.text else len(answer.text) - len(without_reasoning(answer.text))
    kept = _tokens_behind(tokens, skipped, answer.text) if thought is Thought.NONE else []
    return {
        "index": 0,
        "finish_reason": answer.finish_reason or "stop",
        "message": {"role": "assistant", "content": label},
        "logprobs": {"content": kept} if kept else None,
    }


def _tokens_behind(tokens: Sequence[object], skipped: int, text: str) -> list[object]:
    """Return the tokens that reach beyond the first characters of a text; none if they do not spell it."""
    spelled = [text_at(token, "token") or "" if isinstance(token, dict) else "" for token in tokens]
    if skipped and "".join(spelled) != text:
        return []
    ends = accumulate(map(len, spelled))
    return [token for token, end in zip(tokens, ends, strict=True) if end > skipped]


def checked_answer(text: str, task: Task | None) -> Label:
    """Return an answer in the task's own spelling, or why it is none.

    With labels: one of them, whatever case, quotes and full stop it is said with. In mathematics: a number is in it.
    """
    if task is None:
        return Label(text)
    if task.labels:
        label = label_among(text, task.labels)
        return Label(label) if label else Label(failure=f"{text.strip()[:80]!r} is no label")
    if task.name == "math" and number_in(text) is None:
        return Label(failure=f"{text.strip()[:80]!r} has no number")
    if task.name == "summarization" and len(text.split()) > 2 * task.max_words:
        return Label(failure=f"a summary of {len(text.split())} words; wanted {task.max_words}")
    return Label(text)


def label_among(text: str, labels: tuple[str, ...]) -> str:
    """Return the label that a text says, or nothing; "Answer: **Positive**." says "positive"."""
    line = ANSWER_LINE.search(text)
    said = _bare(line.group(1) if line else text)
    return next((label for label in labels if _bare(label) == said), "")


def final_answer(text: str) -> str:
    """Return the last answer in a solution: its last box, what follows "Answer:" or "####", or the whole text."""
    boxed = re.findall(r"\\boxed\{([^{}]*)\}", text)
    line = ANSWER_LINE.search(text)
    return (boxed[-1] if boxed else line.group(1) if line else text.rpartition("####")[2]).strip()


def number_in(text: str) -> Fraction | None:
    """Return the number that a solution ends with: the last one in its final answer; None: it has none."""
    found = _NUMBER.findall(final_answer(text))
    return _fraction(found[-1]) if found else None


def _fraction(text: str) -> Fraction | None:
    above, _, below = text.replace(",", "").replace(" ", "").partition("/")
    try:
        return Fraction(Decimal(above)) / Fraction(below or 1)
    except (InvalidOperation, ValueError, ZeroDivisionError):
        return None


def _thought_and_answer(text: str) -> tuple[str, str]:
    """Return the reasoning and the answer of a teacher that was told to give both in JSON.

    What it says otherwise is nothing: there is no telling the one from the other.
    """
    document = object_in(text) or {}
    steps = [step for step in list_at(document, "reasoning") if isinstance(step, str)]
    return "\n".join(steps) or text_at(document, "reasoning") or "", text_at(document, "answer") or ""


def _bare(text: str) -> str:
    return " ".join(text.strip(string.whitespace + string.punctuation).casefold().split())
