"""From the pieces of a streamed answer to the answer that would have come in one piece."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedistill.capture.json_text import Json, list_at, parsed_object, whole_at
from edgedistill.capture.server.events import DONE, data_of

if TYPE_CHECKING:
    from collections.abc import Mapping

SET_ONCE = frozenset({"id", "type", "role", "index", "name"})
"""Texts that come whole; all others come in parts that are joined."""

MAX_CHOICES = 128
"""The API's own limit of `n`; a stream that names choice 10^9 allocates nothing for it."""


def assembled(stream: bytes) -> Json | None:
    """Return the `chat.completion` of a stream of `chat.completion.chunk`, or None if it broke off.

    A stream is whole when every choice has its finish reason. One with an error event is not.
    """
    answer, choices = Json(), dict[int, Json]()
    for data in data_of(stream):
        if data == DONE:
            break
        chunk = parsed_object(data)
        if chunk is None or "error" in chunk:
            return None
        answer |= {key: value for key, value in chunk.items() if key != "choices" and value is not None}
        for part in list_at(chunk, "choices"):
            if isinstance(part, dict) and not _joined(choices, part):
                return None
    finished = [choices[index] for index in sorted(choices)]
    if not finished or any(choice["finish_reason"] is None for choice in finished):
        return None
    for choice in finished:
        _unnumber(choice["message"])
    return {**answer, "object": "chat.completion", "choices": finished}


def _joined(choices: dict[int, Json], part: Json) -> bool:
    """Join one part to its choice; say whether there may be such a choice."""
    index = whole_at(part, "index") or 0
    if not 0 <= index < MAX_CHOICES:
        return False
    new: Json = {"index": index, "message": {"role": "assistant", "content": None}, "finish_reason": None}
    choice = choices.setdefault(index, new)
    delta = part.get("delta")
    if isinstance(delta, dict):
        message = choice["message"]
        join(message if isinstance(message, dict) else {}, delta)
    join(choice, {key: value for key, value in part.items() if key not in ("index", "delta")})
    return True


def join(whole: Json, part: Mapping[str, object]) -> None:
    """Add a part to what came before, in place.

    Texts are joined, objects joined key by key; lists whose items bear an `index` are joined item by item, others
    extended; anything else replaces what was there. Null changes nothing.
    """
    for key, value in part.items():
        if value is None:
            whole.setdefault(key, None)
            continue
        before = whole.get(key)
        if isinstance(value, str) and isinstance(before, str) and key not in SET_ONCE:
            whole[key] = before + value
        elif isinstance(value, dict):
            if not isinstance(before, dict):
                before = whole[key] = Json()
            join(before, value)
        elif isinstance(value, list):
            if not isinstance(before, list):
                before = whole[key] = list[object]()
            _join_lists(before, value)
        else:
            whole[key] = value


def _unnumber(message: object) -> None:
    """Take out the places of tool calls, which only pieces bear."""
    for call in list_at(message, "tool_calls"):
        if isinstance(call, dict):
            call.pop("index", None)


def _join_lists(whole: list[object], part: list[object]) -> None:
    for item in part:
        index = whole_at(item, "index") if isinstance(item, dict) else None
        if not isinstance(item, dict) or index is None:
            whole.append(item)
            continue
        # few items, and they come in any order
        found = next((one for one in whole if isinstance(one, dict) and one.get("index") == index), None)
        if found is None:
            found = Json()
            whole.append(found)
        join(found, item)
