"""Codes, scales and zero points as they stand in a saved package."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgedistill.errors import UnsupportedError
from edgedistill.targets.base import QuantizedTensor
from edgedistill.targets.phone_coreml.saved import Reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edgedistill.targets.phone_coreml.saved import Operation, SavedModel

WEIGHTS = ("constexpr_affine_dequantize", "constexpr_blockwise_shift_scale")
BIASED = ("conv", "linear")
MOVING = ("reshape", "transpose", "squeeze", "expand_dims", "identity", "max_pool", "slice_by_index")
ENDINGS = ("_cast_fp16", "_to_fp16")
"""What coremltools adds to a name when it makes an operation or a constant fp16."""


def quantized_tensors(model: SavedModel) -> dict[str, QuantizedTensor]:
    """Return every quantized tensor by the name it has in the program.

    A bias is an fp16 number there; its codes are `round(bias / (input scale * weight scale))`, with both scales as they
    stand in the package.

    Raises:
        UnsupportedError: a scale is no constant.
    """
    by_output = {output.name: operation for operation in model.operations for output in operation.outputs}
    found = {}
    for operation in model.operations:
        if operation.kind == "quantize":
            found[_plain(operation.name)] = _activation(model, operation)
        elif operation.kind in WEIGHTS:
            found[_plain(operation.name)] = _weight(model, operation)
    for operation in model.operations:
        if operation.kind in BIASED:
            found.update(_bias(model, operation, by_output))
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


def _zero_point(model: SavedModel, operation: Operation, scale: np.ndarray, dtype: str) -> np.ndarray:
    for name in ("zero_point", "offset"):
        if name in operation.arguments:
            return _constant(model, operation, name)
    return np.zeros(scale.shape, dtype)


def _constant(model: SavedModel, operation: Operation, name: str) -> np.ndarray:
    value = model.constant(operation.arguments[name])
    if not isinstance(value, np.ndarray):
        raise UnsupportedError(f"operation '{operation.name}'", found=f"its {name} is computed", wanted="a constant")
    return value


def _bias(
    model: SavedModel, operation: Operation, by_output: Mapping[str, Operation]
) -> Iterator[tuple[str, QuantizedTensor]]:
    bias, source = operation.arguments.get("bias"), _source(operation.arguments["x"], by_output)
    weight = by_output.get(getattr(operation.arguments["weight"], "name", ""))
    if not isinstance(bias, Reference) or source is None or weight is None or weight.kind not in WEIGHTS:
        return
    scale = _constant(model, source, "scale").astype(np.float32) * _weight(model, weight).scale
    stored = _constant(model, operation, "bias").astype(np.float64)
    codes = np.rint(stored / scale.astype(np.float64)).astype(np.int32)
    yield _plain(bias.name), QuantizedTensor(codes, scale, np.zeros(scale.shape, np.int32))


def _source(argument: object, by_output: Mapping[str, Operation]) -> Operation | None:
    """Return the operation whose codes an input has, looking back through operations that only move values."""
    while isinstance(argument, Reference) and argument.name in by_output:
        operation = by_output[argument.name]
        if operation.kind == "dequantize":
            return operation
        if operation.kind not in MOVING:
            return None
        argument = operation.arguments["x"]
    return None
