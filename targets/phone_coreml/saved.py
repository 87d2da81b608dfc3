"""Reads a saved `.mlpackage` into plain operations: from the files alone, without any code of a converter."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from edgedistill.errors import UnsafeFileError
from edgedistill.targets.phone_coreml.vendor import part
from edgedistill.targets.phone_coreml.weight_file import WeightFile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

LARGEST_MANIFEST_BYTES = 2**20
LARGEST_FILE_BYTES = 2 * 2**30
PLACE = "@model_path/"
FUNCTION = "main"
DTYPES = {
    "BOOL": "?",
    "FLOAT16": "<f2",
    "FLOAT32": "<f4",
    "FLOAT64": "<f8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
}

Constant = "NDArray[np.generic] | str | tuple[str, ...]"


@dataclass(frozen=True)
class Declared:
    """Name and type that a package declares for a value.

    Args:
        name: of the value.
        dtype: "FLOAT16", "UINT8", "STRING", ...
        shape: (); also for what is no tensor.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Operation:
    """One operation.

    Args:
        kind: "conv".
        arguments: names of values, or constants, by the parameter's name; a list where it takes several.
        outputs: what it declares to give.
    """

    kind: str
    arguments: Mapping[str, Any]
    outputs: tuple[Declared, ...]

    @property
    def name(self) -> str:
        """Name of its first output."""
        return self.outputs[0].name


@dataclass(frozen=True)
class SavedModel:
    """What stands in a package.

    Args:
        inputs: of the model.
        operations: in order, constants left out.
        constants: by the name of the value.
        outputs: names of values.
        specification: version of the format.
        metadata: author, license, version, description, and the model's own entries.
    """

    inputs: tuple[Declared, ...]
    operations: tuple[Operation, ...]
    constants: Mapping[str, Any]
    outputs: tuple[str, ...]
    specification: int
    metadata: Mapping[str, str] = field(default_factory=dict)

    def constant(self, argument: Any) -> Any:  # noqa: ANN401 - an array, a text or a list of texts
        """Return the constant that an argument is or names, None where it is no constant."""
        return self.constants.get(argument.name) if isinstance(argument, Reference) else argument


@dataclass(frozen=True)
class Reference:
    """The name of a value, where an operation uses it."""

    name: str


def read_package(path: Path) -> SavedModel:
    """Return the operations of a saved package.

    Raises:
        UnsafeFileError: a file is missing, too large or damaged, or a path leaves the package.
        DependencyError: coremltools, which knows the format, is not installed.
    """
    thing = f"Core ML package '{path.name}'"
    items = _items(path, thing)
    messages = part("coremltools.proto.Model_pb2")
    model = messages.Model()
    try:
        model.ParseFromString(_bytes(items["model"], thing))
    except Exception as error:  # protobuf's DecodeError, whose module depends on its version
        raise UnsafeFileError(thing, found=f"'{items['model'].name}' is damaged") from error
    weights = WeightFile(_bytes(items["weights"] / "weight.bin", thing), f"weight file of '{path.name}'")
    if model.WhichOneof("Type") != "mlProgram" or FUNCTION not in model.mlProgram.functions:
        raise UnsafeFileError(thing, found="no ML program with a function 'main'")
    return _Reader(weights, thing).model(model)


