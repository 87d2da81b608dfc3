"""Fake quantization: float modules that round exactly as the stored integers will."""

from __future__ import annotations

import math
from enum import Enum, auto
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from edgedistill.calibration.histogram import Histogram
from edgedistill.quantize.scales import (
    WEIGHT_CODE,
    activation_scale,
    snap,
    snap_down,
    weight_scale,
    zero_point_of,
)
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


class LearnedRound(torch.autograd.Function):
    """`RoundAsOnnx` whose scale gets a gradient.

    Source: Esser et al. 2019, arXiv:1902.08153, equations 2 and 3; the factor is that of section 2.2.
    """

    @staticmethod
    def forward(  # noqa: D102 - the class says it
        ctx: BackwardCFunction,
        values: Tensor,
        learned: Tensor,
        scale: Tensor,
        zero_point: Tensor,
        first: int,
        last: int,
        factor: float,
    ) -> Tensor:
        ratio = values / scale
        clamped = torch.maximum(torch.minimum(torch.round(ratio), last - zero_point), first - zero_point)
        inside = clamped == torch.round(ratio)
        # what the result moves by when the scale moves: the rounding error inside, the code outside
        ctx.save_for_backward(inside, torch.where(inside, clamped - ratio, clamped))
        ctx.factor, ctx.shape = factor, learned.shape  # type: ignore[attr-defined] # torch lets a context hold anything
        return clamped.mul_(scale)

    @staticmethod
    def backward(ctx: BackwardCFunction, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: D102 - as forward
        inside, slope = ctx.saved_tensors  # type: ignore[misc] # torch types it as one tensor
        factor, shape = ctx.factor, ctx.shape  # type: ignore[attr-defined] # as forward
        moved = (gradient * slope).flatten(1) if len(shape) else gradient * slope
        by_scale = moved.sum(1) if len(shape) else moved.sum()
        return gradient * inside, by_scale * factor, None, None, None, None, None


class Mode(Enum):
    """What a quantizer does with what passes through it."""

    OBSERVE = auto()  # add it to the histogram, pass it unchanged
    QUANTIZE = auto()
    PASS = auto()  # pass it unchanged


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
        self.learned: nn.Parameter | None = None

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

    def learn(self, *, learning_rate_factor: float) -> None:
        """Let training move the scale from where it is; the zero point stays."""
        self.learned = _scale_parameter(self.scale, learning_rate_factor)

    def settle(self) -> None:
        """Stop learning: the scale stays at the allowed number nearest to what was learned."""
        if self.learned is not None:
            self.scale.copy_(self._allowed(self.learned.detach()))
            self.freeze()

    def freeze(self) -> None:
        """Stop learning: the scale stays as it is."""
        if self.learned is not None:
            self.learned.requires_grad_(False)

    def snap(self) -> None:
        """Move the scale to the nearest number that the spec allows, where an average of weights moved it away."""
        self.scale.copy_(self._allowed(self.scale))

    def _allowed(self, scale: Tensor) -> Tensor:
        """Return the scale as the spec's format holds it; no code lies above the clamp before it."""
        first, last = self.spec.activation_codes
        limit = math.inf if self.ceiling is None else self.ceiling / (last - first)
        snapped = snap(scale, self.spec.scale_format)
        return snapped if float(snapped) <= limit else snap_down(limit, self.spec.scale_format)

    def forward(self, values: Tensor) -> Tensor:
        """Return values of the same shape, on the grid of the codes (unchanged while observing or passing)."""
        if self.mode is Mode.OBSERVE:
            self.histogram.update(values.detach())
        if self.mode is not Mode.QUANTIZE:
            return values
        first, last = self.spec.activation_codes
        if self.learned is not None and self.learned.requires_grad:
            self.scale.copy_(self._allowed(self.learned.detach()))
            factor = (values[0].numel() * (last - first) / 2) ** -0.5
            arguments = (self.learned, self.scale.clone(), self.zero_point, first, last, factor)
            return LearnedRound.apply(values, *arguments)  # type: ignore[no-untyped-call,no-any-return] # as below
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
        self.mode = Mode.QUANTIZE
        self.register_buffer("zero", torch.tensor(0.0), persistent=False)
        self.learned: nn.Parameter | None = None

    def scale_of(self, weight: Tensor) -> Tensor:
        """Return () or (output channels,), float32."""
        if self.learned is not None:
            return snap(self.learned.detach(), self.spec.scale_format)
        return weight_scale(weight, self.spec)

    def learn(self, weight: Tensor, *, learning_rate_factor: float) -> None:
        """Let training move the scale from that of the largest value."""
        self.learned = _scale_parameter(weight_scale(weight.detach(), self.spec), learning_rate_factor)

    def freeze(self) -> None:
        """Stop learning the scale."""
        if self.learned is not None:
            self.learned.requires_grad_(False)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight on the grid of its codes (unchanged while passing)."""
        if self.mode is Mode.PASS:
            return weight
        scale = _per_output(self.scale_of(weight), weight)
        if self.learned is not None and self.learned.requires_grad:
            factor = (weight.numel() / self.learned.numel() * WEIGHT_CODE) ** -0.5
            arguments = (self.learned, scale, self.zero, -WEIGHT_CODE, WEIGHT_CODE, factor)
            return LearnedRound.apply(weight, *arguments)  # type: ignore[no-untyped-call,no-any-return] # as below
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
        self.mode = Mode.QUANTIZE
        # neither belongs to this module: they are the graph's own, and must not be saved twice
        self.__dict__["source"], self.__dict__["weight"] = source, weight

    def scale_of(self, weight: Tensor) -> Tensor:
        """Return () or (output channels,), float32."""
        source: ActivationQuantizer = self.__dict__["source"]
        quantizer: WeightQuantizer = self.__dict__["weight"]
        return source.scale * quantizer.scale_of(weight)

    def codes_of(self, bias: Tensor, weight: Tensor) -> Tensor:
        """Return the int32 codes, (output channels,)."""
        codes = torch.round(bias.detach() / self.scale_of(weight))
        return codes.clamp(-INT32_LIMIT, INT32_LIMIT).to(torch.int32)

    def forward(self, bias: Tensor, weight: Tensor) -> Tensor:
        """Return the bias as it will be stored; with `BiasType.FLOAT`, or while passing, unchanged."""
        if self.spec.bias is BiasType.FLOAT or self.mode is Mode.PASS:
            return bias
        if self.spec.bias is BiasType.FP16:
            stored = self.half_of(bias)
        else:
            scale = self.scale_of(weight)
            stored = torch.round(bias.detach() / scale) * scale
        return bias + (stored - bias.detach())

    def half_of(self, bias: Tensor) -> Tensor:
        """Return the nearest numbers that fp16 holds, float32."""
        return bias.detach().to(torch.float16).to(torch.float32)


def _scale_parameter(scale: Tensor, learning_rate_factor: float) -> nn.Parameter:
    parameter = nn.Parameter(scale.detach().clone())
    parameter.learning_rate_factor = learning_rate_factor  # type: ignore[attr-defined] # read by distill.optimizer
    return parameter


def _per_output(scale: Tensor, weight: Tensor) -> Tensor:
    return scale.view([-1] + [1] * (weight.ndim - 1)) if scale.ndim else scale
