"""What an ONNX file names: its external files and its operators, looked at before it is run. Loads no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import onnx
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from edgedistill.errors import ModelError, UnsafeFileError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_GRAPH_BYTES = 2 << 30
"""Largest `.onnx` file: protobuf's own limit; weights beyond it stand in external files."""

MAX_BYTES = 16 << 30
"""Largest external file."""

DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""Operators that ONNX Runtime has by itself."""


def external_files(path: Path) -> list[Path]:
    """Return the files beside an ONNX file that hold its weights, sorted; each exists and is in the same folder.

    Raises:
        ModelError: it cannot be read, or such a file is missing or too large.
        UnsafeFileError: such a path leaves the folder, or an operator is of a library of its own.
    """
    thing = f"model '{path.name}'"
    if path.stat().st_size > MAX_GRAPH_BYTES:
        raise ModelError(thing, found=f"{path.stat().st_size:,} bytes", wanted=f"at most {MAX_GRAPH_BYTES:,}")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf raises of its own kinds
        raise ModelError(thing, found=f"it is no ONNX file: {first_line(error)}") from error
    own = {function.domain for function in model.functions}
    strange = sorted({item.domain for item in model.opset_import} - DOMAINS - own)
    if strange:
        raise UnsafeFileError(
            thing, found=f"operators of '{strange[0]}'", wanted="operators that ONNX Runtime has by itself"
        )
    names = {
        ExternalDataInfo(tensor).location
        for graph in (model.graph, *model.functions)
        for tensor in _tensors(graph)
        if uses_external_data(tensor)
    }
    return [_inside(path.parent, name, thing=thing) for name in sorted(names)]


def _inside(folder: Path, name: str, *, thing: str) -> Path:
    """Return the path of an external file, if it lies in the model's folder when every link is followed."""
    path, root = folder / name, folder.resolve()
    if not name or Path(name).is_absolute() or not path.resolve().is_relative_to(root):
        raise UnsafeFileError(thing, found=f"weights in '{name}'", wanted="a file in the model's own folder")
    if not path.is_file():
        raise ModelError(thing, found=f"no file '{path}', which it keeps weights in")
    if path.stat().st_size > MAX_BYTES:
        raise ModelError(thing, found=f"'{name}' has {path.stat().st_size:,} bytes", wanted=f"at most {MAX_BYTES:,}")
    return path


def _tensors(graph: onnx.GraphProto | onnx.FunctionProto) -> Iterator[onnx.TensorProto]:
    """Give every stored tensor of a graph, those of its nodes' attributes and inner graphs included."""
    if isinstance(graph, onnx.GraphProto):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors(inner)


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its name."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
