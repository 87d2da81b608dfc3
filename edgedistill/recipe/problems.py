"""What is wrong with a recipe, in the user's words: one line per problem, from pydantic's list of errors."""

from __future__ import annotations

import difflib
import json
import re
import types
import typing
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel

from edgedistill.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from edgedistill.recipe.file import Override

Place = tuple[str | int, ...]
_NOTHING = object()
LONGEST_VALUE = 60
"""Characters of a value that a message shows; longer ones are left out."""


def problems(
    error: ValidationError,
    *,
    document: Mapping[str, object],
    root: type[BaseModel],
    overrides: Sequence[Override] = (),
) -> list[str]:
    """Return one line per problem, in the order of the recipe's fields; one that an override made names it.

    Args:
        error: what pydantic found.
        document: what was validated.
        root: the model it was validated against.
        overrides: those that the document has in it.
    """
    at_place: dict[Place, list[ErrorDetails]] = {}
    for item in error.errors():
        at_place.setdefault(_place(item, document), []).append(item)
    # a list of sections that are all wrong is also "too short": what is wrong inside says it better
    deepest = [place for place in at_place if not any(_lies_within(other, place) for other in at_place)]
    return [_origin(place, overrides) + _problem(at_place[place], place=place, root=root) for place in deepest]


def _place(item: ErrorDetails, document: object) -> Place:
    """Return the keys and indices of an error, without the names of union members between them."""
    place: list[str | int] = []
    for depth, part in enumerate(item["loc"]):
        is_missing_key = item["type"] == "missing" and depth == len(item["loc"]) - 1
        inner = _child(document, part)
        if inner is not _NOTHING or is_missing_key:
            place.append(part)
            document = inner
    return tuple(place)


def _child(document: object, part: str | int) -> object:
    if isinstance(document, dict):
        return document.get(part, _NOTHING)
    if isinstance(document, list) and isinstance(part, int) and part < len(document):
        return document[part]
    return _NOTHING


def _lies_within(place: Place, outer: Place) -> bool:
    return len(place) > len(outer) and place[: len(outer)] == outer


def _origin(place: Place, overrides: Sequence[Override]) -> str:
    path = tuple(str(part) for part in place)
    for override in reversed(overrides):
        if path[: len(override.path)] == override.path:
            return f"override '{override.text}': "
    return ""


def _problem(items: Sequence[ErrorDetails], *, place: Place, root: type[BaseModel]) -> str:
    name, item = ".".join(str(part) for part in place), items[0]
    context = item.get("ctx", {})
    match item["type"]:
        case "missing":
            text = f"'{name}' is missing"
        case "extra_forbidden":
            keys = [key for section in _sections_at(item["loc"][:-1], root) for key in section.model_fields]
            text = f"unknown key '{name}': {nearest(str(item['loc'][-1]), keys)}"
        case "union_tag_not_found":
            text = f"'{name}.kind' is missing; wanted {_tags_at(item['loc'], root)}"
        case "union_tag_invalid":
            text = f"'{name}.kind' is {_shown(context['tag'])}; wanted {_tags_at(item['loc'], root)}"
        case "too_short":
            text = f"'{name}' has {context['actual_length']} values; wanted at least {context['min_length']}"
        case "enum":
            valid = re.findall(r"'([^']*)'", str(context["expected"]))
            close = difflib.get_close_matches(str(item["input"]), valid, n=1)
            hint = f"; the nearest is {close[0]!r}" if close else ""
            text = f"'{name}' is {_shown(item['input'])}; wanted {_wanted(items)}{hint}"
        case "value_error":
            text = f"'{name}': {context['error']}"
        case _:
            text = f"'{name}' is {_shown(item['input'])}; wanted {_wanted(items)}"
    return text


def _wanted(items: Sequence[ErrorDetails]) -> str:
    if items[0]["type"] in ("model_type", "dict_type"):
        return "keys and values (without the key, the defaults hold)"
    if len(items) > 1:  # one per member of the union of `options`, the only union without a tag
        return "text, a number, true, false, null, or a list of those"
    return items[0]["msg"].removeprefix("Input should be ").replace("String should match", "text of the")


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    if len(text) <= LONGEST_VALUE:
        return text
    return "a long text" if isinstance(value, str) else f"a long {type(value).__name__}"


def _tags_at(location: Place, root: type[BaseModel]) -> str:
    return " or ".join(f"'{tag}'" for section in _sections_at(location, root) for tag in _tags(section))


def _sections_at(location: Place, root: type[BaseModel]) -> list[type[BaseModel]]:
    """Return the section at a pydantic location: the members of a union that has no tag there."""
    sections = [root]
    for part in location:
        if isinstance(part, int):
            continue
        inner = [found for section in sections for found in _sections_of_field(section, part)]
        tagged = [section for section in sections if part in _tags(section)]
        sections = inner or tagged or sections
    return sections


def _sections_of_field(section: type[BaseModel], field: str) -> Iterator[type[BaseModel]]:
    if field in section.model_fields:
        yield from _sections_in(section.model_fields[field].annotation)


def _sections_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif typing.get_origin(annotation) in (tuple, list, typing.Union, types.UnionType, Annotated):
        for inner in typing.get_args(annotation):
            yield from _sections_in(inner)


def _tags(section: type[BaseModel]) -> tuple[object, ...]:
    """Return the values of `kind`, the field that tells the members of a union apart."""
    kind = section.model_fields.get("kind")
    return typing.get_args(kind.annotation) if kind else ()
