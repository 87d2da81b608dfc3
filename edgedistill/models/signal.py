"""A family for signals: windows of sensors, several channels over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class SignalConvNet(nn.Module):
    """Convolutions over time that halve it, a pooled linear classifier.

    Source: Wang et al. 2017, arXiv:1611.06455, section II-B (fully convolutional network), with strides. The
    convolutions are two-dimensional with a height of 1: every runtime has INT8 kernels for those.

    Args:
        classes: number of outputs, at least 2.
        channels: channels of the signal, at least 1.
        width: channels of the first convolution, at least 1; later ones have twice as many.
        blocks: convolutions, at least 1; each halves the time.
        kernel: time steps that a convolution sees, odd; the first sees two more.
    """

    def __init__(self, *, classes: int, channels: int, width: int = 8, blocks: int = 3, kernel: int = 5) -> None:
        super().__init__()
        widths = [channels, width, *[2 * width] * (blocks - 1)]
        self.stages = nn.Sequential(
            *(_conv_norm(widths[block], widths[block + 1], kernel=kernel + 2 * (block == 0)) for block in range(blocks))
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, signals: Tensor) -> Tensor:
        """Map signals (batch, time, channels) to logits (batch, classes)."""
        features = self.stages(signals.permute(0, 2, 1).unsqueeze(2))
        return self.head(self.pool(features).flatten(1))  # type: ignore[no-any-return]  # nn.Module is untyped


def _conv_norm(inputs: int, outputs: int, *, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, (1, kernel), (1, 2), (0, kernel // 2), bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )
