"""Masked generative distillation: the student's features, with parts left out, must give the teacher's whole ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from edgedistill.distill.losses.shapes import require_equal_shapes

if TYPE_CHECKING:
    from collections.abc import Sequence


def generation_loss(generated: Tensor, teacher_features: Tensor) -> Tensor:
    """Return the squared differences, summed over a sample's elements, mean over the batch.

    Source: Yang et al. 2022, arXiv:2205.01529, equation 4. A sum, so the paper's weight is small: 7e-5 for
    classification, 2e-5 for segmentation and two-stage detectors.

    Args:
        generated: (batch, channels, height, width), floating point, as `MaskedGeneration` gives it.
        teacher_features: the same shape; no gradient flows into it.

    Returns:
        Scalar in squared units of the features; 0 exactly when they are equal.

    Raises:
        ShapeError: the shapes differ.
    """
    require_equal_shapes(generated, teacher_features, names=("generated features", "teacher features"))
    return (generated - teacher_features.detach()).square().sum() / len(generated)


class MaskedGeneration(nn.Module):
    """The learned parts: an alignment of channels and resolution, and two 3x3 convolutions that fill in what is masked.

    Source: Yang et al. 2022, arXiv:2205.01529, section 3.2: positions are masked, with ratio 0.15 for classification,
    0.75 for segmentation, 0.65 or 0.45 for detection.

    Args:
        aligned: maps the student's features to the teacher's shape.
        teacher_shape: (channels, height, width), without the batch.
        masked: share of the positions that are masked, 0 to 1.
    """

    def __init__(self, aligned: nn.Module, teacher_shape: Sequence[int], *, masked: float = 0.15) -> None:
        super().__init__()
        channels = teacher_shape[0]
        self.aligned, self.masked = aligned, masked
        self.generation = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1)
        )

    def forward(self, student_features: Tensor) -> Tensor:
        """Map the student's features to the teacher's shape; the mask is new each time."""
        features = self.aligned(student_features)
        draw = torch.rand(len(features), 1, *features.shape[2:], dtype=features.dtype, device=features.device)
        return self.generation(features * (draw >= self.masked))  # type: ignore[no-any-return]  # nn.Module is untyped
