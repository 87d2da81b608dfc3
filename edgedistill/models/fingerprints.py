"""What a model depends on, hashed without loading it. Loads no torch."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from edgedistill.models import origins

if TYPE_CHECKING:
    from pathlib import Path

    from edgedistill.recipe import Model


def fingerprint(model: Model, recipe_folder: Path) -> str:
    """Return the sha256 of a model's source, options and weights.

    Of a `.pt2` program, of weights and of a Hugging Face folder the files' content counts, of a `python:` factory its
    module's source (not what it imports), of a built-in family its name.

    Args:
        model: from the recipe.
        recipe_folder: relative paths and modules are looked for here.

    Raises:
        ModelError: a file or module that it names does not exist.
    """
    source = _source(model, recipe_folder)
    weights = origins.weights(model, recipe_folder)
    parts = {
        "source": source,
        "options": model.model_dump(mode="json")["options"],
        "weights": "" if weights is None else _file_hash(weights),
    }
    if model.replace_activations:
        parts["replace_activations"] = json.dumps(model.replace_activations, sort_keys=True)
    if model.embeddings is not None:
        parts["embeddings"] = folder_hash(origins.existing_folder(model.embeddings, recipe_folder))
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _source(model: Model, recipe_folder: Path) -> str:
    if origins.family(model) or model.source == origins.RECORDED:
        return model.source
    folder = origins.folder(model, recipe_folder)
    if folder is not None:
        return folder_hash(folder)
    if model.source.startswith("python:"):
        return origins.factory(model, recipe_folder).fingerprint
    return _file_hash(origins.program(model, recipe_folder))


def folder_hash(folder: Path) -> str:
    """Return the sha256 of what decides what a Hugging Face folder computes."""
    digest = hashlib.sha256()
    for name in origins.FOLDER_FILES:
        path = folder / name
        digest.update(f"{name} {_file_hash(path) if path.is_file() else ''}\n".encode())
    return digest.hexdigest()


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
