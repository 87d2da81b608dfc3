"""One line of another program's file to a completion, and back."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from edgedistill.capture.completion import (
    MAX_KEY,
    MAX_PAIRS,
    MAX_VALUE,
    Kind,
    chat_completion,
    first_choice,
    is_unicode,
)
from edgedistill.capture.grading.samples import completed
from edgedistill.capture.json_text import Json, canonical, list_at, object_at, text_at
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedistill.capture.completion import Completion

ASKED = ("input", "messages", "prompt", "question", "text")
"""Where an item may keep what was asked."""

CARRIED = ("tools", "parallel_tool_calls", "functions")
"""What a fine-tuning file keeps of a request besides its messages."""


# --- messages


def from_messages(line: Json, *, thing: str, model: str) -> Completion:
    """Return the completion of {"messages": [...]}; its last message, which is the assistant's, is the answer.

    Raises:
        DataError: there are fewer than two messages, or the last one is not the assistant's.
    """
    messages = [message for message in list_at(line, "messages") if isinstance(message, dict)]
    if len(messages) < 2 or messages[-1].get("role") != "assistant":  # noqa: PLR2004 - a question and an answer
        roles = [str(message.get("role"))[:20] for message in messages]
        raise DataError(thing, found=f"messages of {roles}", wanted="messages that end with one of the assistant's")
    request = {"model": model, "messages": messages[:-1], **{key: line[key] for key in CARRIED if key in line}}
    return _completed(line, request, messages[-1], model=model, metadata=_metadata(object_at(line, "metadata")))


def to_messages(completion: Completion) -> Json | None:
    """Return the line of a fine-tuning file; None where there is no answer to learn from."""
    message = _answer(completion)
    if message is None:
        return None
    kept = {key: value for key, value in message.items() if key in ("role", "content", "tool_calls", "name")}
    kept = {key: value for key, value in kept.items() if value is not None}
    carried = {key: completion.request[key] for key in CARRIED if completion.request.get(key) is not None}
    return {"messages": [*completion.messages, {"role": "assistant", **kept}], **carried}


# --- labels


def from_label(line: Json, *, thing: str, model: str) -> Completion:
    """Return the completion of {"text", "label"}: the text is what the user said, the label is the answer.

    Other fields become metadata where they are short enough.

    Raises:
        DataError: the text is none, or the label is neither a text nor a number.
    """
    text, label = line.get("text"), line.get("label")
    if not isinstance(text, str) or not isinstance(label, (str, int, float)):
        found = f"text {type(text).__name__}, label {type(label).__name__}"
        raise DataError(thing, found=found, wanted="a text, and a label that is a text or a number")
    request: Json = {"model": model, "messages": [{"role": "user", "content": text}]}
    others = {key: value for key, value in line.items() if key not in ("text", "label")}
    answer: Json = {"role": "assistant", "content": _plain(label)}
    return _completed(line, request, answer, model=model, metadata=_metadata(others))


def to_label(completion: Completion) -> Json | None:
    """Return {"text", "label"} and the metadata; None where there is no text on either side."""
    answer = completion.answer
    if completion.kind is not Kind.CHAT or answer is None or not completion.prompt:
        return None
    return {**completion.metadata, "text": completion.prompt, "label": answer.strip()}


# --- evaluations


def from_eval(line: Json, *, thing: str, model: str) -> Completion:
    """Return the completion of {"item", "sample"}.

    What was asked is `sample.input`, else the first of ASKED in the item; what was answered is found as graders find
    it. The item's other short fields become metadata, so that a label in it is not lost.

    Raises:
        DataError: nothing was asked, or nothing answered.
    """
    item, given = object_at(line, "item") or object_at(line, "datasource_item"), line.get("sample")
    sample = completed({"output_text": given} if isinstance(given, str) else object_at(line, "sample"))
    asked = next((value for value in (sample.get("input"), *(item.get(key) for key in ASKED)) if value), None)
    messages = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
    text, tools = text_at(sample, "output_text"), list_at(sample, "output_tools")
    if not isinstance(messages, list) or not (text is not None or tools):
        wanted = f"sample.output_text, and in the item one of {', '.join(ASKED)}"
        raise DataError(thing, found="nothing asked, or nothing answered", wanted=wanted)
    answer: Json = {"role": "assistant", "content": text, **({"tool_calls": tools} if tools else {})}
    model = text_at(sample, "model") or model
    request: Json = {"model": model, "messages": messages}
    others = {key: value for key, value in item.items() if key not in ASKED}
    choice = first_choice(sample)
    finish = text_at(sample, "finish_reason") or text_at(choice, "finish_reason") or "stop"
    logprobs = choice.get("logprobs")
    return _completed(line, request, answer, model=model, metadata=_metadata(others), finish=finish, logprobs=logprobs)


def to_eval(completion: Completion) -> Json | None:
    """Return {"item", "sample"}, as an evaluation of stored completions sees them; None where there is no answer."""
    if _answer(completion) is None:
        return None
    sample: Json = {
        "model": completion.model,
        "output_text": completion.answer or "",
        "choices": completion.response["choices"],
        "finish_reason": completion.finish_reason,
        "usage": completion.response.get("usage"),
    }
    item: Json = {**completion.metadata, "input": completion.messages}
    return {"id": completion.id, "item": item, "sample": sample}


# --- within


def _answer(completion: Completion) -> Json | None:
    """Return the answer's message, if it says something."""
    message = object_at(first_choice(completion.response), "message")
    if completion.kind is not Kind.CHAT or not (message.get("content") or message.get("tool_calls")):
        return None
    return message


def _completed(
    line: Json,
    request: Json,
    message: Json,
    *,
    model: str,
    metadata: Mapping[str, str],
    finish: str = "stop",
    logprobs: object = None,
) -> Completion:
    """Return the completion; its id is made of the line, so that importing it again changes nothing."""
    name = f"chatcmpl-{hashlib.sha256(canonical(line)).hexdigest()[:24]}"
    choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": logprobs}
    return chat_completion(request, {"id": name, "model": model, "choices": [choice]}, metadata=metadata)


def _metadata(fields: Mapping[str, object]) -> dict[str, str]:
    """Return what of some fields can be metadata: texts and numbers that are short enough, the first MAX_PAIRS."""
    texts = {key: _plain(value) for key, value in fields.items() if isinstance(value, (str, int, float))}
    short = [
        (key, value)
        for key, value in texts.items()
        if key and len(key) <= MAX_KEY and len(value) <= MAX_VALUE and is_unicode(key + value)
    ]
    return dict(short[:MAX_PAIRS])


def _plain(value: str | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
