"""Writes a `.mlpackage`: the same model gives the same bytes."""

from __future__ import annotations

import json
import shutil
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edgedistill.targets.phone_coreml.convert import Converted

AUTHOR = "com.apple.CoreML"
SPECIFICATION, WEIGHTS = f"{AUTHOR}/model.mlmodel", f"{AUTHOR}/weights"
WEIGHT_FILE = "weight.bin"
DATE = "com.github.apple.coremltools.conversion_date"
NAMESPACE = uuid.UUID("6a5a7c1e-7d2f-5c0b-9a43-3f1f8f0f6d11")
"""Identifiers in a package are random as Apple's tools write them; ours are made from the path in this namespace."""


def write_package(model: Converted, path: Path, *, metadata: Mapping[str, str]) -> None:
    """Write a package.

    Args:
        model: from `convert.model_from_program`.
        path: the folder `*.mlpackage`; must not exist.
        metadata: `author`, `license`, `version`, `description`, which have fields of their own; the rest is kept as
            the model's own entries.
    """
    specification = model.specification
    _describe(specification, metadata)
    data = path / "Data"
    (data / WEIGHTS).mkdir(parents=True)
    (data / SPECIFICATION).write_bytes(specification.SerializeToString(deterministic=True))
    shutil.copyfile(model.weights / WEIGHT_FILE, data / WEIGHTS / WEIGHT_FILE)
    (path / "Manifest.json").write_text(json.dumps(_manifest(), indent=4, sort_keys=True) + "\n", "utf-8")


def _describe(specification: object, metadata: Mapping[str, str]) -> None:
    described = specification.description.metadata  # type: ignore[attr-defined] # protobuf makes its classes at run time
    own = dict(metadata)
    described.author = own.pop("author", "")
    described.license = own.pop("license", "")
    described.versionString = own.pop("version", "")
    described.shortDescription = own.pop("description", "")
    if DATE in described.userDefined:
        del described.userDefined[DATE]
    for key, value in sorted(own.items()):
        described.userDefined[key] = value


def _manifest() -> dict[str, object]:
    """Source: coremltools 9.0, `libmodelpackage`: one entry per item, and which of them is the model."""
    entries = {
        SPECIFICATION: {"name": "model.mlmodel", "description": "CoreML Model Specification"},
        WEIGHTS: {"name": "weights", "description": "CoreML Model Weights"},
    }
    return {
        "fileFormatVersion": "1.0.0",
        "itemInfoEntries": {
            _identifier(path): {**entry, "author": AUTHOR, "path": path} for path, entry in entries.items()
        },
        "rootModelIdentifier": _identifier(SPECIFICATION),
    }


def _identifier(path: str) -> str:
    return str(uuid.uuid5(NAMESPACE, path)).upper()
