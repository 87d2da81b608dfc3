"""What the API answers to a list: completions, and in answers of their own the messages that were sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedistill.capture.completion import chat_completion, checked_metadata
from edgedistill.capture.json_text import Json, list_at, text_at
from edgedistill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edgedistill.capture.completion import Completion

Messages = dict[str, dict[int, Json]]
"""Messages that were sent, by id of the completion and by their place."""

REPEATED = (
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "tools",
    "tool_choice",
    "response_format",
)
"""Parameters of the request that the API repeats in a stored completion."""


def messages_in(document: Json) -> Messages:
    """Return the messages of a document that lists some; their ids are COMPLETION-PLACE."""
    found = Messages()
    for item in list_at(document, "data"):
        name, _, place = (text_at(item, "id") or "").rpartition("-") if isinstance(item, dict) else ("", "", "")
        if isinstance(item, dict) and "role" in item and name and place.isascii() and place.isdigit():
            found.setdefault(name, {})[int(place[:9])] = _message(item)
    return found


def completions_in(document: Json, messages: Mapping[str, Mapping[int, Json]], *, thing: str) -> Iterable[Completion]:
    """Yield the completions of a document that lists some.

    Their messages are not in it: they come from the documents of `messages`, or from our own `request`.

    Raises:
        DataError: an item is neither a completion nor a message.
    """
    for place, item in enumerate(list_at(document, "data")):
        if not isinstance(item, dict) or not ("choices" in item or "role" in item):
            raise DataError(f"{thing}, data[{place}]", found="something else", wanted="a chat completion or a message")
        if "choices" in item:
            yield _completion(item, messages, thing=f"{thing}, data[{place}]")


def stored_completion(completion: Completion) -> Json:
    """Return a completion in the form in which the API gives out stored ones."""
    repeated = {name: completion.request.get(name) for name in REPEATED}
    return {**repeated, **completion.response, "metadata": dict(completion.metadata), "request_id": None}


def listing(data: Sequence[Json], *, has_more: bool = False) -> Json:
    """Return the document that lists items."""
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"object": "list", "data": list(data), "first_id": first, "last_id": last, "has_more": has_more}


def _completion(item: Json, messages: Mapping[str, Mapping[int, Json]], *, thing: str) -> Completion:
    sent = messages.get(text_at(item, "id") or "", {})
    given = item.get("messages")
    asked = [sent[place] for place in sorted(sent)] or (given if isinstance(given, list) else [])
    request: Json = {"model": item.get("model"), "messages": asked}
    request |= {key: item[key] for key in REPEATED if item.get(key) is not None}
    left_out = {"metadata", "messages", "request_id", "input_user", *REPEATED}
    response = {key: value for key, value in item.items() if key not in left_out}
    try:
        return chat_completion(request, response, metadata=checked_metadata(item.get("metadata")))
    except DataError as error:
        raise DataError(thing, found=str(error).rstrip(".")) from error


def _message(item: Json) -> Json:
    kept = {key: value for key, value in item.items() if key not in ("id", "content_parts") and value is not None}
    return {**kept, "content": item["content_parts"]} if item.get("content_parts") else kept
