"""Spells out that an operator moves codes: its result is quantized with the scale of its input.

ONNX Runtime 1.32 keeps an operator between DequantizeLinear and QuantizeLinear in integers only where it sees both.
It adds the second itself behind Reshape, Transpose, MaxPool and Slice, but not behind Concat, Split, Gather, Resize
and others. The added pair changes no code: equal scale, equal zero point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper

from edgedistill.export.passes.constants import constants

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto

MOVERS = frozenset({"DepthToSpace", "Expand", "Gather", "Split"})
CARRIERS = MOVERS | {"Flatten", "MaxPool", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"}
SUFFIX = "_codes"

Known = dict[str, "NDArray[np.generic]"]


def spell_out_shared_scales(model: ModelProto) -> bool:
    """Insert the pair behind each mover whose input is dequantized and whose output is not quantized."""
    known = constants(model)
    writers = {name: node for node in model.graph.node for name in node.output}
    readers = _readers(model)
    modified = False
    for node in list(model.graph.node):  # in the order of computation: what was inserted before is seen behind
        pair = _parameters(node, writers, known) if _moves_codes(node) else None
        if pair is None:
            continue
        for output in node.output:
            if any(reader.op_type != "QuantizeLinear" for reader in readers.get(output, [])):
                dequantize = _insert_pair(model, node, output, pair, readers[output])
                writers[dequantize.output[0]] = dequantize
                known.update({new: known[old] for new, old in zip(dequantize.input[1:], pair, strict=True)})
                modified = True
    return modified


def _moves_codes(node: NodeProto) -> bool:
    if node.op_type == "Resize":
        mode = next((item.s for item in node.attribute if item.name == "mode"), b"nearest")
        return bool(mode == b"nearest")
    return node.op_type in MOVERS or node.op_type == "Concat"


def _parameters(node: NodeProto, writers: dict[str, NodeProto], known: Known) -> tuple[str, str] | None:
    """Return the names of scale and zero point that all float inputs have in common, None where they differ."""
    sources = list(node.input) if node.op_type == "Concat" else [node.input[0]]
    found = [_origin(name, writers) for name in sources]
    if any(pair is None or pair[0] not in known or known[pair[0]].ndim for pair in found):
        return None
    first = found[0]
    assert first is not None  # noqa: S101 - looked at above
    same = all(
        pair is not None and all(np.array_equal(known[a], known[b]) for a, b in zip(first, pair, strict=True))
        for pair in found
    )
    return first if same else None


def _origin(name: str, writers: dict[str, NodeProto]) -> tuple[str, str] | None:
    """Return scale and zero point of the DequantizeLinear that a value comes from, moved or not."""
    node = writers.get(name)
    while node is not None and node.op_type in CARRIERS:
        node = writers.get(node.input[0])
    if node is None or node.op_type != "DequantizeLinear" or len(node.input) < 3:  # noqa: PLR2004 - codes, scale, zero point
        return None
    return node.input[1], node.input[2]


def _insert_pair(
    model: ModelProto, node: NodeProto, output: str, pair: tuple[str, str], readers: list[NodeProto]
) -> NodeProto:
    """Insert the pair behind one output, let its readers read the pair's result, and return the DequantizeLinear."""
    codes, real = f"{output}{SUFFIX}", f"{output}{SUFFIX}_real"
    quantize = helper.make_node("QuantizeLinear", [output, *_own_copies(model, pair, codes)], [codes])
    dequantize = helper.make_node("DequantizeLinear", [codes, *_own_copies(model, pair, real)], [real])
    place = next(index for index, item in enumerate(model.graph.node) if item.output == node.output) + 1
    model.graph.node.insert(place, dequantize)
    model.graph.node.insert(place, quantize)
    for reader in readers:
        for position, name in enumerate(reader.input):
            if name == output:
                reader.input[position] = real
    return dequantize


def _own_copies(model: ModelProto, pair: tuple[str, str], reader: str) -> list[str]:
    """Copy scale and zero point for one reader; see `own_initializers` for why none is shared. Return their names."""
    names = [f"{reader}_scale", f"{reader}_zero_point"]
    for source, name in zip(pair, names, strict=True):
        copy = TensorProto()
        copy.CopyFrom(next(item for item in model.graph.initializer if item.name == source))
        copy.name = name
        model.graph.initializer.append(copy)
    return names


def _readers(model: ModelProto) -> dict[str, list[NodeProto]]:
    found: dict[str, list[NodeProto]] = {}
    for name, node in _reads(model):
        found.setdefault(name, []).append(node)
    return found


def _reads(model: ModelProto) -> Iterator[tuple[str, NodeProto]]:
    for node in model.graph.node:
        for name in dict.fromkeys(node.input):
            yield name, node
