"""Small seeded models and programs that many tests start from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from edgedistill.models.residual import ResidualNet
from edgedistill.models.separable import SeparableNet
from edgedistill.quantize.annotate import activation_quantizers, annotate
from edgedistill.quantize.capture import capture
from edgedistill.quantize.convert import convert
from edgedistill.quantize.fake import Mode
from edgedistill.quantize.spec import QuantSpec
from edgedistill.quantize.ties import avoid_ties

if TYPE_CHECKING:
    from torch import fx

    from edgedistill.quantize.program import QuantizedProgram

SIDE = 16


def images(count: int, *, channels: int = 1, seed: int = 0) -> Tensor:
    """Return (count, channels, 16, 16) standard normal values."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, SIDE, SIDE, generator=generator)


def lively(model: nn.Module, *, seed: int = 0) -> nn.Module:
    """Give every batch norm statistics and weights that matter, and return the model in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.5, 1.5),
                (module.weight.data, 0.5, 1.5),
                (module.bias.data, -0.3, 0.3),
            ):
                assert tensor is not None
                tensor.uniform_(low, high, generator=generator)
    return model.eval()


def residual(*, width: int = 6, seed: int = 0) -> nn.Module:
    """Return a residual network with 5 classes on one channel."""
    torch.manual_seed(seed)
    return lively(ResidualNet(classes=5, channels=1, width=width, stem_stride=2), seed=seed)


def separable(*, seed: int = 0) -> nn.Module:
    """Return a depthwise-separable network with ReLU6 and 5 classes on one channel."""
    torch.manual_seed(seed)
    return lively(SeparableNet(classes=5, channels=1, width=8), seed=seed)


def calibrated(model: nn.Module, inputs: Tensor, spec: QuantSpec | None = None) -> fx.GraphModule:
    """Return the fake-quantized graph of a model with min-max ranges over some inputs."""
    graph = annotate(capture(model, inputs[:2]), spec or QuantSpec())
    quantizers = activation_quantizers(graph).values()
    for quantizer in quantizers:
        quantizer.mode = Mode.OBSERVE
    with torch.no_grad():
        graph(inputs)
    for quantizer in quantizers:
        quantizer.set_range(quantizer.histogram.minimum, quantizer.histogram.maximum)
        quantizer.mode = Mode.QUANTIZE
    avoid_ties(graph)
    return graph


def program_of(model: nn.Module, inputs: Tensor, spec: QuantSpec | None = None) -> QuantizedProgram:
    """Return the quantized program of a model, calibrated on some inputs."""
    spec = spec or QuantSpec()
    return convert(calibrated(model, inputs, spec), spec, inputs[:2])
