"""A recipe to start from: the commented example, its JSON schema for editors, and what can be named in it."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from edgedistill.errors import InputError
from edgedistill.models.origins import BUILTIN, PRETRAINED
from edgedistill.recipe import Data, Model
from edgedistill.targets.registry import target_named, target_names

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA_FILE = "recipe.schema.json"


def write_starter(recipe: Path) -> tuple[Path, ...]:
    """Write the commented recipe, and its schema beside it; return both paths.

    Raises:
        InputError: one of the files is there already with other content; nothing was written.
    """
    contents = {recipe: _shipped("starter.yaml"), recipe.parent / SCHEMA_FILE: _shipped(SCHEMA_FILE)}
    for path, text in contents.items():
        if path.exists() and path.read_bytes() != text.encode():
            fix = "give another path, or --force to write over it"
            raise InputError(f"file '{path}'", found="it is there already", fix=fix)
    return _written(contents)


def overwrite_with_starter(recipe: Path) -> tuple[Path, ...]:
    """Write the commented recipe and its schema, over whatever is there; return both paths."""
    return _written({recipe: _shipped("starter.yaml"), recipe.parent / SCHEMA_FILE: _shipped(SCHEMA_FILE)})


def choices() -> dict[str, str]:
    """Return what stands ready to be named in a recipe, by the key that names it."""
    targets = [f"{name}/{profile}" for name in target_names() for profile in target_named(name).profiles()]
    return {
        "data.source": " ".join(str(Data.model_fields["source"].description).split()),
        "teacher.source, student.source": " ".join(str(Model.model_fields["source"].description).split()),
        "teacher.weights, student.weights": ", ".join(f"{BUILTIN}{name}" for name in PRETRAINED),
        "targets": ", ".join(targets),
    }


def _shipped(name: str) -> str:
    return files("edgedistill").joinpath(name).read_text("utf-8")


def _written(contents: dict[Path, str]) -> tuple[Path, ...]:
    for path, text in contents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8", newline="\n")
    return tuple(contents)
