"""The teacher's last layer on the student: SimKD changes the student for good, and its file holds what that adds."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from edgedistill.distill.features import layer_named, tapped
from edgedistill.distill.layer_paths import INPUT
from edgedistill.distill.modes import evaluating
from edgedistill.distill.pairing import layout_of
from edgedistill.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedistill.distill.layer_choice import Both
    from edgedistill.distill.methods.base import LayerPair

NARROWING = 2
"""The middle of the projector has the teacher's channels divided by this; the paper's factor."""
MAP = 4


class Projected(nn.Module):
    """A stage of the student, and the projector that brings its channels to the teacher's; both run at inference.

    Source: Chen et al. 2022, arXiv:2203.14001, section 3.2 and figure 3: 1x1, 3x3 and 1x1 convolutions.

    Args:
        stage: the student's own.
        inputs: its channels.
        outputs: the teacher's channels.
    """

    def __init__(self, stage: nn.Module, inputs: int, outputs: int) -> None:
        super().__init__()
        middle = max(1, outputs // NARROWING)
        self.stage = stage
        self.projector = nn.Sequential(
            *_conv_norm(inputs, middle, kernel=1),
            *_conv_norm(middle, middle, kernel=3),
            *_conv_norm(middle, outputs, kernel=1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map what the stage takes to (batch, outputs, height, width)."""
        return self.projector(self.stage(features))  # type: ignore[no-any-return]  # nn.Module is untyped


def with_teachers_head(both: Both, pair: LayerPair) -> nn.Module:
    """Return the student, changed in place: a projector behind its last stage, and a frozen copy of the teacher's head.

    Source: Chen et al. 2022, arXiv:2203.14001, section 3.2.

    Args:
        both: student and teacher, and samples to see on that both go from that stage through an average into the head.
        pair: the last stage of each.

    Raises:
        ModelError: one of them does something else between its last stage and its last layer.
    """
    heads = {}
    for role, model, inputs, path in (
        ("student", both.student, both.student_inputs, pair.student),
        ("teacher", both.teacher, both.teacher_inputs, pair.teacher),
    ):
        found = layout_of(model, inputs, role=role).heads
        heads[role] = found[-1] if found else ""
        _require_average(model, inputs, (path, heads[role]), role=role)
    own, its = (
        layer_named(model, heads[role], role=role)
        for role, model in (("student", both.student), ("teacher", both.teacher))
    )
    stage = layer_named(both.student, pair.student, role="student")
    widths = [int(head.weight.shape[1]) for head in (own, its) if isinstance(head, nn.Linear)]
    head = copy.deepcopy(its).requires_grad_(requires_grad=False)
    _replace(both.student, pair.student, Projected(stage, *widths))
    _replace(both.student, heads["student"], head)
    return both.student


@torch.no_grad()
def _require_average(model: nn.Module, inputs: Tensor, paths: Sequence[str], *, role: str) -> None:
    """Check, on samples, that the head is given the average of the stage's map."""
    stage, head = paths
    if head:
        with evaluating(model), tapped(model, (stage, head + INPUT), role=role) as taps:
            model(inputs)
        features, into = taps[stage], taps[head + INPUT]
        if features.ndim == MAP and into.shape == features.shape[:2]:
            scale = float(into.abs().amax()) + 1
            if float((features.mean((2, 3)) - into).abs().amax()) <= 1e-4 * scale:
                return
    raise ModelError(
        f"{role} for 'simkd'",
        found=f"layer '{stage}' does not go through an average over positions into the last linear layer",
        wanted="a network that does nothing else between its last stage and its head",
        fix="name the last stage of each as `teacher` and `student`, or choose another method",
    )


def _replace(model: nn.Module, path: str, layer: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, layer)


def _conv_norm(inputs: int, outputs: int, *, kernel: int) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]
