"""From a file, or a mapping, to a validated recipe, and the schema by which editors do the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydantic import ValidationError

from edgedistill.errors import RecipeError
from edgedistill.recipe.document import Recipe
from edgedistill.recipe.file import mapping_from_file, overridden, override_from_text
from edgedistill.recipe.problems import problems

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edgedistill.recipe.file import Override
    from edgedistill.recipe.section import SectionT


def recipe_from_yaml(path: Path, *, overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe in a YAML file, with `dotted.key=value` overrides applied.

    Relative paths in it stay as written; `run` resolves them against the recipe's folder.

    Raises:
        RecipeError: the file is missing, is no YAML, or has an unknown key or a value out of range.
    """
    parsed = [override_from_text(text) for text in overrides]
    document = overridden(mapping_from_file(path), parsed)
    return _validated(document, thing=f"recipe '{path}'", overrides=parsed)


def recipe_from_mapping(document: Mapping[str, object], *, thing: str = "recipe") -> Recipe:
    """Return the validated recipe; values are taken as they are, so `"3"` is no number and 1 is no `true`.

    Raises:
        RecipeError: an unknown key (with the nearest valid one), or a value out of range.
    """
    return _validated(document, thing=thing, overrides=())


def recipe_schema() -> dict[str, object]:
    """Return the JSON schema of a recipe, for editors; `recipe.schema.json` in the package is the same."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Recipe.model_json_schema()}


def section_from_mapping(kind: type[SectionT], document: Mapping[str, object], *, thing: str) -> SectionT:
    """Return one section; values are taken as they are.

    Args:
        kind: the section's class.
        document: its keys and values.
        thing: what it is to the user: "options of loss 'dkd'".

    Raises:
        RecipeError: an unknown key (with the nearest valid one), or a value out of range.
    """
    try:
        return kind.model_validate_json(_json(document, thing=thing), strict=True)
    except ValidationError as error:
        raise RecipeError(thing, found=_listing(problems(error, document=document, root=kind))) from error


def _validated(document: Mapping[str, object], *, thing: str, overrides: Sequence[Override]) -> Recipe:
    text = _json(document, thing=thing)
    try:
        # from JSON, where strict means: a list is a tuple, text is an enum's value, nothing else changes
        return Recipe.model_validate_json(text, strict=True)
    except ValidationError as error:
        found = problems(error, document=json.loads(text), root=Recipe, overrides=overrides)
        raise RecipeError(thing, found=_listing(found)) from error


def _json(document: Mapping[str, object], *, thing: str) -> str:
    try:
        return json.dumps(document, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RecipeError(thing, found=f"a value that no recipe can hold: {error}") from error


def _listing(found: Sequence[str]) -> str:
    if len(found) == 1:
        return found[0]
    return f"{len(found)} problems:\n" + ";\n".join(f"  {problem}" for problem in found)
