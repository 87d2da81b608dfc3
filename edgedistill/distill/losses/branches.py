"""One for all: each stage of the student is led to class logits by a branch of its own, which learn the teacher's.

For teachers and students of unlike architecture, whose features lie in spaces that can't be compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgedistill.distill.losses.shapes import require_equal_shapes, require_rank
from edgedistill.errors import InputError, ShapeError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAP, TOKENS, VECTOR = 3, 2, 1
LEAST_SIDE = 4


def target_enhanced_loss(
    student_logits: Tensor, teacher_logits: Tensor, targets: Tensor, *, exponent: float = 1.0, temperature: float = 1.0
) -> Tensor:
    """Return -Σ ((p_teacher + target)^exponent - target) · log p_student: the true class counts for more.

    Source: Hao et al. 2023, arXiv:2310.19444, equation 5. Exponent 1 to 1.5 in the paper, temperature and weight 1.

    Args:
        student_logits: (batch, classes), floating point, not normalised: of the student or of a branch.
        teacher_logits: the same shape; no gradient flows into it.
        targets: the same shape: 1 at the true class and 0 elsewhere, shares of classes under mixup, or 0 throughout.
        exponent: at least 1; 1 gives the cross-entropy with the teacher's distribution.
        temperature: T > 0, of both distributions.

    Returns:
        Scalar in nats, mean over the batch.

    Raises:
        ShapeError: the shapes differ, or are not (batch, classes).
        InputError: exponent or temperature is out of range.
    """
    require_rank(student_logits, 2, name="student logits", wanted="(batch, classes)")
    require_equal_shapes(student_logits, teacher_logits, names=("student logits", "teacher logits"))
    require_equal_shapes(student_logits, targets, names=("student logits", "targets"))
    if not (exponent >= 1 and temperature > 0):
        raise InputError(
            "target-enhanced loss",
            found=f"exponent {exponent}, temperature {temperature}",
            wanted="an exponent of at least 1 and a temperature above 0",
        )
    teacher = functional.softmax(teacher_logits.detach() / temperature, 1)
    student = functional.log_softmax(student_logits / temperature, 1)
    return -(((teacher + targets) ** exponent - targets) * student).sum(1).mean()


class Branch(nn.Module):
    """From one stage's features to class logits.

    Source: Hao et al. 2023, arXiv:2310.19444, section 3.3: separable convolutions of stride 2 down to a small map for
    convolutional students, and attention-free pooling of normalised tokens for Transformers.

    Args:
        shape: of one sample's features: a map (channels, height, width), tokens (tokens, width) or a vector (width,).
        classes: number of logits.

    Raises:
        ShapeError: the features are something else.
    """

    def __init__(self, shape: Sequence[int], *, classes: int) -> None:
        super().__init__()
        if len(shape) not in (MAP, TOKENS, VECTOR):
            raise ShapeError("branch", found=f"features {tuple(shape)}", wanted="a map, tokens or a vector")
        layers: list[nn.Module] = []
        width = shape[0] if len(shape) == MAP else shape[-1]
        if len(shape) == MAP:
            side = min(shape[1:])
            while side > LEAST_SIDE:
                layers.append(_separable(width, 2 * width))
                width, side = 2 * width, (side + 1) // 2
            layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        elif len(shape) == TOKENS:
            layers += [nn.LayerNorm(width), MeanOverTokens()]
        self.layers = nn.Sequential(*layers, nn.Linear(width, classes))

    def forward(self, features: Tensor) -> Tensor:
        """Map features (batch, ...) to logits (batch, classes)."""
        return self.layers(features)  # type: ignore[no-any-return]  # nn.Module is untyped


class MeanOverTokens(nn.Module):
    """The mean over the tokens."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (batch, tokens, width) to (batch, width)."""
        return tokens.mean(1)


def one_hot_targets(labels: Tensor, mixed_labels: Tensor, mix: Tensor, *, classes: int) -> Tensor:
    """Return the shares (batch, classes), float32, of the classes; 0 throughout where a label is below 0: unknown."""
    shares = torch.zeros(len(labels), classes)
    known = (labels >= 0) & (mixed_labels >= 0)
    rows = torch.arange(len(labels))[known]
    shares[rows, labels[known]] += 1 - mix[known]
    shares[rows, mixed_labels[known]] += mix[known]
    return shares


def _separable(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, 2, 1, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )
