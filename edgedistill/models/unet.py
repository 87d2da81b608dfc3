"""A small U-Net: the family of students and teachers that say a class for every pixel."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class UNet(nn.Module):
    """Levels that halve the side and double the channels, and a way back up that joins each level's own features.

    Source: Ronneberger et al. 2015, arXiv:1505.04597, figure 1, with padding that keeps the side, batch norm, and
    nearest-neighbour upsampling behind a 1x1 convolution in place of the transposed one. Every operator has an INT8
    kernel in ONNX Runtime, so the network quantizes fully.

    Args:
        classes: outputs of each pixel, at least 2.
        channels: channels of the input image, at least 1.
        width: channels of the first level, at least 1; parameters grow with its square.
        levels: resolutions, at least 1; height and width of an image must be divisible by 2^(levels - 1).
        depth: 3x3 convolutions of each level on each way, at least 1.
    """

    def __init__(self, *, classes: int, channels: int = 3, width: int = 8, levels: int = 3, depth: int = 1) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(levels)]
        inputs = [channels, *widths[:-1]]
        self.down = nn.ModuleList(_level(*pair, depth) for pair in zip(inputs, widths, strict=True))
        self.pool = nn.MaxPool2d(2)
        above = widths[-2::-1]
        self.narrow = nn.ModuleList(_unit(2 * out, out, kernel=1) for out in above)
        self.up = nn.ModuleList(_level(2 * out, out, depth) for out in above)
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (batch, channels, height, width) to logits (batch, classes, height, width)."""
        features = self.down[0](images)
        kept = []
        for level in list(self.down)[1:]:
            kept.append(features)
            features = level(self.pool(features))
        for narrow, up, beside in zip(self.narrow, self.up, reversed(kept), strict=True):
            risen = functional.interpolate(narrow(features), scale_factor=2.0, mode="nearest")
            features = up(torch.cat([risen, beside], 1))
        return self.head(features)  # type: ignore[no-any-return] # nn.Module is untyped


def _level(inputs: int, outputs: int, depth: int) -> nn.Sequential:
    return nn.Sequential(*(_unit(outputs if place else inputs, outputs, kernel=3) for place in range(depth)))


def _unit(inputs: int, outputs: int, *, kernel: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, 1, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())
