"""Convolutional networks as their users write them: plain torch modules that know nothing of quantization."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


def _unit(channels: int, out: int, kernel: int, *, stride: int = 1, groups: int = 1, act: nn.Module) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(out), act
    )


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a skip. Source: He et al. 2015, arXiv:1512.03385, figure 5 left."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride > 1 or channels != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, images: Tensor) -> Tensor:
        """Return (n, out, height / stride, width / stride)."""
        skip = images if self.downsample is None else self.downsample(images)
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(images)))))
        out += skip
        return self.relu(out)


class ResNet18(nn.Module):
    """ResNet-18. Source: He et al. 2015, arXiv:1512.03385, table 1."""

    def __init__(self, *, classes: int = 1000, width: int = 64) -> None:
        super().__init__()
        self.stem = _unit(3, width, 7, stride=2, act=nn.ReLU(inplace=True))
        self.pool = nn.MaxPool2d(3, 2, 1)
        widths = [width, width, 2 * width, 4 * width, 8 * width]
        blocks: list[nn.Module] = []
        for index, (before, after) in enumerate(pairwise(widths)):
            blocks += [BasicBlock(before, after, 2 if index else 1), BasicBlock(after, after, 1)]
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (n, classes) of images (n, 3, height, width)."""
        features = functional.adaptive_avg_pool2d(self.blocks(self.pool(self.stem(images))), 1)
        return self.head(torch.flatten(features, 1))  # type: ignore[no-any-return] # nn.Module is untyped


class InvertedResidual(nn.Module):
    """Expand, depthwise, project. Source: Sandler et al. 2018, arXiv:1801.04381, section 3."""

    def __init__(self, channels: int, out: int, *, stride: int, expand: int) -> None:
        super().__init__()
        inner = channels * expand
        layers: list[nn.Module] = [] if expand == 1 else [_unit(channels, inner, 1, act=nn.ReLU6(inplace=True))]
        layers += [
            _unit(inner, inner, 3, stride=stride, groups=inner, act=nn.ReLU6(inplace=True)),
            nn.Conv2d(inner, out, 1, bias=False),
            nn.BatchNorm2d(out),
        ]
        self.body = nn.Sequential(*layers)
        self.skips = stride == 1 and channels == out

    def forward(self, images: Tensor) -> Tensor:
        """Return (n, out, height / stride, width / stride)."""
        return images + self.body(images) if self.skips else self.body(images)


