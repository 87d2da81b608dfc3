"""Knowledge review: every level of the student learns from the fused levels at and above it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgedistill.distill.losses.shapes import require_equal_shapes, require_rank
from edgedistill.errors import ShapeError

if TYPE_CHECKING:
    from collections.abc import Sequence

PYRAMID = (4, 2, 1)
LARGEST_MIDDLE = 512


def hierarchical_context_loss(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Return the mean squared difference at full resolution and at 4x4, 2x2 and 1x1, of halving weights.

    Source: Chen et al. 2021, arXiv:2104.09044, section 3.3. The weights 1, 1/2, 1/4, ... are divided by their sum;
    levels that are not below the features' height are left out.

    Args:
        student_features: (batch, channels, height, width), floating point, already fused to the teacher's shape.
        teacher_features: the same shape; no gradient flows into it.

    Returns:
        Scalar in squared units of the features; 0 exactly when they are equal.

    Raises:
        ShapeError: the shapes differ, or they are no maps.
    """
    require_rank(student_features, 4, name="student features", wanted="(batch, channels, height, width)")
    require_equal_shapes(student_features, teacher_features, names=("student features", "teacher features"))
    teacher, pool = teacher_features.detach(), functional.adaptive_avg_pool2d
    levels = [level for level in PYRAMID if level < student_features.shape[2]]
    terms = [functional.mse_loss(student_features, teacher)]
    terms += [functional.mse_loss(pool(student_features, level), pool(teacher, level)) for level in levels]
    weights = [0.5**place for place in range(len(terms))]
    return torch.stack([weight * term for weight, term in zip(weights, terms, strict=True)]).sum() / sum(weights)


class AttentionFusion(nn.Module):
    """One level: the student's features, fused with what comes from the level above, in the teacher's shape.

    Source: Chen et al. 2021, arXiv:2104.09044, section 3.3, figure 4a: attention based fusion.

    Args:
        inputs: channels of the student's level.
        middle: channels in which levels are fused.
        teacher_shape: (channels, height, width) of the teacher's level.
        fuses: whether there is a level above.
    """

    def __init__(self, inputs: int, middle: int, teacher_shape: Sequence[int], *, fuses: bool) -> None:
        super().__init__()
        outputs, *size = teacher_shape
        self.size = (size[0], size[1])
        self.narrow = nn.Sequential(nn.Conv2d(inputs, middle, 1, bias=False), nn.BatchNorm2d(middle))
        self.widen = nn.Sequential(nn.Conv2d(middle, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs))
        self.attention = nn.Sequential(nn.Conv2d(2 * middle, 2, 1), nn.Sigmoid()) if fuses else None

    def forward(self, features: Tensor, above: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the level in the teacher's shape, and what goes to the level below, in `middle` channels.

        Args:
            features: (batch, inputs, height, width) of the student.
            above: (batch, middle, height, width) from the level above, at any resolution; None at the top.
        """
        fused = self.narrow(features)
        if self.attention is not None and above is not None:
            above = functional.interpolate(above, fused.shape[2:], mode="nearest")
            shares = self.attention(torch.cat([fused, above], 1))
            fused = fused * shares[:, :1] + above * shares[:, 1:]
        if fused.shape[2:] != self.size:
            fused = functional.adaptive_avg_pool2d(fused, self.size)
        return self.widen(fused), fused


class Review(nn.Module):
    """The learned parts of all levels, lowest first.

    Paper's weight: 1, risen over the first 20 epochs; 5 where the student is far smaller.

    Args:
        student_shapes: (channels, height, width) of each level, lowest first.
        teacher_shapes: the same of the teacher's levels.

    Raises:
        ShapeError: they are no maps, or not as many.
    """

    def __init__(self, student_shapes: Sequence[Sequence[int]], teacher_shapes: Sequence[Sequence[int]]) -> None:
        super().__init__()
        if len(student_shapes) != len(teacher_shapes) or {
            len(shape) for shape in (*student_shapes, *teacher_shapes)
        } != {3}:
            raise ShapeError(
                "review",
                found=f"student levels {list(student_shapes)} and teacher levels {list(teacher_shapes)}",
                wanted="as many maps (channels, height, width) of each",
            )
        middle = min(LARGEST_MIDDLE, student_shapes[-1][0])
        self.levels = nn.ModuleList(
            AttentionFusion(student[0], middle, teacher, fuses=place < len(student_shapes) - 1)
            for place, (student, teacher) in enumerate(zip(student_shapes, teacher_shapes, strict=True))
        )

    def forward(self, student_features: Sequence[Tensor]) -> list[Tensor]:
        """Return every level of the student in its teacher's shape, lowest first."""
        above: Tensor | None = None
        reviewed: list[Tensor] = []
        for level, features in zip(reversed(self.levels), reversed(student_features), strict=True):
            output, above = level(features, above)
            reviewed.append(output)
        return reviewed[::-1]


def review_loss(reviewed: Sequence[Tensor], teacher_features: Sequence[Tensor]) -> Tensor:
    """Return the sum of the hierarchical context losses of all levels.

    Source: Chen et al. 2021, arXiv:2104.09044, equation 7.

    Args:
        reviewed: each level of the student in its teacher's shape, as `Review` gives it.
        teacher_features: the same shapes; no gradient flows into them.

    Raises:
        ShapeError: shapes differ.
    """
    pairs = zip(reviewed, teacher_features, strict=True)
    return torch.stack([hierarchical_context_loss(student, teacher) for student, teacher in pairs]).sum()
