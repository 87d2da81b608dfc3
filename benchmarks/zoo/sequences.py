"""Networks over time and tokens as their users write them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class KeywordNet(nn.Module):
    """DS-CNN-S over 49 x 10 cepstral coefficients. Source: Zhang et al. 2017, arXiv:1711.07128, table 6."""

    def __init__(self, *, classes: int = 12, width: int = 64) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, width, (10, 4), (2, 2), (5, 1), bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(width, width, 3, 1, 1, groups=width, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(),
                    nn.Conv2d(width, width, 1, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(),
                )
                for _ in range(4)
            )
        )
        self.pool = nn.AvgPool2d((25, 5))
        self.head = nn.Linear(width, classes)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (n, classes) of features (n, 1, 49, 10)."""
        pooled = self.pool(self.blocks(self.stem(features)))
        return self.head(pooled.squeeze(-1).squeeze(-1))  # type: ignore[no-any-return] # nn.Module is untyped


class TemporalBlock(nn.Module):
    """Two dilated causal convolutions and a skip. Source: Bai et al. 2018, arXiv:1803.01271, figure 1."""

    def __init__(self, channels: int, out: int, dilation: int) -> None:
        super().__init__()
        self.left = 2 * dilation
        self.conv1 = nn.Conv1d(channels, out, 3, dilation=dilation)
        self.conv2 = nn.Conv1d(out, out, 3, dilation=dilation)
        self.skip = nn.Conv1d(channels, out, 1) if channels != out else nn.Identity()

    def forward(self, series: Tensor) -> Tensor:
        """Return (n, out, time)."""
        hidden = functional.relu(self.conv1(functional.pad(series, (self.left, 0))))
        hidden = functional.relu(self.conv2(functional.pad(hidden, (self.left, 0))))
        return functional.relu(hidden + self.skip(series))


class TemporalNet(nn.Module):
    """A temporal convolution network over motion-sensor windows."""

    def __init__(self, *, channels: int = 6, classes: int = 7, width: int = 32) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            TemporalBlock(channels, width, 1), TemporalBlock(width, width, 2), TemporalBlock(width, width, 4)
        )
        self.head = nn.Linear(width, classes)

    def forward(self, series: Tensor) -> Tensor:
        """Return logits (n, classes) of series (n, channels, time)."""
        return self.head(self.blocks(series).mean(-1))  # type: ignore[no-any-return] # nn.Module is untyped


class GatedNet(nn.Module):
    """A GRU and a linear layer over its last state."""

    def __init__(self, *, channels: int = 6, classes: int = 7, width: int = 32) -> None:
        super().__init__()
        self.gru = nn.GRU(channels, width, batch_first=True)
        self.head = nn.Linear(width, classes)

    def forward(self, series: Tensor) -> Tensor:
        """Return logits (n, classes) of series (n, channels, time)."""
        states, _ = self.gru(series.transpose(1, 2))
        return self.head(states[:, -1])  # type: ignore[no-any-return] # nn.Module is untyped


class VisionTransformer(nn.Module):
    """ViT-tiny: patches, class token, pre-norm encoder. Source: Dosovitskiy et al. 2020, arXiv:2010.11929."""

    def __init__(
        self,
        *,
        side: int = 224,
        patch: int = 16,
        classes: int = 1000,
        width: int = 192,
        depth: int = 12,
        heads: int = 3,
    ) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, (side // patch) ** 2 + 1, width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, depth, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (n, classes) of images (n, 3, side, side)."""
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(tokens.shape[0], -1, -1), tokens], 1) + self.positions
        return self.head(self.encoder(tokens)[:, 0])  # type: ignore[no-any-return] # nn.Module is untyped
