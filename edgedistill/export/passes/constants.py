"""Reads a model's constants by name: initializers and Constant nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import numpy_helper

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from onnx import ModelProto


def constants(model: ModelProto) -> dict[str, NDArray[np.generic]]:
    """Return every constant of the main graph by the name of its value."""
    found = {initializer.name: numpy_helper.to_array(initializer) for initializer in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            value = next((item.t for item in node.attribute if item.name == "value"), None)
            if value is not None:
                found[node.output[0]] = numpy_helper.to_array(value)
    return found
