"""Localization distillation: the student's edges of boxes learn how sure the teacher is of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from edgedistill.distill.losses.shapes import require_equal_shapes
from edgedistill.distill.losses.soft_targets import require_temperature
from edgedistill.errors import ShapeError

if TYPE_CHECKING:
    from torch import Tensor

EDGES = 4


def localization_loss(
    student_edges: Tensor, teacher_edges: Tensor, *, temperature: float = 10.0, box_weights: Tensor | None = None
) -> Tensor:
    """Return T² · KL(teacher ‖ student) of the distributions over each edge's position: LD.

    Detectors that learn each edge of a box as a distribution over discrete distances (Li et al. 2020,
    arXiv:2006.04388, section 3.2) can learn the teacher's as they learn classes.
    Source: Zheng et al. 2021, arXiv:2102.12252, section 3.2. The paper has T = 10 and a weight of 0.25 in the main
    region.

    Args:
        student_edges: (boxes, 4, positions), floating point, not normalised: left, top, right, bottom, or any order
            that both share.
        teacher_edges: the same shape; no gradient flows into it.
        temperature: T > 0, no unit.
        box_weights: (boxes,), 0 or greater: how much each box counts, such as 1 in the main region and less around
            it (the paper's valuable localization region); none: all count alike.

    Returns:
        Scalar in nats, mean over boxes (weighted) and their four edges; 0 exactly when the distributions are equal,
        and 0 where there are no boxes or all weights are 0.

    Raises:
        ShapeError: the shapes do not go together.
        InputError: the temperature is not positive.
    """
    if student_edges.ndim != 3 or student_edges.shape[1] != EDGES:  # noqa: PLR2004 - (boxes, 4, positions)
        raise ShapeError("student edges", found=f"shape {tuple(student_edges.shape)}", wanted="(boxes, 4, positions)")
    require_equal_shapes(student_edges, teacher_edges, names=("student edges", "teacher edges"))
    require_temperature(temperature)
    boxes = len(student_edges)
    if box_weights is not None and box_weights.shape != (boxes,):
        raise ShapeError("box weights", found=f"shape {tuple(box_weights.shape)}", wanted=f"({boxes},)")
    student = functional.log_softmax(student_edges / temperature, 2)
    teacher = functional.log_softmax(teacher_edges.detach() / temperature, 2)
    divergence = functional.kl_div(student, teacher, reduction="none", log_target=True).sum(2).mean(1)
    weights = divergence.new_ones(boxes) if box_weights is None else box_weights.detach().to(divergence)
    total = weights.sum()
    shares = weights / total.where(total > 0, torch.ones_like(total))
    return temperature**2 * (shares * divergence).sum()
