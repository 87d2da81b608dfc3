"""A compact residual network: the family of the demonstration's teacher and student."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a skip connection (He et al. 2015, arXiv:1512.03385, figure 2).

    The skip connection is the identity where shapes allow it, else a 1x1 convolution (option B of section 3.3).
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.skip = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, images: Tensor) -> Tensor:
        """Map (batch, inputs, height, width) to (batch, outputs, height / stride, width / stride)."""
        hidden = functional.relu(self.norm1(self.conv1(images)))
        return functional.relu(self.norm2(self.conv2(hidden)) + self.skip(images))


class ResidualNet(nn.Module):
    """A stem, stages of residual blocks that double the channels and halve the side, a pooled linear classifier.

    Every operator has an INT8 kernel in ONNX Runtime, TensorRT and Core ML, so the network quantizes fully.

    Args:
        classes: number of outputs, at least 2.
        channels: channels of the input image, at least 1.
        width: channels of the first stage, at least 1; parameters grow with its square.
        blocks: residual blocks of each stage.
        stem_stride: 1 keeps the input's resolution; 2 halves it and costs about a quarter.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int = 3,
        width: int = 16,
        blocks: Sequence[int] = (1, 1, 1),
        stem_stride: int = 1,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, 3, stem_stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
        widths = [width * 2**stage for stage in range(len(blocks))]
        inputs = [width, *widths[:-1]]
        self.stages = nn.Sequential(
            *(
                _stage(inputs[stage], widths[stage], depth=depth, stride=1 if stage == 0 else 2)
                for stage, depth in enumerate(blocks)
            )
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (batch, channels, height, width) to logits (batch, classes)."""
        features = self.stages(self.stem(images))
        return self.head(self.pool(features).flatten(1))  # type: ignore[no-any-return]


def _stage(inputs: int, outputs: int, *, depth: int, stride: int) -> nn.Sequential:
    first = ResidualBlock(inputs, outputs, stride=stride)
    rest = (ResidualBlock(outputs, outputs, stride=1) for _ in range(depth - 1))
    return nn.Sequential(first, *rest)
