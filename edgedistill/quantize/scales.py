"""From a range or a weight to a scale and zero point, as a QuantSpec wants them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from edgedistill.quantize.spec import Granularity, QuantSpec, ScaleFormat, Symmetry

SMALLEST = {
    ScaleFormat.FP32: 2.0**-40,
    ScaleFormat.FP16: 2.0**-14,  # smaller fp16 numbers are subnormal, and Core ML lifts or flushes them
    ScaleFormat.POWER_OF_TWO: 2.0**-40,
}
WEIGHT_CODE = 127


def snap(scale: Tensor, scale_format: ScaleFormat) -> Tensor:
    """Return the nearest scale that the format can hold (for powers of two: the next one up), float32."""
    held = scale.to(torch.float32).clamp_min(SMALLEST[scale_format])
    if scale_format is ScaleFormat.FP16:
        return held.to(torch.float16).to(torch.float32)
    if scale_format is ScaleFormat.POWER_OF_TWO:
        return torch.exp2(torch.ceil(torch.log2(held)))
    return held


def snap_down(limit: float, scale_format: ScaleFormat) -> Tensor:
    """Return the largest scale of the format that is at most `limit`, float32."""
    nearest = float(snap(torch.tensor(limit), scale_format))
    return torch.tensor(nearest if nearest <= limit else _next_down(nearest, scale_format))


def weight_scale(weight: Tensor, spec: QuantSpec) -> Tensor:
    """Return the scale with which the largest weight has code 127.

    Args:
        weight: (output channels, ...), floating point.
        spec: granularity and scale format.

    Returns:
        (output channels,) for per-channel weights, else (); float32, positive.
    """
    magnitude = weight.detach().abs()
    per_channel = spec.weights is Granularity.PER_CHANNEL
    largest = magnitude.flatten(1).amax(1) if per_channel else magnitude.amax()
    return snap(largest / WEIGHT_CODE, spec.scale_format)


def activation_scale(low: float, high: float, spec: QuantSpec, *, ceiling: float | None = None) -> tuple[float, int]:
    """Return scale and zero point of an activation whose values lie in [low, high].

    Zero has a code of its own, so low is taken as at most 0 and high as at least 0.

    Args:
        low: lowest value, in the activation's own unit.
        high: highest value.
        spec: codes, symmetry and scale format.
        ceiling: largest value that any code may stand for; a clamp (ReLU6) is absorbed by the runtime only if no
            code lies above it.
    """
    first, last = spec.activation_codes
    low, high = min(low, 0.0), max(high, 0.0)
    if spec.symmetry is Symmetry.SYMMETRIC:
        span, steps = max(-low, high), (last - first) // 2
    else:
        span, steps = high - low, last - first
    scale = float(snap(torch.tensor(span / steps), spec.scale_format))
    if ceiling is not None and scale * steps > ceiling:
        scale = _next_down(scale, spec.scale_format)
    return scale, zero_point_of(low, scale, spec)


def zero_point_of(low: float, scale: float, spec: QuantSpec) -> int:
    """Return the code that stands for 0 where the lowest value is `low`."""
    first, last = spec.activation_codes
    if spec.symmetry is Symmetry.SYMMETRIC:
        return (first + last) // 2
    return min(max(first + round(-min(low, 0.0) / scale), first), last)


def _next_down(scale: float, scale_format: ScaleFormat) -> float:
    if scale_format is ScaleFormat.POWER_OF_TWO:
        return scale / 2
    dtype = torch.float16 if scale_format is ScaleFormat.FP16 else torch.float32
    below = torch.nextafter(torch.tensor(scale, dtype=dtype), torch.tensor(-math.inf, dtype=dtype))
    return float(below)
