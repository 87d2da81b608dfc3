from __future__ import annotations

import pytest
import torch
from torch import nn

from edgedistill.distill.start.channel_groups import channel_groups
from edgedistill.errors import ModelError
from edgedistill.models.residual import ResidualNet
from edgedistill.models.separable import SeparableNet


class Joined(nn.Module):
    """Concatenation, flattening of a map, a shared convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(1, 3, 1), nn.Conv2d(1, 2, 1)
        self.shared, self.last = nn.Conv2d(3, 3, 1), nn.Conv2d(5, 5, 1)
        self.head = nn.Linear(5 * 4, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        left = self.shared(torch.relu(self.shared(self.left(images))))
        features = self.last(torch.cat([left, self.right(images)], 1))
        return self.head(features.flatten(1))  # type: ignore[no-any-return]


def grouped(model: nn.Module, shape: tuple[int, ...]) -> dict[tuple[str, int], list[tuple[int, int]]]:
    groups = channel_groups(model, torch.zeros(2, *shape))
    return {
        (name, place): [(groups.root(part.group), part.repeat) for part in axis]
        for name, axes in groups.axes.items()
        for place, axis in axes.items()
    }


def test_a_residual_addition_joins_what_it_adds() -> None:
    model = ResidualNet(classes=3, channels=1, width=4, blocks=(1, 2))
    found = grouped(model, (1, 8, 8))
    second_stage = found["stages.1.0.conv2.weight", 0]
    for name in ("stages.1.0.skip.0.weight", "stages.1.1.conv2.weight", "stages.1.1.norm2.running_var"):
        assert found[name, 0] == second_stage
    assert found["stages.1.1.conv1.weight", 1] == second_stage
    assert found["head.weight", 1] == second_stage
    assert found["stem.0.weight", 0] == found["stages.0.0.norm2.weight", 0] != second_stage
    assert found["stages.1.0.conv1.weight", 0] == found["stages.1.0.conv2.weight", 1] != second_stage
    groups = channel_groups(model, torch.zeros(2, 1, 8, 8))
    assert groups.fixed >= {found["stem.0.weight", 1][0][0], found["head.weight", 0][0][0]}
    assert "stages.1.0.skip.1.weight" in groups.norms


def test_a_depthwise_convolution_keeps_its_channels() -> None:
    found = grouped(SeparableNet(classes=3, channels=1, width=4), (1, 8, 8))
    assert found["stages.1.0.depthwise.0.weight", 0] == found["stages.1.0.expand.0.weight", 0]
    assert ("stages.1.0.depthwise.0.weight", 1) not in found


def test_concatenations_flattened_maps_and_shared_layers() -> None:
    found = grouped(Joined(), (1, 2, 2))
    left, right = found["left.weight", 0][0], found["right.weight", 0][0]
    assert found["shared.weight", 0] == found["shared.weight", 1] == [left]
    assert found["last.weight", 1] == [left, right]
    assert found["head.weight", 1] == [(found["last.weight", 0][0][0], 4)]


class Odd(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layer(images).mean((2, 3))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.PixelShuffle(2), "operator 'aten.pixel_shuffle.default': channels pass through it, and how is not known"),
        (nn.Conv2d(4, 8, 1, groups=2), r"convolution 'layer.weight': 2 groups; wanted one group, or one per channel"),
    ],
)
def test_what_cannot_be_followed_is_named(layer: nn.Module, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        channel_groups(Odd(layer), torch.zeros(2, 4, 4, 4))


def test_a_model_that_cannot_be_captured_is_refused() -> None:
    class Branching(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images if images.sum() > 0 else -images

    with pytest.raises(ModelError, match=r"model Branching: torch\.export cannot capture it"):
        channel_groups(Branching(), torch.zeros(2, 1, 2, 2))
