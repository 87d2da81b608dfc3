"""Drops the zero points of int32 biases: they are zero by definition, and as large as the codes themselves.

Those of int8 weights stay: ONNX Runtime 1.32 with `session.x64quantprecision=1` gives a weight without one a scalar
zero point and then refuses it ("x_zero_point must be null or 1D tensor").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedistill.export.passes.constants import constants

if TYPE_CHECKING:
    from onnx import ModelProto

WITH_ZERO_POINT = 3


def drop_implied_zero_points(model: ModelProto) -> bool:
    """Remove the third input of each DequantizeLinear over an int32 constant where it is all zero."""
    known = constants(model)
    modified = False
    for node in model.graph.node:
        if node.op_type != "DequantizeLinear" or len(node.input) < WITH_ZERO_POINT:
            continue
        codes, zero_point = known.get(node.input[0]), known.get(node.input[2])
        if codes is not None and codes.dtype == np.int32 and zero_point is not None and not zero_point.any():
            del node.input[2]
            modified = True
    return modified
