"""What a model depends on, hashed without loading it. Loads no torch."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from edgedistill.models import origins
from edgedistill.recipe import Model

if TYPE_CHECKING:
    from pathlib import Path

    from edgedistill.recipe import Network


def fingerprint(model: Network, recipe_folder: Path) -> str:
    """Return the sha256 of a model's source, options and weights.

    Of a `.pt2` program, of an ONNX file and its external files, of weights and of a Hugging Face folder the files'
    content counts, of a `python:` function its module's source (not what it imports), of a built-in family its name, of
    an ensemble its members and their weights.

    Args:
        model: from the recipe.
        recipe_folder: relative paths and modules are looked for here.

    Raises:
        ModelError: a file or module that it names does not exist.
    """
    members = origins.members(model) if isinstance(model, Model) else ()
    if members:
        each = [(fingerprint(member, recipe_folder), member.weight) for member in members]
        return hashlib.sha256(json.dumps([origins.ENSEMBLE, each]).encode()).hexdigest()
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


def _source(model: Network, recipe_folder: Path) -> str:
    if origins.family(model) or model.source == origins.RECORDED:
        return model.source
    folder = origins.folder(model, recipe_folder)
    if folder is not None:
        return folder_hash(folder)
    if model.source.startswith("python:"):
        return origins.factory(model, recipe_folder).fingerprint
    path = origins.program(model, recipe_folder)
    return _onnx_hash(path) if path.suffix == origins.ONNX else _file_hash(path)


def _onnx_hash(path: Path) -> str:
    """Return the sha256 of an ONNX file and of the files beside it that hold its weights."""
    from edgedistill.models.onnx_files import external_files  # noqa: PLC0415 - planning other runs needs no onnx

    digest = hashlib.sha256(_file_hash(path).encode())
    for file in external_files(path):
        digest.update(f"{file.name} {_file_hash(file)}\n".encode())
    return digest.hexdigest()


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
