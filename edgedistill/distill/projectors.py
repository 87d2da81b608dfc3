"""Projectors: layers that bring the student's features into the shape of the teacher's, built from both shapes."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional

from edgedistill.errors import ShapeError

Shape = tuple[int, ...]
VECTOR, TOKENS, MAP = 1, 2, 3  # axes of one sample's features


def projector(student_shape: Shape, teacher_shape: Shape) -> nn.Module:
    """Return the layer that maps features of the student to the teacher's shape.

    Maps (channels, height, width) get a 1x1 convolution where the channels differ (Romero et al. 2014,
    arXiv:1412.6550, section 2.2) and adaptive average pooling where the resolution does; vectors (width,) and
    tokens (tokens, width) a linear layer where the width differs, and tokens of another number are interpolated.
    Between maps and tokens, a map's positions are tokens, row by row, and tokens that make up a square, perhaps after
    a class token, which is left out, are a map. Equal shapes get nothing. Shapes are without the batch.

    Raises:
        ShapeError: one is a vector and the other is not, or the tokens make up no square.
    """
    if student_shape == teacher_shape:
        return nn.Identity()
    ranks = len(student_shape), len(teacher_shape)
    if ranks == (MAP, MAP):
        return _map_projector(student_shape, teacher_shape)
    if ranks == (VECTOR, VECTOR):
        return nn.Linear(student_shape[-1], teacher_shape[-1])
    if ranks == (TOKENS, TOKENS):
        return _token_projector(student_shape, teacher_shape)
    if ranks == (MAP, TOKENS):
        tokens = (student_shape[1] * student_shape[2], student_shape[0])
        return nn.Sequential(TokensOfMap(), *_parts(_token_projector(tokens, teacher_shape)))
    side = _side(student_shape[0]) if ranks == (TOKENS, MAP) else 0
    if side:
        grid = (student_shape[1], side, side)
        return nn.Sequential(MapOfTokens(side), *_parts(_map_projector(grid, teacher_shape)))
    raise ShapeError(
        "hint",
        found=f"student features {student_shape} and teacher features {teacher_shape}",
        wanted="two maps (channels, height, width), two vectors, or tokens (tokens, width) of either",
        fix="name layers that match",
    )


class TokensOfMap(nn.Module):
    """Positions of a map as tokens, row by row."""

    def forward(self, features: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to (batch, height · width, channels)."""
        return features.flatten(2).transpose(1, 2)


class MapOfTokens(nn.Module):
    """Tokens as a square map, row by row; a class token before them is left out.

    Args:
        side: height and width of the map.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (batch, tokens, width) to (batch, width, side, side)."""
        grid = tokens[:, -(self.side**2) :].transpose(1, 2)
        return grid.reshape(*grid.shape[:2], self.side, self.side)


class ResampledTokens(nn.Module):
    """Another number of tokens, by linear interpolation along their order.

    Args:
        tokens: how many there are to be.
    """

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.tokens = tokens

    def forward(self, features: Tensor) -> Tensor:
        """Map (batch, any number, width) to (batch, tokens, width)."""
        return functional.interpolate(features.transpose(1, 2), self.tokens, mode="linear").transpose(1, 2)


def _map_projector(student_shape: Shape, teacher_shape: Shape) -> nn.Module:
    """Return pooling and 1x1 convolution. They commute, so the one that leaves less work goes first."""
    layers: list[nn.Module] = []
    if student_shape[0] != teacher_shape[0]:
        layers.append(nn.Conv2d(student_shape[0], teacher_shape[0], 1))
    if student_shape[1:] != teacher_shape[1:]:
        height, width = teacher_shape[1:]
        shrinks = height * width < student_shape[1] * student_shape[2]
        layers.insert(0 if shrinks else len(layers), nn.AdaptiveAvgPool2d((height, width)))
    return nn.Sequential(*layers)


def _token_projector(student_shape: Shape, teacher_shape: Shape) -> nn.Module:
    """Return a linear layer, and interpolation where the numbers differ, in the order that leaves less work."""
    layers: list[nn.Module] = []
    if student_shape[1] != teacher_shape[1]:
        layers.append(nn.Linear(student_shape[1], teacher_shape[1]))
    if student_shape[0] != teacher_shape[0]:
        shrinks = teacher_shape[0] < student_shape[0]
        layers.insert(0 if shrinks else len(layers), ResampledTokens(teacher_shape[0]))
    return layers[0] if len(layers) == 1 else nn.Sequential(*layers)


def _parts(layer: nn.Module) -> list[nn.Module]:
    return list(layer) if isinstance(layer, nn.Sequential) else [layer]


def _side(tokens: int) -> int:
    """Return the side of the square that tokens make up, perhaps after a class token; 0 where there is none."""
    for count in (tokens, tokens - 1):
        side = math.isqrt(count)
        if side and side * side == count:
            return side
    return 0
