"""Recipe files: YAML text and `key=value` overrides become a plain mapping. Knows no field of the recipe.

The text is YAML 1.2 (core schema), as editors read it. PyYAML alone follows YAML 1.1, where the class name
`no` is false and the learning rate `1e-3` is text.
"""

from __future__ import annotations

import copy
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from edgedistill.errors import RecipeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MAX_BYTES = 262_144
"""Largest recipe that is read; real ones have a few thousand bytes."""


@dataclass(frozen=True)
class Override:
    """One `dotted.key=value` of the command line.

    Args:
        text: as it was typed.
        path: keys from the top of the recipe; a number is an index into a list.
        value: the text after the first `=`, read as YAML.
    """

    text: str
    path: tuple[str, ...]
    value: object


def mapping_from_file(path: Path) -> dict[str, object]:
    """Return what a YAML file holds.

    Raises:
        RecipeError: the file is missing, unreadable, too large, no YAML, no mapping, or a key stands twice.
    """
    thing = f"recipe '{path}'"
    document = _value_from_yaml(_text_from_file(path, thing=thing), thing=thing)
    if isinstance(document, dict):
        return document
    found = "the file is empty" if document is None else f"a {type(document).__name__}"
    raise RecipeError(thing, found=found, wanted="keys and values", fix="`edgedistill init` writes an example")


def override_from_text(text: str) -> Override:
    """Return the override in `dotted.key=value`.

    Raises:
        RecipeError: there is no key, or the value is no YAML.
    """
    thing = f"override '{text}'"
    key, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*", key):
        raise RecipeError(thing, found="no key", wanted="dotted.key=value, such as distill.epochs=3")
    return Override(text, tuple(key.split(".")), _value_from_yaml(value, thing=thing))


def overridden(document: Mapping[str, object], overrides: Sequence[Override]) -> dict[str, object]:
    """Return a copy of the document in which the overrides hold; the last one of a key wins.

    Raises:
        RecipeError: an override goes through something that is no section, or past the end of a list.
    """
    result = copy.deepcopy(dict(document))
    for override in overrides:
        _set(result, override)
    return result


def _set(document: dict[str, object], override: Override) -> None:
    *parents, last = override.path
    section: object = document
    for depth, name in enumerate(parents):
        if isinstance(section, dict):
            section = section.setdefault(name, {})
        else:
            section = _list_at(section, override, depth=depth)[int(name)]
    if isinstance(section, dict):
        section[last] = override.value
    else:
        _list_at(section, override, depth=len(parents))[int(last)] = override.value


def _list_at(section: object, override: Override, *, depth: int) -> list[object]:
    """Return the section if it is a list that has the override's index at this depth."""
    thing = f"override '{override.text}'"
    place, index = ".".join(override.path[:depth]), override.path[depth]
    if not isinstance(section, list):
        raise RecipeError(thing, found=f"'{place}' is a value, not a section")
    if not index.isdecimal() or int(index) >= len(section):
        wanted = f"an index from 0 to {len(section) - 1}" if section else "another key: the list is empty"
        raise RecipeError(thing, found=f"'{place}' has no '{index}'", wanted=wanted)
    return section


def _text_from_file(path: Path, *, thing: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        text = data.decode("utf-8")
    except FileNotFoundError as error:
        raise RecipeError(thing, found="the file does not exist", fix="`edgedistill init` writes one") from error
    except OSError as error:
        raise RecipeError(thing, found=f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RecipeError(thing, found=f"byte {error.start} is not UTF-8", wanted="a YAML file") from error
    if len(data) > MAX_BYTES:
        raise RecipeError(thing, found=f"more than {MAX_BYTES:,} bytes", wanted="a YAML file of keys and values")
    return text


def _value_from_yaml(text: str, *, thing: str) -> object:
    try:
        return yaml.load(text, Loader=_CoreLoader)  # noqa: S506 - a SafeLoader with fewer types still
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = f"{error.context or ''} {error.problem or ''}".strip()
        raise RecipeError(thing, found=f"no valid YAML: {place}{problem}") from error
    except (
        yaml.YAMLError,
        ValueError,
        KeyError,
    ) as error:  # the last two: `!!int x`, 5,000 digits, `!!bool x`
        raise RecipeError(thing, found=f"no valid YAML: {error}") from error
    except RecursionError as error:
        raise RecipeError(thing, found="lists or mappings nested without end") from error


class _CoreLoader(yaml.SafeLoader):
    """Text, numbers, booleans, null, lists, and mappings with text keys; no aliases, no key twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        # an alias to an alias to ... makes a document of gigabytes from a kilobyte
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(
                problem="a recipe has no aliases (*name)", problem_mark=self.current_event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:  # noqa: FBT001, FBT002 - PyYAML's signature
        lines: dict[object, int] = {}
        for key_node, _ in node.value:
            key, mark = self.construct_object(key_node), key_node.start_mark
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} is no text; put it in quotes", problem_mark=mark)
            if key in lines:
                raise yaml.MarkedYAMLError(
                    problem=f"the key '{key}' stands in line {lines[key]} already", problem_mark=mark
                )
            lines[key] = mark.line + 1
        return super().construct_mapping(node, deep)

    def construct_core_int(self, node: yaml.ScalarNode) -> int:
        text = node.value
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))

    def construct_core_float(self, node: yaml.ScalarNode) -> float:
        value = float(node.value.replace(".inf", "inf").replace(".nan", "nan"))
        if not math.isfinite(value):
            raise yaml.MarkedYAMLError(problem="no finite number", problem_mark=node.start_mark)
        return value


def _restrict_to_core_schema() -> None:
    core = "tag:yaml.org,2002:"
    _CoreLoader.yaml_implicit_resolvers = {}
    for name, pattern, first in (
        ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
        ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
        ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
        (
            "float",
            r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
            list("-+.0123456789"),
        ),
    ):
        _CoreLoader.add_implicit_resolver(core + name, re.compile(f"(?:{pattern})$"), first)
    kept = ("null", "bool", "str", "seq", "map")
    _CoreLoader.yaml_constructors = {
        tag: construct
        for tag, construct in _CoreLoader.yaml_constructors.items()
        if tag is None or tag.removeprefix(core) in kept  # None is what refuses every other tag
    }
    _CoreLoader.add_constructor(core + "int", _CoreLoader.construct_core_int)
    _CoreLoader.add_constructor(core + "float", _CoreLoader.construct_core_float)


_restrict_to_core_schema()
