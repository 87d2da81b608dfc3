"""A depthwise-separable network: the family for devices whose time goes into multiplications."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class InvertedResidual(nn.Module):
    """Widen by a 1x1 convolution, filter each channel, narrow by a 1x1 convolution without activation.

    Source: Sandler et al. 2018, arXiv:1801.04381, table 1. The input is added where the shapes are equal.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand: nn.Module = nn.Identity() if expansion == 1 else _conv_norm(inputs, hidden, kernel=1)
        self.depthwise = _conv_norm(hidden, hidden, kernel=3, stride=stride, groups=hidden)
        self.project = nn.Sequential(nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.adds = stride == 1 and inputs == outputs

    def forward(self, images: Tensor) -> Tensor:
        """Map (batch, inputs, height, width) to (batch, outputs, height / stride, width / stride)."""
        narrow = self.project(self.depthwise(self.expand(images)))
        return images + narrow if self.adds else narrow  # type: ignore[no-any-return]  # nn.Module is untyped


class SeparableNet(nn.Module):
    """A stem, stages of inverted residuals that double the channels and halve the side, a pooled linear classifier.

    ReLU6 throughout: its bounded range quantizes well, and INT8 runtimes absorb it into the convolution. Every
    operator has an INT8 kernel in ONNX Runtime, TensorRT and Core ML, so the network quantizes fully.

    Args:
        classes: number of outputs, at least 2.
        channels: channels of the input image, at least 1.
        width: channels of the first stage, at least 1; parameters grow with its square.
        blocks: inverted residuals of each stage.
        stem_stride: 1 keeps the input's resolution; 2 halves it and costs about a quarter.
        expansion: factor by which a block widens its channels; the first block does not widen.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int = 3,
        width: int = 16,
        blocks: Sequence[int] = (1, 2, 2),
        stem_stride: int = 1,
        expansion: int = 4,
    ) -> None:
        super().__init__()
        self.stem = _conv_norm(channels, width, kernel=3, stride=stem_stride)
        widths = [width * 2**stage for stage in range(len(blocks))]
        inputs = [width, *widths[:-1]]
        self.stages = nn.Sequential(
            *(
                _stage(inputs[stage], widths[stage], depth=depth, first=stage == 0, expansion=expansion)
                for stage, depth in enumerate(blocks)
            )
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (batch, channels, height, width) to logits (batch, classes)."""
        features = self.stages(self.stem(images))
        return self.head(self.pool(features).flatten(1))  # type: ignore[no-any-return]  # nn.Module is untyped


def _stage(inputs: int, outputs: int, *, depth: int, first: bool, expansion: int) -> nn.Sequential:
    start = InvertedResidual(inputs, outputs, stride=1 if first else 2, expansion=1 if first else expansion)
    rest = (InvertedResidual(outputs, outputs, stride=1, expansion=expansion) for _ in range(depth - 1))
    return nn.Sequential(start, *rest)


def _conv_norm(inputs: int, outputs: int, *, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(),
    )
