"""The copies of a model in several processes: the same at the start, and still the same after each epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edgedistill.errors import InputError, ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from edgedistill.distill.parallel.group import Group

ROUNDING = 1e-3
"""Largest difference, relative to a tensor's largest value, that unlike machines come to in one epoch."""


def require_same(value: str, group: Group, *, of: str) -> None:
    """Check that every process has come to the same.

    Args:
        value: hash of all that determines the work.
        group: the processes.
        of: what is to be done, for the message.

    Raises:
        InputError: one has not.
    """
    values = group.from_all(value)
    for rank, other in enumerate(values):
        if other != values[0]:
            raise InputError(
                of,
                found=f"process {rank} was given something else than process 0",
                wanted="the same recipe, files, packages and number of cores (or `threads` in the recipe) everywhere",
            )


def replicas(model: nn.Module, extra: nn.Module) -> dict[str, Tensor]:
    """Return the tensors that are to be the same in every process: a model's, and those of the objective's modules."""
    own = {f"of the objective: {name}": tensor for name, tensor in extra.state_dict().items()}
    return {**model.state_dict(), **own}


@torch.no_grad()
def same_start(tensors: Mapping[str, Tensor], group: Group) -> None:
    """Replace tensors, in place, by the first process's: other machines may draw other last bits."""
    for tensor in tensors.values() if group.count > 1 else ():
        group.copy_from_first(tensor)


@torch.no_grad()
def stay_same(tensors: Mapping[str, Tensor], group: Group) -> None:
    """Check that the copies are the same up to rounding, and take the first process's.

    Raises:
        ModelError: they are not: the model keeps something that depends on the share of the batch it saw.
    """
    if group.count == 1:
        return
    apart = ""
    for name, tensor in tensors.items():
        own = tensor.clone()
        group.copy_from_first(tensor)
        scale = float(tensor.abs().max()) if tensor.numel() else 0.0
        if float((own.double() - tensor.double()).abs().sum()) > ROUNDING * scale * max(1, tensor.numel()):
            apart = apart or name
    for rank, name in enumerate(group.from_all(apart)):
        if name:
            raise ModelError(
                f"'{name}'",
                found=f"it is another one in process {rank} than in process 0",
                wanted="a model that keeps nothing of the samples it saw but batch normalisation's statistics",
                fix="train with one process, or freeze that part",
            )
