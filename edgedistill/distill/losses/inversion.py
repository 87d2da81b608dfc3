"""Losses that lead images towards a teacher's training data, seen through its BatchNorm layers (DeepInversion)."""

from __future__ import annotations

import torch

from edgedistill.errors import ShapeError

MAP_AXES = 4
"""Axes of a batch of maps: batch, channels, height, width."""


def statistics_loss(features: torch.Tensor, running_mean: torch.Tensor, running_var: torch.Tensor) -> torch.Tensor:
    """Return how far a batch's statistics are from those that a BatchNorm layer has kept.

    ‖mean(features) - running_mean‖₂ + ‖var(features) - running_var‖₂, mean and variance per channel over the batch and
    all positions.

    Source: Yin et al. 2020, arXiv:1912.08795, equation 4, for one layer.

    Args:
        features: (batch, channels, ...), floating point: the layer's input; at least 2 values per channel.
        running_mean: (channels,), of the layer; no gradient flows into it.
        running_var: (channels,), the same; the variance with N - 1 in the denominator, as BatchNorm keeps it.

    Returns:
        Scalar, 0 exactly when the statistics are equal. At 0 the gradient is 0.

    Raises:
        ShapeError: the channels differ, or there is one value per channel.
    """
    if features.ndim < 2 or features.shape[1:2] != running_mean.shape or running_mean.shape != running_var.shape:  # noqa: PLR2004 - batch and channels
        raise ShapeError(
            "statistics loss",
            found=f"features {tuple(features.shape)}, mean {tuple(running_mean.shape)}, var {tuple(running_var.shape)}",
            wanted="(batch, channels, ...), (channels,) and (channels,)",
        )
    rows = features.transpose(0, 1).flatten(1)
    if rows.shape[1] < 2:  # noqa: PLR2004 - one value has no variance
        raise ShapeError("statistics loss", found="one value per channel", wanted="at least 2")
    mean_gap: torch.Tensor = torch.linalg.vector_norm(rows.mean(1) - running_mean.detach())
    var_gap: torch.Tensor = torch.linalg.vector_norm(rows.var(1) - running_var.detach())
    return mean_gap + var_gap


def total_variation(images: torch.Tensor) -> torch.Tensor:
    """Return the mean absolute difference of neighbouring pixels, down plus across.

    Source: Mahendran and Vedaldi 2014, arXiv:1412.0035, section 3, with exponent 1 and the mean in place of the sum.

    Args:
        images: (batch, channels, height, width), floating point; height and width at least 2.

    Returns:
        Scalar in the unit of a pixel; 0 exactly for images of one colour each.

    Raises:
        ShapeError: the shape is another.
    """
    if images.ndim != MAP_AXES or min(images.shape[2:]) < 2:  # noqa: PLR2004 - a pair of neighbours
        raise ShapeError(
            "total variation",
            found=f"{tuple(images.shape)}",
            wanted="(batch, channels, height, width) of at least 2 x 2 pixels",
        )
    down = (images[:, :, 1:] - images[:, :, :-1]).abs().mean()
    return down + (images[..., 1:] - images[..., :-1]).abs().mean()


def squared_norm(inputs: torch.Tensor) -> torch.Tensor:
    """Return the mean square of all inputs: ‖x‖₂² divided by the number of values.

    Source: Yin et al. 2020, arXiv:1912.08795, equation 3, the l2 term of the image prior, as a mean square.

    Args:
        inputs: (batch, ...), floating point, as the teacher sees them.

    Returns:
        Scalar; 0 exactly for zeros.
    """
    return inputs.square().mean()
