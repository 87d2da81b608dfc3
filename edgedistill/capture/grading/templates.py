"""Templates: `{{ item.answer }}`, `{{ sample.output_json.items[0].name }}`.

A value is put in as it is and never read again, so that an answer which contains `{{ }}` stays text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from edgedistill.capture.grading.definitions import DefinitionError
from edgedistill.capture.json_text import text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMESPACES: Final = ("item", "sample")
_HOLE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_STEP = re.compile(r"""\.\s*([^\s.\[\]{}|"']+)|\[\s*(\d+)\s*\]|\[\s*"([^"]*)"\s*\]|\[\s*'([^']*)'\s*\]""")


class MissingValueError(Exception):
    """A template names what a sample does not have.

    Args:
        path: the name: "item.answer".
        wanted: the first part of it that is missing, and what is there instead.
    """

    def __init__(self, path: str, wanted: str) -> None:
        super().__init__(f"{path}: {wanted}")


@dataclass(frozen=True)
class Reference:
    """A hole in a template: a namespace, and the steps from there."""

    namespace: str
    steps: tuple[str | int, ...]
    written: str

    def value(self, namespaces: Mapping[str, object]) -> object:
        """Return what it stands for.

        Raises:
            MissingValueError: the item or sample does not have it.
        """
        found = namespaces[self.namespace]
        for step in self.steps:
            found = _step_into(found, step, self.written)
        return found


Template = tuple[str | Reference, ...]


@lru_cache(maxsize=1024)
def parsed_template(text: str) -> Template:
    """Return the literal parts and holes of a template.

    Raises:
        DefinitionError: a hole is no `item.` or `sample.` path.
    """
    parts: list[str | Reference] = []
    end = 0
    for hole in _HOLE.finditer(text):
        parts += [text[end : hole.start()], _reference(hole.group(1).strip())]
        end = hole.end()
    parts.append(text[end:])
    return tuple(part for part in parts if part != "")


def rendered(text: str, namespaces: Mapping[str, object]) -> str:
    """Return a template with its holes filled.

    A text goes in as it is, anything else as JSON: 3, true, null, ["a", "b"].

    Args:
        text: the template.
        namespaces: the values of `item` and `sample`.

    Raises:
        MissingValueError: the item or sample does not have what a hole names.
        DefinitionError: a hole is no `item.` or `sample.` path.
    """
    parts = parsed_template(text)
    return "".join(part if isinstance(part, str) else _as_text(part.value(namespaces)) for part in parts)


def _reference(path: str) -> Reference:
    namespace = re.match(r"[A-Za-z_]\w*", path)
    if namespace is None or namespace.group() not in NAMESPACES:
        raise _no_path(path)
    steps: list[str | int] = []
    end = namespace.end()
    while end < len(path):
        step = _STEP.match(path, end)
        if step is None:
            raise _no_path(path)
        name, index, double, single = step.groups()
        steps.append(
            int(index) if index is not None else next(text for text in (name, double, single) if text is not None)
        )
        end = step.end()
    return Reference(namespace.group(), tuple(steps), path)


def _no_path(path: str) -> DefinitionError:
    return DefinitionError(
        f"template '{{{{ {path} }}}}'", found="no path that a template may have", wanted="item.NAME or sample.NAME"
    )


def _step_into(value: object, step: str | int, written: str) -> object:
    if isinstance(step, int) and isinstance(value, list):
        if step < len(value):
            return value[step]
        raise MissingValueError(written, f"the list has {len(value)} entries")
    name = str(step)
    if isinstance(value, list) and name.isdecimal():
        return _step_into(value, int(name), written)
    if not isinstance(value, dict):
        raise MissingValueError(written, f"{name!r} is looked for in {_kind(value)}")
    if name not in value:
        raise MissingValueError(
            written, f"there is no {name!r}; there is: {', '.join(sorted(map(str, value))) or 'nothing'}"
        )
    return value[name]


def _kind(value: object) -> str:
    names = {str: "a text", list: "a list", type(None): "null", bool: "true or false"}
    return names.get(type(value), "a number")


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else text_of(value)
