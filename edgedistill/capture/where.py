"""Filters as people write them: KEY=VALUE terms, on the command line and in files."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from edgedistill.capture.completion import Kind
from edgedistill.capture.filters import Filter
from edgedistill.errors import InputError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

METADATA = "metadata."
KEYS = tuple(field.name for field in fields(Filter) if field.name != "metadata")

Value = TypeVar("Value")


def filter_from(terms: Iterable[str]) -> Filter:
    """Return the filter that KEY=VALUE terms make together.

    The keys are those of `Filter`; `metadata.KEY=VALUE` names a pair of metadata. Times are unix seconds,
    "2026-11-24" or "2026-11-24T08:00Z"; without a zone they are of this machine's.

    Raises:
        InputError: a key that does not exist or stands twice, or a value that is none of its kind.
    """
    given = dict[str, str]()
    for term in terms:
        key, equals, value = term.partition("=")
        if not equals:
            raise InputError(f"condition '{term}'", found="no value", wanted="KEY=VALUE, as in model=gpt-4o")
        if key in given:
            raise InputError(f"condition '{term}'", found=f"'{key}' stands twice", wanted="one value of each key")
        if key not in KEYS and not key.startswith(METADATA):
            raise InputError(f"condition '{term}'", found="no such key", fix=nearest(key, [*KEYS, "metadata.KEY"]))
        given[key] = value
    return Filter(
        kind=_given(given, "kind", _kind),
        model=given.get("model"),
        metadata={key.removeprefix(METADATA): value for key, value in given.items() if key.startswith(METADATA)},
        created_after=_given(given, "created_after", unix_time),
        created_before=_given(given, "created_before", unix_time),
        finish_reason=given.get("finish_reason"),
        source=given.get("source"),
        grader=given.get("grader"),
        min_score=_given(given, "min_score", _number),
        passed=_given(given, "passed", _truth),
    )


def unix_time(text: str) -> int:
    """Return unix seconds of "1760000000", "2026-11-24" or "2026-11-24T08:00Z".

    Raises:
        InputError: it is no time.
    """
    if text.isascii() and text.isdigit() and len(text) < len(str(2**62)):
        return int(text)
    try:
        return int(datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError, OSError):
        wanted = "2026-11-24, 2026-11-24T08:00, or unix seconds"
        raise InputError(f"time '{text}'", found="no time", wanted=wanted) from None


def _given(given: Mapping[str, str], key: str, read: Callable[[str], Value]) -> Value | None:
    return read(given[key]) if key in given else None


def _kind(text: str) -> Kind:
    if text not in list(Kind):
        raise InputError(f"kind '{text}'", found="no such kind", wanted=", ".join(Kind))
    return Kind(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"score '{text}'", found="no number") from None


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise InputError(f"passed '{text}'", found="another word", wanted="true or false")
    return text == "true"
