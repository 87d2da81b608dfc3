"""What a user is told of a method: source, defaults, and the range and meaning of each option."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgedistill.distill.methods.base import Method, Options

    Json = bool | int | float | str | None | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True)
class OptionDescription:
    """One option of a method.

    Args:
        name: as a recipe says it.
        default: as JSON has it.
        wanted: type and range in words: "number above 0, at most 100".
        meaning: what it does.
    """

    name: str
    default: object
    wanted: str
    meaning: str


def options_of(method: Method[Options]) -> tuple[OptionDescription, ...]:
    """Return the options of a method, in the order in which it has them."""
    schema = method.options.model_json_schema()
    definitions = schema.get("$defs", {})
    defaults = method.checked({}).model_dump(mode="json")
    return tuple(
        OptionDescription(name, defaults[name], _wanted(field, definitions), field["description"].replace("\n", " "))
        for name, field in schema.get("properties", {}).items()
    )


def _wanted(field: Mapping[str, Json], definitions: Mapping[str, Mapping[str, Json]]) -> str:
    """Return type and range of a field of a JSON schema in words."""
    if "$ref" in field:
        return _wanted(definitions[str(field["$ref"]).rpartition("/")[2]], definitions)
    if isinstance(choices := field.get("enum"), list):
        return " or ".join(f"'{choice}'" for choice in choices)
    if isinstance(members := field.get("anyOf"), list):
        return " or ".join(_wanted(member, definitions) for member in members if isinstance(member, dict))
    if isinstance(items := field.get("items"), dict):
        return f"list, each a {_wanted(items, definitions)}"
    return " ".join([str(field.get("type", "value")), ", ".join(_bounds(field))]).strip()


def _bounds(field: Mapping[str, Json]) -> list[str]:
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    return [f"{word} {field[bound]:g}" for bound, word in words.items() if isinstance(field.get(bound), int | float)]
