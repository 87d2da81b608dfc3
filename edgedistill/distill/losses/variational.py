"""Variational information distillation: a Gaussian bound on what the student's features say of the teacher's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgedistill.distill.losses.shapes import require_equal_shapes
from edgedistill.errors import ShapeError

if TYPE_CHECKING:
    from collections.abc import Sequence

SMALLEST_VARIANCE = 1e-5
FIRST_VARIANCE = 5.0
MAP = 4


def variational_loss(predicted: Tensor, teacher_features: Tensor, variance: Tensor) -> Tensor:
    """Return the mean of (log variance + (teacher - predicted)² / variance) / 2: a Gaussian's surprise.

    Source: Ahn et al. 2019, arXiv:1904.05835, equation 5, without the constant. Paper's weight: 1.

    Args:
        predicted: (batch, channels, ...), floating point: the teacher's features as the student's predict them.
        teacher_features: the same shape; no gradient flows into it.
        variance: (channels,), above 0, one for all positions of a channel.

    Returns:
        Scalar, mean over all elements, in nats up to a constant; it may be negative.

    Raises:
        ShapeError: the shapes do not go together.
    """
    require_equal_shapes(predicted, teacher_features, names=("predicted features", "teacher features"))
    if variance.shape != predicted.shape[1:2]:
        raise ShapeError("variance", found=f"shape {tuple(variance.shape)}", wanted=f"({predicted.shape[1]},)")
    of_channel = variance.reshape(1, -1, *(1,) * (predicted.ndim - 2))
    squared = (predicted - teacher_features.detach()).square()
    return ((squared / of_channel + of_channel.log()) / 2).mean()


class GaussianPrediction(nn.Module):
    """The learned parts: three 1x1 convolutions that predict the teacher's features, and a variance per channel.

    Source: Ahn et al. 2019, arXiv:1904.05835, section 2.2: the variance is softplus(spread) + 1e-5; the depth of the
    regressor and the first variance, 5, are those of the comparison in arXiv:1910.10699.

    Args:
        student_shape: (channels, height, width) or (width,), without the batch.
        teacher_shape: the same number of axes.
    """

    def __init__(self, student_shape: Sequence[int], teacher_shape: Sequence[int]) -> None:
        super().__init__()
        inputs, outputs = student_shape[0], teacher_shape[0]
        self.regressor = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 1, bias=False),
        )
        first = math.log(math.expm1(FIRST_VARIANCE - SMALLEST_VARIANCE))
        self.spread = nn.Parameter(torch.full((outputs,), first))

    @property
    def variance(self) -> Tensor:
        """Variances (channels,), above 0."""
        return functional.softplus(self.spread) + SMALLEST_VARIANCE

    def forward(self, student_features: Tensor) -> tuple[Tensor, Tensor]:
        """Return (batch, channels, ...) in its channels, and the variances; a vector is one position."""
        is_map = student_features.ndim == MAP
        predicted: Tensor = self.regressor(student_features if is_map else student_features[:, :, None, None])
        return predicted if is_map else predicted.flatten(1), self.variance
