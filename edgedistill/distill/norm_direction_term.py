"""The term of `kd++`: projects the student's embedding to the teacher's width, and knows the teacher's class means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from edgedistill.distill.losses.norm_direction import norm_direction_loss
from edgedistill.distill.taught import pooled, pooled_width
from edgedistill.errors import RecipeError

if TYPE_CHECKING:
    from edgedistill.distill.methods.base import Probed, TermInputs


class NormDirectionTerm(nn.Module):
    """Norm and direction of the embedding; maps and tokens are averaged over their positions first.

    Args:
        probed: with one pair of layers.

    Raises:
        RecipeError: there are several pairs of layers.
    """

    class_means: Tensor

    def __init__(self, probed: Probed) -> None:
        super().__init__()
        if len(probed.pairs) != 1:
            wanted = "one, the layer before the logits of each"
            raise RecipeError("loss 'kd++'", found=f"{len(probed.pairs)} pairs of layers", wanted=wanted)
        (pair,), (student,), (teacher,) = probed.pairs, probed.student_shapes, probed.teacher_shapes
        # as in the authors' code: a student of another width gets a linear layer and a norm
        self.project: nn.Module = nn.Identity()
        own, wanted_width = pooled_width(student), pooled_width(teacher)
        if own != wanted_width:
            self.project = nn.Sequential(nn.Linear(own, wanted_width), nn.BatchNorm1d(wanted_width))
        self.register_buffer("class_means", probed.teacher.class_means(pair.teacher))

    def forward(self, inputs: TermInputs) -> Tensor:
        """Return the loss."""
        student = self.project(pooled(inputs.student_features[0]))
        teacher = pooled(inputs.teacher_features[0])
        return norm_direction_loss(student, teacher, self.class_means, inputs.targets)
