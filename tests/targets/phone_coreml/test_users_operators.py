"""Operators of users' models: each is converted, and the saved package computes what the program computes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import images, program_of
from torch import Tensor, nn
from torch.nn import functional

from edgedistill.data.preprocessing import ArrayPreprocessing
from edgedistill.targets.base import Package, profile_named
from edgedistill.targets.phone_coreml.convert import model_from_program
from edgedistill.targets.phone_coreml.deployment import deployment_of
from edgedistill.targets.phone_coreml.executors import InterpretedPackage
from edgedistill.targets.phone_coreml.interpreter import Precision
from edgedistill.targets.phone_coreml.package import write_package
from edgedistill.targets.registry import target_named

POOLING: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda x: functional.max_pool2d(x, 2),
    lambda x: functional.max_pool2d(x, 3, 2, 1),
    lambda x: functional.max_pool2d(x, 3, 2, ceil_mode=True),
    lambda x: functional.max_pool1d(x.flatten(2), 2).unsqueeze(3),
    lambda x: functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    lambda x: functional.adaptive_avg_pool1d(x.flatten(2), 1).unsqueeze(3),
    lambda x: functional.adaptive_avg_pool2d(x, 4),
    lambda x: functional.adaptive_max_pool2d(x, 1),
    lambda x: functional.interpolate(x, scale_factor=2, mode="bilinear"),
    lambda x: functional.pixel_shuffle(torch.cat([x, x, x, x], 1), 2),
)
ACTIVATIONS: tuple[Callable[[Tensor], Tensor], ...] = (
    functional.silu,
    functional.hardswish,
    functional.hardsigmoid,
    functional.gelu,
    lambda x: functional.gelu(x, approximate="tanh"),
    functional.elu,
    functional.mish,
    functional.softplus,
    functional.softsign,
    functional.celu,
    functional.tanhshrink,
    functional.relu6,
    lambda x: functional.leaky_relu(x, 0.1),
    lambda x: x.clamp(-1, 2),
    lambda x: functional.log_softmax(x, 1),
)
ARITHMETIC: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda x: torch.log(x.abs() + 1),
    lambda x: torch.sin(x) + torch.cos(x),
    lambda x: torch.floor(x) + torch.ceil(x) + torch.round(x) + torch.sign(x),
    lambda x: functional.normalize(x, dim=1),
    lambda x: x / (x.std((2, 3), correction=0, keepdim=True) + 1e-3),
    lambda x: torch.add(x, x.square(), alpha=0.5),
    lambda x: torch.sub(x, x.square(), alpha=0.5),
    lambda x: torch.add(x, 2, alpha=3),
    lambda x: torch.addcmul(x, x, x + 1, value=0.25),
    lambda x: x.logsumexp(1, keepdim=True),
    lambda x: x.cumsum(2) / 16,
    lambda x: x.topk(4, dim=3)[0],
    lambda x: x.flip(3) * (torch.arange(16) / 16),
    lambda x: torch.roll(x, 1, 2) * (torch.arange(16) / 16),
    lambda x: torch.where(x > 0, x, x * 0.1),
    lambda x: functional.group_norm(torch.cat([x, x * 2, x - 1, -x], 1), 2),
)


class Several(nn.Module):
    """Applies functions to the same features, and gives the mean of each channel of each."""

    def __init__(self, functions: tuple[Callable[[Tensor], Tensor], ...]) -> None:
        super().__init__()
        self.functions, self.first = functions, nn.Conv2d(1, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        features = self.first(x)
        return torch.cat([function(features).mean((2, 3)) for function in self.functions], 1)


@pytest.mark.parametrize("functions", [POOLING, ACTIVATIONS, ARITHMETIC], ids=["pooling", "activations", "arithmetic"])
def test_the_package_computes_what_the_program_computes(
    functions: tuple[Callable[[Tensor], Tensor], ...], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    target, seen = target_named("phone-coreml"), images(16)
    device = profile_named(target, "iphone-15-pro")
    program = program_of(Several(functions).eval(), seen, target.quant_spec(device))
    package = Package("m", (), ArrayPreprocessing(shape=(1, 16, 16)), seen.numpy()[:2], task="embedding")
    model = model_from_program(program, deployment=deployment_of(device), package=package)
    write_package(model, tmp_path / "m.mlpackage", metadata={})
    reference = program.run(seen.numpy())
    found = InterpretedPackage(tmp_path / "m.mlpackage", Precision.FP32).run(seen.numpy())
    assert reference.std(0).min() > 1e-4, "each function gives something"
    np.testing.assert_allclose(found, reference, atol=float(np.ptp(reference)) / 255 / 1000)
