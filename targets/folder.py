"""The folder of an artifact: writes its manifest, and reads one that comes from outside."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from edgedistill.errors import UnsafeFileError
from edgedistill.targets.base import Artifact, ArtifactFile

if TYPE_CHECKING:
    from collections.abc import Iterable

MANIFEST = "manifest.json"
SCHEMA = "edgedistill.artifact/1"
LARGEST_MANIFEST_BYTES = 4 * 2**20


def seal(folder: Path, manifest: dict[str, Any]) -> Artifact:
    """Hash every file of a folder into its manifest, write the manifest last, and return the artifact.

    Args:
        folder: holds every file but the manifest.
        manifest: everything but `schema` and `files`.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    files = [_hashed(path, folder) for path in paths]
    document = {
        "schema": SCHEMA,
        **manifest,
        "files": {file.path: {"sha256": file.sha256, "size_bytes": file.size_bytes} for file in files},
    }
    (folder / MANIFEST).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", "utf-8")
    return Artifact(
        folder=folder,
        target=manifest["target"],
        profile=manifest["profile"],
        model=manifest["model"],
        files=(*files, _hashed(folder / MANIFEST, folder)),
        notes=tuple(manifest.get("notes", ())),
    )


def open_artifact(folder: Path) -> tuple[Artifact, dict[str, Any]]:
    """Return an artifact and its manifest after checking that every file is the one the manifest names.

    Raises:
        UnsafeFileError: no manifest, another schema, a path that leaves the folder, or a file with another hash.
    """
    path = folder / MANIFEST
    thing = f"artifact '{folder}'"
    if not path.is_file():
        raise UnsafeFileError(thing, found=f"no {MANIFEST}", wanted="a folder that `edgedistill build` wrote")
    if path.stat().st_size > LARGEST_MANIFEST_BYTES:
        raise UnsafeFileError(thing, found=f"a {MANIFEST} of {path.stat().st_size:,} bytes")
    manifest = json.loads(path.read_text("utf-8"))
    if manifest.get("schema") != SCHEMA:
        raise UnsafeFileError(thing, found=f"schema {manifest.get('schema')!r}", wanted=SCHEMA)
    files = tuple(_checked(folder, name, entry, thing) for name, entry in sorted(manifest["files"].items()))
    model = manifest["model"]
    if not _parts(model, manifest["files"]):
        raise UnsafeFileError(thing, found=f"a model {model!r} that the manifest does not hash")
    artifact = Artifact(
        folder=folder,
        target=manifest["target"],
        profile=manifest["profile"],
        model=model,
        files=(*files, _hashed(path, folder)),
        notes=tuple(manifest.get("notes", ())),
    )
    return artifact, manifest


def model_bytes(artifact: Artifact) -> int:
    """Return the size of the model: of its file, or of all files of its folder."""
    return sum(file.size_bytes for file in artifact.files if _parts(artifact.model, [file.path]))


def _parts(model: str, names: Iterable[str]) -> list[str]:
    """Return the files that a model consists of."""
    return [name for name in names if name == model or name.startswith(f"{model}/")]


def _checked(folder: Path, name: str, entry: dict[str, Any], thing: str) -> ArtifactFile:
    pure = PurePosixPath(name)
    path = folder / pure
    if pure.is_absolute() or ".." in pure.parts or not path.resolve().is_relative_to(folder.resolve()):
        raise UnsafeFileError(thing, found=f"the path {name!r}, which leaves the folder")
    if not path.is_file() or path.stat().st_size != entry["size_bytes"]:
        raise UnsafeFileError(thing, found=f"'{name}' is missing or has another size")
    file = _hashed(path, folder)
    if file.sha256 != entry["sha256"]:
        raise UnsafeFileError(thing, found=f"'{name}' is not the file that was built", fix="build it again")
    return file


def _hashed(path: Path, folder: Path) -> ArtifactFile:
    return ArtifactFile(
        path=path.relative_to(folder).as_posix(),
        size_bytes=path.stat().st_size,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
