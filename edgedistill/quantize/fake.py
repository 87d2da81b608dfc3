"""Fake quantization: float modules that round exactly as the stored integers will."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from edgedistill.calibration.histogram import Histogram
from edgedistill.quantize.scales import WEIGHT_CODE, activation_scale, bias_codes, weight_scale, zero_point_of
from edgedistill.quantize.spec import ActivationType, BiasType, QuantSpec, Symmetry

if TYPE_CHECKING:
    from torch.autograd.function import BackwardCFunction

INT32_LIMIT = 2.0**31 - 128  # the largest float32 below the largest int32


class RoundAsOnnx(torch.autograd.Function):
    """`(clamp(round(x / scale) + zero_point) - zero_point) * scale`, straight-through inside the range.

    Source: ONNX QuantizeLinear; the gradient is that of Jacob et al. 2017, arXiv:1712.05877, section 3.
    """

    @staticmethod
    def forward(  # noqa: D102 - the class says it
        ctx: BackwardCFunction, values: Tensor, scale: Tensor, zero_point: Tensor, first: int, last: int
    ) -> Tensor:
        rounded = (values / scale).round_()
        lowest, highest = first - zero_point, last - zero_point
        clamped = torch.maximum(torch.minimum(rounded, highest), lowest)
        ctx.save_for_backward(rounded == clamped)
        return clamped.mul_(scale)

    @staticmethod
    def backward(ctx: BackwardCFunction, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:  # noqa: D102 - as forward
        (inside,) = ctx.saved_tensors
        return gradient * inside, None, None, None, None


class Mode(Enum):
    """What an activation quantizer does with what passes through it."""

    OBSERVE = auto()  # add it to the histogram, pass it unchanged
    QUANTIZE = auto()


class ActivationQuantizer(nn.Module):
    """Rounds an activation to the codes of its range.

    Args:
        spec: how the target wants numbers.
        ceiling: the clamp before it, where there is one (6 for ReLU6).
    """

    low: Tensor
    high: Tensor
    scale: Tensor
    zero_point: Tensor

    def __init__(self, spec: QuantSpec, *, ceiling: float | None = None) -> None:
        super().__init__()
        self.spec, self.ceiling = spec, ceiling
        self.mode = Mode.QUANTIZE
        self.histogram = Histogram()
        for name in ("low", "high", "zero_point"):
            self.register_buffer(name, torch.tensor(0.0))
        self.register_buffer("scale", torch.tensor(1.0))

    def set_range(self, low: float, high: float) -> None:
        """Choose scale and zero point for values in [low, high]."""
        self.low.fill_(low)
        self.high.fill_(high)
        scale, zero_point = activation_scale(low, high, self.spec, ceiling=self.ceiling)
        self.scale.fill_(scale)
        self.zero_point.fill_(zero_point)

    def set_scale(self, scale: float) -> None:
        """Take another scale, near the one that `set_range` chose, and the zero point that goes with it."""
        self.scale.fill_(scale)
        self.zero_point.fill_(zero_point_of(float(self.low), scale, self.spec))

    def forward(self, values: Tensor) -> Tensor:
        """Return values of the same shape, on the grid of the codes (unchanged while observing)."""
        if self.mode is Mode.OBSERVE:
            self.histogram.update(values.detach())
            return values
        first, last = self.spec.activation_codes
        return RoundAsOnnx.apply(values, self.scale, self.zero_point, first, last)  # type: ignore[no-untyped-call,no-any-return] # torch's apply is untyped

    def stored(self) -> tuple[Tensor, Tensor]:
        """Return (scale, zero point) as a program stores them: float32, and the activation's integer type."""
        dtype = torch.uint8 if self.spec.activation is ActivationType.UINT8 else torch.int8
        return self.scale.clone(), self.zero_point.to(dtype)

    def codes_of(self, values: Tensor) -> Tensor:
        """Return the codes of a constant, such as an embedding table, in the activation's integer type."""
        first, last = self.spec.activation_codes
        codes = (torch.round(values.detach() / self.scale) + self.zero_point).clamp(first, last)
        return codes.to(self.stored()[1].dtype)

    @property
    def clips_below_zero(self) -> bool:
        """Whether the lowest code stands for 0, so that a ReLU before it changes nothing."""
        return self.spec.symmetry is Symmetry.ASYMMETRIC and int(self.zero_point) == self.spec.activation_codes[0]


class WeightQuantizer(nn.Module):
    """Rounds a weight (output channels, ...) to int8 codes -127 to 127 at the scale of its largest value."""

    def __init__(self, spec: QuantSpec) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer("zero", torch.tensor(0.0), persistent=False)

    def scale_of(self, weight: Tensor) -> Tensor:
        """Return () or (output channels,), float32."""
        return weight_scale(weight, self.spec)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight on the grid of its codes."""
        scale = _per_output(self.scale_of(weight), weight)
        return RoundAsOnnx.apply(weight, scale, self.zero, -WEIGHT_CODE, WEIGHT_CODE)  # type: ignore[no-untyped-call,no-any-return] # torch's apply is untyped

    def codes_of(self, weight: Tensor) -> Tensor:
        """Return the int8 codes."""
        scale = _per_output(self.scale_of(weight), weight)
        codes = torch.round(weight.detach() / scale).clamp(-WEIGHT_CODE, WEIGHT_CODE)
        return codes.to(torch.int8)


class BiasQuantizer(nn.Module):
    """Rounds a bias as its target stores it: to int32 codes at the scale `input scale * weight scale`, or to fp16."""

    def __init__(self, spec: QuantSpec, source: ActivationQuantizer, weight: WeightQuantizer) -> None:
        super().__init__()
        self.spec = spec
        # neither belongs to this module: they are the graph's own, and must not be saved twice
        self.__dict__["source"], self.__dict__["weight"] = source, weight

    def scale_of(self, weight: Tensor) -> Tensor:
        """Return () or (output channels,), float32."""
        source: ActivationQuantizer = self.__dict__["source"]
        quantizer: WeightQuantizer = self.__dict__["weight"]
        return source.scale * quantizer.scale_of(weight)

    def codes_of(self, bias: Tensor, weight: Tensor) -> Tensor:
        """Return the int32 codes, (output channels,)."""
        codes = bias_codes(bias.detach(), self.scale_of(weight), self.spec.scale_format)
        return codes.clamp(-INT32_LIMIT, INT32_LIMIT).to(torch.int32)

    def forward(self, bias: Tensor, weight: Tensor) -> Tensor:
        """Return the bias as it will be stored; with `BiasType.FLOAT` unchanged."""
        if self.spec.bias is BiasType.FLOAT:
            return bias
        if self.spec.bias is BiasType.FP16:
            stored = self.half_of(bias)
        else:
            scale = self.scale_of(weight)
            stored = (bias_codes(bias.detach(), scale, self.spec.scale_format) * scale).to(bias.dtype)
        return bias + (stored - bias.detach())

    def half_of(self, bias: Tensor) -> Tensor:
        """Return the nearest numbers that fp16 holds, float32."""
        return bias.detach().to(torch.float16).to(torch.float32)


def _per_output(scale: Tensor, weight: Tensor) -> Tensor:
    return scale.view([-1] + [1] * (weight.ndim - 1)) if scale.ndim else scale
