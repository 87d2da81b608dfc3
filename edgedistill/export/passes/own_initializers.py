"""Gives each QuantizeLinear and DequantizeLinear constants of its own.

The exporter shares equal ones, and ONNX Runtime 1.31 and 1.32 with `session.x64quantprecision=1` then refuse the model:
"Attempt to replace the existing tensor".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import TensorProto

if TYPE_CHECKING:
    from onnx import ModelProto

OPERATORS = frozenset({"QuantizeLinear", "DequantizeLinear"})


def unshare_initializers(model: ModelProto) -> bool:
    """Copy every initializer that a second Q or DQ reads, named after the value that the reader writes."""
    known = {initializer.name: initializer for initializer in model.graph.initializer}
    taken: set[str] = set()
    modified = False
    for node in model.graph.node:
        if node.op_type not in OPERATORS:
            continue
        for position, name in enumerate(node.input):
            if name not in known:
                continue
            if name in taken:
                copy = TensorProto()
                copy.CopyFrom(known[name])
                copy.name = f"{node.output[0]}_input{position}"
                model.graph.initializer.append(copy)
                node.input[position] = copy.name
                modified = True
            taken.add(name)
    return modified
