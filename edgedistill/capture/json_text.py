"""JSON from outside and into the store: never raises on what a peer sent, never writes what others cannot read."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, object]
"""A JSON object, as `json.loads` gives it."""

MAX_DEPTH = 100
"""Levels of nesting that are taken; the deepest real request (a tool's JSON schema) has about 20."""


def parsed(content: bytes | str) -> object:
    """Return the value of a JSON text, or None if it is none; NaN and Infinity become None.

    None too when it is nested deeper than MAX_DEPTH: nothing after this meets Python's own limit of recursion.
    """
    try:
        value: object = json.loads(content, parse_constant=lambda _: None)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        return None
    return value if _is_shallow(value) else None


def parsed_object(content: bytes | str) -> Json | None:
    """Return a JSON text's object, or None if it is something else."""
    value = parsed(content)
    return value if isinstance(value, dict) else None


def text_of(value: object) -> str:
    """Return the compact JSON text of a value, which always encodes as UTF-8.

    Numbers that JSON does not have (1e999 reads as infinity) become null; a lone half of a surrogate pair stays
    as its escape.
    """
    try:
        text = _dumped(value, ascii_only=False)
    except ValueError:
        return text_of(_finite(value))
    try:
        text.encode()
    except UnicodeEncodeError:
        return _dumped(value, ascii_only=True)
    return text


def canonical(value: object) -> bytes:
    """Return one spelling of a value: keys sorted, no space, ASCII. Equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def writable(text: str) -> str:
    """Return a text that encodes as UTF-8: lone halves of surrogate pairs, which JSON allows, become "?"."""
    return text.encode("utf-8", "replace").decode()


def object_at(value: object, key: str) -> Json:
    """Return `value[key]` if that is an object, else an empty one."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def list_at(value: object, key: str) -> list[object]:
    """Return `value[key]` if that is a list, else an empty one."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def text_at(value: Mapping[str, object], key: str) -> str | None:
    """Return `value[key]` if that is a text, else None."""
    found = value.get(key)
    return found if isinstance(found, str) else None


def whole_at(value: Mapping[str, object], key: str) -> int | None:
    """Return `value[key]` if that is an integer (True is none), else None."""
    found = value.get(key)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def _dumped(value: object, *, ascii_only: bool) -> str:
    return json.dumps(value, ensure_ascii=ascii_only, allow_nan=False, separators=(",", ":"))


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return value


def _is_shallow(value: object) -> bool:
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _children(outer)]
        if not level:
            return True
    return False


def _children(value: object) -> list[object]:
    if isinstance(value, dict):
        return [inner for inner in value.values() if isinstance(inner, (dict, list))]
    if isinstance(value, list):
        return [inner for inner in value if isinstance(inner, (dict, list))]
    return []
