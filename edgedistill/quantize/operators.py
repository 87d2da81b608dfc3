"""The operators `edgedistill::quantize` and `edgedistill::dequantize` of a quantized program.

They compute what ONNX's QuantizeLinear and DequantizeLinear compute: division, round half to even, then the zero
point. torch's own fake-quantize operators multiply by the reciprocal and differ at ties.
"""

from __future__ import annotations

import torch
from torch import Tensor

NAMESPACE = "edgedistill"


def along_axis(parameter: Tensor, like: Tensor, axis: int) -> Tensor:
    """Return a scale or zero point of shape () or (channels,) so that it broadcasts along one axis of a tensor."""
    if parameter.ndim == 0:
        return parameter
    return parameter.view([-1 if index == axis else 1 for index in range(like.ndim)])


@torch.library.custom_op(f"{NAMESPACE}::quantize", mutates_args=())
def quantize(values: Tensor, scale: Tensor, zero_point: Tensor, axis: int) -> Tensor:
    """Return `clamp(round_half_even(values / scale) + zero_point)` as codes of the zero point's type.

    Source: ONNX operator QuantizeLinear, opset 13.

    Args:
        values: any shape, float32.
        scale: () or (channels,), float32, positive.
        zero_point: as `scale`; uint8, int8 or int32.
        axis: the channel axis of `values`; ignored when the scale is a scalar.
    """
    limits = torch.iinfo(zero_point.dtype)
    codes = torch.round(values / along_axis(scale, values, axis)) + along_axis(zero_point, values, axis)
    return torch.clamp(codes, limits.min, limits.max).to(zero_point.dtype)


@quantize.register_fake
def _quantize_shape(values: Tensor, scale: Tensor, zero_point: Tensor, axis: int) -> Tensor:  # noqa: ARG001 - torch passes them by name
    return torch.empty_like(values, dtype=zero_point.dtype)


@torch.library.custom_op(f"{NAMESPACE}::dequantize", mutates_args=())
def dequantize(codes: Tensor, scale: Tensor, zero_point: Tensor, axis: int) -> Tensor:
    """Return `(codes - zero_point) * scale`, float32.

    Source: ONNX operator DequantizeLinear, opset 13. Arguments as in `quantize`.
    """
    shifted = codes.to(torch.float32) - along_axis(zero_point, codes, axis)
    return shifted * along_axis(scale, codes, axis)


@dequantize.register_fake
def _dequantize_shape(codes: Tensor, scale: Tensor, zero_point: Tensor, axis: int) -> Tensor:  # noqa: ARG001 - as above
    return torch.empty_like(codes, dtype=torch.float32)


QUANTIZE = torch.ops.edgedistill.quantize.default
DEQUANTIZE = torch.ops.edgedistill.dequantize.default
