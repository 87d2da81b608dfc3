"""Reads the artifact's manifest and checks every file against it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Dict, List, Tuple, cast

import numpy as np

from edgedistill.data.inputs import model_inputs
from edgedistill.targets.jetson_tensorrt.device.answer import GateError, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ARTIFACT_SCHEMA = "edgedistill.artifact/1"
LARGEST_MANIFEST_BYTES = 4 * 2**20
NEEDED_KEYS = ("classes", "expected_int8", "files", "forms", "golden", "input", "output", "preprocessing")
BLOCK_BYTES = 2**20

Version = Tuple[int, int]


class Manifest:
    """What manifest.json says, as far as the runner needs it.

    Args:
        folder: of the artifact.

    Raises:
        InputError: there is none, or it is not one of ours.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "manifest.json"
        if not path.is_file():
            raise InputError("'{}' has no manifest.json; the runner belongs into the artifact's folder".format(folder))
        if path.stat().st_size > LARGEST_MANIFEST_BYTES:
            raise InputError("'{}' has {} bytes; no manifest is that large".format(path, path.stat().st_size))
        try:
            document = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise InputError("'{}' is no JSON: {}".format(path, error)) from error
        if not isinstance(document, dict) or document.get("schema") != ARTIFACT_SCHEMA:
            raise InputError("'{}' is no manifest of schema {}".format(path, ARTIFACT_SCHEMA))
        missing = [name for name in NEEDED_KEYS if name not in document]
        if missing:
            raise InputError("'{}' lacks {}".format(path, ", ".join(missing)))
        self.folder = folder
        self.document: Dict[str, Any] = document

    @property
    def expected_int8(self) -> List[str]:
        """Names of the layers that must run in INT8."""
        return [str(item["name"]) for item in self.document["expected_int8"]]

    def form(self, precision: str, version: Version) -> Dict[str, Any]:
        """Return the form of the network that a TensorRT is to build.

        Raises:
            InputError: the artifact has none for it.
        """
        for form in self.document["forms"]:
            before = form["before_tensorrt"]
            if form["precision"] != precision or _version(form["since_tensorrt"]) > version:
                continue
            if before is None or version < _version(before):
                return cast("Dict[str, Any]", form)
        text = "{}.{}".format(*version)
        raise InputError("the artifact has no {} form for TensorRT {}; build it again".format(precision, text))

    def path(self, name: str) -> Path:
        """Return where a file of the artifact lies.

        Raises:
            InputError: out of the artifact's folder, or not vouched for by a hash.
        """
        if name not in self.document["files"]:
            raise InputError("manifest: '{}' is not in `files`, so that nothing vouches for it".format(name))
        return self._inside(name)

    def check_files(self) -> int:
        """Check the path, then the size, then the hash of every file, and return how many there are.

        Raises:
            InputError: a path leaves the folder.
            GateError: a file is missing or is not the one that was built.
        """
        files = self.document["files"]
        for name, entry in files.items():
            path = self._inside(name)
            if not path.is_file():
                raise GateError("file '{}' is missing".format(name))
            size = path.stat().st_size
            if size != entry["size_bytes"]:
                raise GateError("file '{}' has {} bytes; it was built with {}".format(name, size, entry["size_bytes"]))
        for name, entry in files.items():
            if sha256_of(self._inside(name)) != entry["sha256"]:
                raise GateError(
                    "file '{}' has another sha256 than the manifest says; copy the artifact again".format(name)
                )
        return len(files)

    def golden(self) -> Tuple[NDArray[Any], NDArray[np.float32]]:
        """Return the golden inputs (n, ...) and outputs (n, classes), after computing the inputs here too.

        Raises:
            GateError: the preprocessing gives other bits on this machine.
        """
        with np.load(str(self.path("golden.npz")), allow_pickle=False) as golden:
            raw, inputs, outputs = golden["raw"], golden["inputs"], golden["outputs"]
        found = self.inputs(raw)
        if found.dtype != inputs.dtype or not np.array_equal(found, inputs):
            raise GateError("golden samples: preprocessing on this machine gives other bits than where it was built")
        return inputs, outputs

    def inputs(self, raw: NDArray[Any]) -> NDArray[Any]:
        """Return the model's inputs of raw samples (n, ...).

        Raises:
            InputError: they have another type or shape.
        """
        try:
            return model_inputs(raw, self.document["preprocessing"], self.folder)
        except ValueError as error:
            raise InputError(str(error)) from error

    def _inside(self, name: str) -> Path:
        pure = PurePosixPath(name)
        path = self.folder / pure
        inside = self.folder.resolve() in path.resolve().parents
        if pure.is_absolute() or ".." in pure.parts or not inside:
            raise InputError("manifest: '{}' leaves the artifact's folder".format(name))
        return path


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        block = file.read(BLOCK_BYTES)
        while block:
            digest.update(block)
            block = file.read(BLOCK_BYTES)
    return digest.hexdigest()


def array_from(place: str) -> NDArray[Any]:
    """Return the array in an .npy file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return cast("NDArray[Any]", np.load(place, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError) as error:
        raise InputError("array '{}': {}".format(place, error)) from error


def _version(text: str) -> Version:
    first, second = str(text).split(".")[:2]
    return int(first), int(second)
