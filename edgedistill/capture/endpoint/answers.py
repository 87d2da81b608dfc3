"""What an endpoint answers, read as what it is: text from outside."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgedistill.capture.json_text import list_at, object_at, parsed_object, text_at, whole_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedistill.capture.json_text import Json


@dataclass(frozen=True)
class Usage:
    """Tokens of one answer, as the endpoint counts them; 0 where it does not say."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


@dataclass(frozen=True)
class Answer:
    """One chat completion.

    Args:
        text: content of the first choice; empty where there is none.
        finish_reason: why it ended: "stop", "length", "content_filter", ...; empty where not said.
        refusal: why the model declines; empty if it does not.
        reasoning: reasoning that the endpoint gives beside the content; empty where it gives none.
        model: the model that answered, as it calls itself.
        usage: tokens.
        requests: requests that it took, retries included.
        response: the whole answer.
    """

    text: str
    finish_reason: str = ""
    refusal: str = ""
    reasoning: str = ""
    model: str = ""
    usage: Usage = field(default_factory=Usage)
    requests: int = 1
    response: Json = field(default_factory=dict)


def answer_from_response(response: Json, *, requests: int) -> Answer | None:
    """Return the first choice of a chat completion, or None if there is none."""
    choices = list_at(response, "choices")
    message = object_at(choices[0], "message") if choices else {}
    if not message:
        return None
    return Answer(
        text=text_at(message, "content") or "",
        finish_reason=text_at(choices[0], "finish_reason") or "" if isinstance(choices[0], dict) else "",
        refusal=text_at(message, "refusal") or "",
        reasoning=text_at(message, "reasoning_content") or text_at(message, "reasoning") or "",
        model=text_at(response, "model") or "",
        usage=usage_of(response),
        requests=requests,
        response=response,
    )


def usage_of(response: Mapping[str, object]) -> Usage:
    """Return the tokens that a response says it used; counts below 0 are none."""
    usage = object_at(response, "usage")
    prompt = max(0, whole_at(usage, "prompt_tokens") or 0)
    completion = max(0, whole_at(usage, "completion_tokens") or 0)
    return Usage(prompt, completion, max(prompt + completion, whole_at(usage, "total_tokens") or 0))


def error_message(content: bytes) -> str:
    """Return what an error answer says, on one line and short; empty where it says nothing readable."""
    document = parsed_object(content) or {}
    error = document.get("error")
    said = text_at(error, "message") if isinstance(error, dict) else error
    text = said if isinstance(said, str) else text_at(document, "message") or text_at(document, "detail") or ""
    return shortened(text)


def shortened(text: str, *, length: int = 300) -> str:
    """Return a text on one line, cut at a length in characters."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= length else f"{line[: length - 1]}…"