class MobileNetV2(nn.Module):
    """MobileNetV2. Source: Sandler et al. 2018, arXiv:1801.04381, table 2."""

    LAYERS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))

    def __init__(self, *, classes: int = 1000, width: float = 1.0) -> None:
        super().__init__()
        channels = int(32 * width)
        layers: list[nn.Module] = [_unit(3, channels, 3, stride=2, act=nn.ReLU6(inplace=True))]
        for expand, base, count, first_stride in self.LAYERS:
            for index in range(count):
                out = int(base * width)
                stride = first_stride if index == 0 else 1
                layers.append(InvertedResidual(channels, out, stride=stride, expand=expand))
                channels = out
        last = int(1280 * max(width, 0.25))
        layers.append(_unit(channels, last, 1, act=nn.ReLU6(inplace=True)))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, classes))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (n, classes) of images (n, 3, height, width)."""
        return self.classifier(self.features(images).mean([2, 3]))  # type: ignore[no-any-return] # nn.Module is untyped


class SqueezeExcite(nn.Module):
    """Channel gates. Source: Hu et al. 2017, arXiv:1709.01507; hard sigmoid as in arXiv:1905.02244, section 5.3."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(8, channels // 4)
        self.fc1, self.fc2 = nn.Conv2d(channels, inner, 1), nn.Conv2d(inner, channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the images times one gate a channel."""
        gates = functional.adaptive_avg_pool2d(images, 1)
        return images * functional.hardsigmoid(self.fc2(functional.relu(self.fc1(gates))))


class MobileNetV3(nn.Module):
    """MobileNetV3-small. Source: Howard et al. 2019, arXiv:1905.02244, table 2."""

    # kernel, expansion, out, squeeze-excite, hard-swish, stride
    LAYERS = (
        (3, 16, 16, True, False, 2),
        (3, 72, 24, False, False, 2),
        (3, 88, 24, False, False, 1),
        (5, 96, 40, True, True, 2),
        (5, 240, 40, True, True, 1),
        (5, 120, 48, True, True, 1),
        (5, 288, 96, True, True, 2),
        (5, 576, 96, True, True, 1),
    )

    def __init__(self, *, classes: int = 1000) -> None:
        super().__init__()
        self.stem = _unit(3, 16, 3, stride=2, act=nn.Hardswish(inplace=True))
        channels = 16
        self.blocks = nn.ModuleList()
        self.skips: list[bool] = []
        for kernel, inner, out, squeeze, swish, stride in self.LAYERS:
            act: type[nn.Module] = nn.Hardswish if swish else nn.ReLU
            layers: list[nn.Module] = [] if inner == channels else [_unit(channels, inner, 1, act=act())]
            layers.append(_unit(inner, inner, kernel, stride=stride, groups=inner, act=act()))
            layers += [SqueezeExcite(inner)] if squeeze else []
            layers += [nn.Conv2d(inner, out, 1, bias=False), nn.BatchNorm2d(out)]
            self.blocks.append(nn.Sequential(*layers))
            self.skips.append(stride == 1 and channels == out)
            channels = out
        self.last = _unit(channels, 576, 1, act=nn.Hardswish())
        self.head = nn.Sequential(nn.Linear(576, 1024), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(1024, classes))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (n, classes) of images (n, 3, height, width)."""
        features = self.stem(images)
        for block, skips in zip(self.blocks, self.skips, strict=True):
            features = features + block(features) if skips else block(features)
        pooled = functional.adaptive_avg_pool2d(self.last(features), 1)
        return self.head(pooled.flatten(1))  # type: ignore[no-any-return] # nn.Module is untyped


def shuffled(images: Tensor, groups: int) -> Tensor:
    """Return the channels (n, c, h, w) interleaved over groups. Source: arXiv:1707.01083, figure 1."""
    count, channels, height, width = images.shape
    grouped = images.view(count, groups, channels // groups, height, width)
    return grouped.transpose(1, 2).reshape(count, channels, height, width)


class ShuffleUnit(nn.Module):
    """Channel split, one branch convolved, concat, shuffle. Source: Ma et al. 2018, arXiv:1807.11164, figure 3."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.stride, half = stride, out // 2
        before = channels if stride > 1 else half
        self.side = (
            nn.Sequential(
                nn.Conv2d(before, before, 3, stride, 1, groups=before, bias=False),
                nn.BatchNorm2d(before),
                _unit(before, half, 1, act=nn.ReLU()),
            )
            if stride > 1
            else nn.Identity()
        )
        self.main = nn.Sequential(
            _unit(before, half, 1, act=nn.ReLU()),
            nn.Conv2d(half, half, 3, stride, 1, groups=half, bias=False),
            nn.BatchNorm2d(half),
            _unit(half, half, 1, act=nn.ReLU()),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return (n, out, height / stride, width / stride)."""
        if self.stride == 1:
            left, right = images.chunk(2, dim=1)
        else:
            left, right = images, images
        return shuffled(torch.cat([self.side(left), self.main(right)], dim=1), 2)


class ShuffleNetV2(nn.Module):
    """ShuffleNetV2 1x. Source: Ma et al. 2018, arXiv:1807.11164, table 5."""

    def __init__(self, *, classes: int = 1000, widths: tuple[int, ...] = (24, 116, 232, 464, 1024)) -> None:
        super().__init__()
        self.stem = _unit(3, widths[0], 3, stride=2, act=nn.ReLU())
        self.pool = nn.MaxPool2d(3, 2, 1)
        units: list[nn.Module] = []
        for before, after, count in zip(widths[:3], widths[1:4], (4, 8, 4), strict=True):
            units += [ShuffleUnit(before, after, 2), *(ShuffleUnit(after, after, 1) for _ in range(count - 1))]
        self.units = nn.Sequential(*units)
        self.last = _unit(widths[3], widths[4], 1, act=nn.ReLU())
        self.head = nn.Linear(widths[4], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (n, classes) of images (n, 3, height, width)."""
        features = self.last(self.units(self.pool(self.stem(images))))
        return self.head(features.mean([2, 3]))  # type: ignore[no-any-return] # nn.Module is untyped


class UNet(nn.Module):
    """A small U-Net: transposed convolution, bilinear and nearest upsampling, concat. Source: arXiv:1505.04597."""

    def __init__(self, *, classes: int = 3, width: int = 16) -> None:
        super().__init__()
        self.down1, self.down2, self.down3, self.middle = (
            self._pair(before, after)
            for before, after in ((3, width), (width, 2 * width), (2 * width, 4 * width), (4 * width, 4 * width))
        )
        self.pool = nn.MaxPool2d(2)
        self.up3 = nn.ConvTranspose2d(4 * width, 4 * width, 2, 2)
        self.up2 = nn.Upsample(scale_factor=2, mode="nearest")
        self.up1 = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.merge3, self.merge2 = self._pair(8 * width, 4 * width), self._pair(6 * width, 2 * width)
        self.merge1 = self._pair(3 * width, width)
        self.head = nn.Conv2d(width, classes, 1)

    @staticmethod
    def _pair(channels: int, out: int) -> nn.Sequential:
        return nn.Sequential(_unit(channels, out, 3, act=nn.ReLU()), _unit(out, out, 3, act=nn.ReLU()))

    def forward(self, images: Tensor) -> Tensor:
        """Return one logit a class and pixel (n, classes, height, width); sides divisible by 8."""
        first = self.down1(images)
        second = self.down2(self.pool(first))
        third = self.down3(self.pool(second))
        up = self.up3(self.middle(self.pool(third)))
        up = self.merge3(torch.cat([up, third], 1))
        up = self.merge2(torch.cat([self.up2(up), second], 1))
        up = self.merge1(torch.cat([self.up1(up), first], 1))
        return self.head(up)  # type: ignore[no-any-return] # nn.Module is untyped
