"""Codes, scales and zero points as they stand in a saved package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgedistill.errors import UnsupportedError
from edgedistill.targets.base import QuantizedTensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgedistill.targets.phone_coreml.saved import Operation, SavedModel

WEIGHTS = ("constexpr_affine_dequantize", "constexpr_blockwise_shift_scale")
BIASED = ("conv", "conv_transpose", "linear")
ENDINGS = ("_cast_fp16", "_to_fp16")
"""What coremltools adds to a name when it makes an operation or a constant fp16."""


def quantized_tensors(model: SavedModel) -> dict[str, QuantizedTensor]:
    """Return every quantized tensor by the name it has in the program.

    Raises:
        UnsupportedError: a scale is no constant.
    """
    found = {}
    for operation in model.operations:
        if operation.kind == "quantize":
            found[_plain(operation.name)] = _activation(model, operation)
        elif operation.kind in WEIGHTS:
            found[_plain(operation.name)] = _weight(model, operation)
    return found


def biases(model: SavedModel) -> dict[str, NDArray[np.float16]]:
    """Return the bias that is added to each quantized weight's products, by the weight's name in the program."""
    weights = {item.name: _plain(item.name) for item in model.operations if item.kind in WEIGHTS}
    found = {}
    for operation in model.operations:
        weight = getattr(operation.arguments.get("weight"), "name", None)
        if operation.kind in BIASED and weight in weights and "bias" in operation.arguments:
            found[weights[weight]] = _constant(model, operation, "bias")
    return found


def _plain(name: str) -> str:
    for ending in ENDINGS:
        name = name.removesuffix(ending)
    return name


def _activation(model: SavedModel, operation: Operation) -> QuantizedTensor:
    scale = _constant(model, operation, "scale")
    dtype = str(model.constant(operation.arguments["output_dtype"]))
    return QuantizedTensor(None, scale.astype(np.float32), _zero_point(model, operation, scale, dtype))


def _weight(model: SavedModel, operation: Operation) -> QuantizedTensor:
    codes = _constant(model, operation, "quantized_data" if "quantized_data" in operation.arguments else "data")
    scale = _constant(model, operation, "scale").astype(np.float32)
    zero_point = _zero_point(model, operation, scale, str(codes.dtype))
    if scale.ndim == codes.ndim:  # since iOS 18 a scale has the weight's rank
        shape = () if scale.size == 1 and codes.shape[0] != 1 else (-1,)
        scale, zero_point = scale.reshape(shape), zero_point.reshape(shape)
    return QuantizedTensor(codes, scale, zero_point)


def _zero_point(model: SavedModel, operation: Operation, scale: NDArray[np.float32], dtype: str) -> NDArray[Any]:
    for name in ("zero_point", "offset"):
        if name in operation.arguments:
            return _constant(model, operation, name)
    return np.zeros(scale.shape, dtype)


def _constant(model: SavedModel, operation: Operation, name: str) -> NDArray[Any]:
    value = model.constant(operation.arguments[name])
    if not isinstance(value, np.ndarray):
        raise UnsupportedError(f"operation '{operation.name}'", found=f"its {name} is computed", wanted="a constant")
    return value