def package_bytes(path: Path) -> int:
    """Return the size of all files of a package."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _items(path: Path, thing: str) -> dict[str, Path]:
    try:
        manifest = json.loads(_bytes(path / "Manifest.json", thing, limit=LARGEST_MANIFEST_BYTES))
        entries, root = manifest["itemInfoEntries"], manifest["rootModelIdentifier"]
        model = _inside(path, entries[root]["path"], thing)
        rest = [entry["path"] for identifier, entry in entries.items() if identifier != root]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnsafeFileError(thing, found=f"Manifest.json cannot be used: {error!r}") from error
    if len(rest) != 1:
        raise UnsafeFileError(thing, found=f"{len(rest)} items beside the model", wanted="its weights")
    return {"model": model, "weights": _inside(path, rest[0], thing)}


def _inside(path: Path, name: str, thing: str) -> Path:
    pure = PurePosixPath(name)
    found = path / "Data" / pure
    if pure.is_absolute() or ".." in pure.parts or not found.resolve().is_relative_to(path.resolve()):
        raise UnsafeFileError(thing, found=f"the path {name!r}, which leaves the package")
    return found


def _bytes(path: Path, thing: str, *, limit: int = LARGEST_FILE_BYTES) -> bytes:
    if not path.is_file():
        raise UnsafeFileError(thing, found=f"'{path.name}' is missing")
    if path.stat().st_size > limit:
        raise UnsafeFileError(
            thing, found=f"'{path.name}' has {path.stat().st_size:,} bytes", wanted=f"at most {limit:,}"
        )
    return path.read_bytes()


class _Reader:
    """Turns protobuf messages into operations and constants."""

    def __init__(self, weights: WeightFile, thing: str) -> None:
        self.weights, self.thing = weights, thing
        self.types = part("coremltools.proto.MIL_pb2").DataType
        self.constants: dict[str, Any] = {}

    def model(self, message: Any) -> SavedModel:  # noqa: ANN401 - protobuf makes its classes at run time
        function = message.mlProgram.functions[FUNCTION]
        block = function.block_specializations[function.opset]
        operations = [self.operation(item) for item in block.operations]
        described = message.description.metadata
        return SavedModel(
            inputs=tuple(self.declared(item) for item in function.inputs),
            operations=tuple(operation for operation in operations if operation is not None),
            constants=self.constants,
            outputs=tuple(block.outputs),
            specification=message.specificationVersion,
            metadata={
                "author": described.author,
                "license": described.license,
                "version": described.versionString,
                "description": described.shortDescription,
                **described.userDefined,
            },
        )

    def operation(self, message: Any) -> Operation | None:  # noqa: ANN401 - as above
        """Return an operation, or keep a constant and return None."""
        if message.blocks:
            raise UnsafeFileError(self.thing, found=f"operation '{message.type}' with a block of its own")
        if message.type == "const":
            self.constants[message.outputs[0].name] = self.value(message.attributes["val"])
            return None
        arguments = {name: self.argument(item) for name, item in message.inputs.items()}
        stored = {name: self.value(item) for name, item in message.attributes.items() if name != "name"}
        return Operation(message.type, {**arguments, **stored}, tuple(self.declared(item) for item in message.outputs))

    def argument(self, message: Any) -> Any:  # noqa: ANN401 - as above
        found = [
            Reference(binding.name) if binding.WhichOneof("binding") == "name" else self.value(binding.value)
            for binding in message.arguments
        ]
        return found[0] if len(found) == 1 else found

    def declared(self, message: Any) -> Declared:  # noqa: ANN401 - as above
        if message.type.WhichOneof("type") != "tensorType":
            return Declared(message.name, "DICTIONARY", ())
        dtype, shape = self.tensor_type(message.type.tensorType)
        return Declared(message.name, dtype, shape)

    def tensor_type(self, message: Any) -> tuple[str, tuple[int, ...]]:  # noqa: ANN401 - as above
        if any(item.WhichOneof("dimension") != "constant" for item in message.dimensions):
            raise UnsafeFileError(self.thing, found="a dimension that is not fixed")
        return self.types.Name(message.dataType), tuple(int(item.constant.size) for item in message.dimensions)

    def value(self, message: Any) -> Any:  # noqa: ANN401 - as above
        """Return a text, a list of texts, or an array."""
        if message.type.WhichOneof("type") == "listType":
            return tuple(str(self.value(item)) for item in message.immediateValue.list.values)
        dtype, shape = self.tensor_type(message.type.tensorType)
        if dtype == "STRING":
            texts = tuple(message.immediateValue.tensor.strings.values)
            return texts[0] if not shape else texts
        if dtype not in DTYPES:
            raise UnsafeFileError(self.thing, found=f"a constant of type {dtype}", wanted=", ".join(DTYPES))
        if message.WhichOneof("value") == "blobFileValue":
            return self.stored(message.blobFileValue, shape, DTYPES[dtype])
        return self.immediate(message.immediateValue.tensor, shape, DTYPES[dtype])

    def stored(self, message: Any, shape: tuple[int, ...], dtype: str) -> NDArray[np.generic]:  # noqa: ANN401 - as above
        if message.fileName != f"{PLACE}weights/weight.bin":
            raise UnsafeFileError(self.thing, found=f"numbers in another file, {message.fileName!r}")
        return self.weights.array(message.offset, shape, dtype)

    def immediate(self, message: Any, shape: tuple[int, ...], dtype: str) -> NDArray[np.generic]:  # noqa: ANN401 - as above
        kind = message.WhichOneof("value")
        if kind == "bytes":
            array = np.frombuffer(message.bytes.values, dtype)
        else:
            array = np.array(getattr(message, str(kind)).values, dtype=dtype) if kind else np.zeros(0, dtype)
        count = int(np.prod(shape, dtype=np.int64))
        if array.size == 1 and count > 1:  # a list of equal numbers may be stored as one
            array = np.repeat(array, count)
        if array.size != count:
            raise UnsafeFileError(self.thing, found=f"{array.size} numbers for a constant of shape {shape}")
        return array.reshape(shape)
