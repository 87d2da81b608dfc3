"""A student's starting point, as the recipe says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edgedistill.distill.start.copied_layers import copy_layers
from edgedistill.distill.start.sliced_channels import loss_gradients, slice_channels
from edgedistill.recipe import Importance, StartMethod

if TYPE_CHECKING:
    from torch import nn

    from edgedistill.data.transfer_set import TransferSet
    from edgedistill.distill.start.record import StartRecord
    from edgedistill.recipe import Start


def start_from_teacher(student: nn.Module, teacher: nn.Module, transfer_set: TransferSet, start: Start) -> StartRecord:
    """Give a student, in place, what its recipe says of its teacher; the teacher is left as it was.

    Args:
        student: as it is before training.
        teacher: trained.
        transfer_set: what both are shown.
        start: how.

    Raises:
        ModelError: student and teacher do not fit together in this way.
    """
    if start.method is StartMethod.COPY_LAYERS:
        return copy_layers(
            student, teacher, start.layers, student_path=start.student_layers, teacher_path=start.teacher_layers
        )
    example = torch.from_numpy(transfer_set.plain(range(min(2, len(transfer_set)))).inputs)
    gradients = loss_gradients(teacher, transfer_set) if start.importance is Importance.TAYLOR else None
    return slice_channels(student, teacher, example, importance=start.importance, gradients=gradients)
