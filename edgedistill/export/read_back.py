"""Reads codes, scales and zero points back from a saved ONNX file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx

from edgedistill.export.passes.constants import constants

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from onnx import NodeProto

Stored = tuple["NDArray[np.signedinteger] | None", "NDArray[np.float32]", "NDArray[np.integer]"]


def quantized_tensors(path: Path) -> dict[str, Stored]:
    """Return (codes or None, scale, zero point) of every quantized tensor by the name of the value.

    A QuantizeLinear gives an activation, a DequantizeLinear over a constant a weight or a bias. Everything is read from
    the file as it will run, nothing from the program it was written from.
    """
    model = onnx.load(path, load_external_data=False)
    known = constants(model)
    found: dict[str, Stored] = {}
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            found[node.output[0]] = (None, *_parameters(node, known, codes=None))
        elif node.op_type == "DequantizeLinear" and node.input[0] in known:
            codes = known[node.input[0]]
            found[node.output[0]] = (codes, *_parameters(node, known, codes=codes))  # type: ignore[assignment] # constants are typed as generic
    return found


def _parameters(
    node: NodeProto, known: dict[str, NDArray[np.generic]], *, codes: NDArray[np.generic] | None
) -> tuple[NDArray[np.float32], NDArray[np.integer]]:
    scale = known[node.input[1]]
    if len(node.input) > 2:  # noqa: PLR2004 - the zero point is the third, optional input
        return scale, known[node.input[2]]  # type: ignore[return-value] # as above
    dtype = np.uint8 if codes is None else codes.dtype  # the operator's default
    return scale, np.zeros(scale.shape, dtype)  # type: ignore[return-value] # as above
