"""The depthwise-separable family."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgedistill.models.separable import InvertedResidual, SeparableNet


@pytest.mark.parametrize("stem_stride", [1, 2])
@pytest.mark.parametrize("blocks", [(1,), (2, 1), (1, 2, 2)])
def test_logits_come_out_whatever_the_size(blocks: tuple[int, ...], stem_stride: int) -> None:
    network = SeparableNet(classes=7, channels=1, width=4, blocks=blocks, stem_stride=stem_stride).eval()
    for side in (17, 28):
        assert network(torch.zeros(2, 1, side, side + 3)).shape == (2, 7)


def test_parameters_are_as_many_as_the_layers_say() -> None:
    width, expansion, classes = 8, 4, 10
    stem = 9 * width + 2 * width
    first = 9 * width + 2 * width + width * width + 2 * width

    def block(inputs: int, outputs: int) -> int:
        hidden = inputs * expansion
        return inputs * hidden + 2 * hidden + 9 * hidden + 2 * hidden + hidden * outputs + 2 * outputs

    second = block(width, 2 * width) + block(2 * width, 2 * width)
    head = 2 * width * classes + classes
    network = SeparableNet(classes=classes, channels=1, width=width, blocks=(1, 2), expansion=expansion)
    assert sum(parameter.numel() for parameter in network.parameters()) == stem + first + second + head


def test_a_block_adds_its_input_only_where_the_shapes_are_equal() -> None:
    images = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    same = InvertedResidual(4, 4, stride=1, expansion=2).eval()
    same.project[1].weight.data.zero_()
    assert torch.equal(same(images), images)
    other = InvertedResidual(4, 8, stride=1, expansion=2).eval()
    other.project[1].weight.data.zero_()
    assert torch.equal(other(images), torch.zeros(2, 8, 6, 6))
    assert InvertedResidual(4, 4, stride=2, expansion=1)(images).shape == (2, 4, 3, 3)


def test_activations_stay_between_0_and_6() -> None:
    network = SeparableNet(classes=3, channels=1, width=4, blocks=(1, 1)).eval()
    seen: list[torch.Tensor] = []
    for module in network.modules():
        if isinstance(module, nn.ReLU6):
            module.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    with torch.no_grad():
        network(1000 * torch.randn(2, 1, 9, 9, generator=torch.Generator().manual_seed(0)))
    assert len(seen) == 4
    assert all(float(output.min()) >= 0 for output in seen)
    assert max(float(output.max()) for output in seen) == 6


def test_a_gradient_reaches_every_parameter() -> None:
    network = SeparableNet(classes=3, channels=1, width=4, blocks=(1, 2))
    images = torch.randn(8, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    network(images).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())
