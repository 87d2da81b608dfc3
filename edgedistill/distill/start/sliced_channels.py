"""A narrower student that starts with its teacher's most important channels: structured pruning as a first guess.

Sources: Li et al. 2016, arXiv:1608.08710 (L1 norm of a filter); Liu et al. 2017, arXiv:1708.06519 (scale of the batch
norm); Molchanov et al. 2019, arXiv:1906.10771, equation 8 (Taylor expansion of the loss); channels that a residual
addition joins are ranked together, as in Fang et al. 2023, arXiv:2301.12900, section 3.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from edgedistill.distill.modes import evaluating
from edgedistill.distill.start.channel_groups import Segment, channel_groups
from edgedistill.distill.start.record import StartRecord
from edgedistill.errors import ModelError
from edgedistill.recipe import Importance

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor, nn

    from edgedistill.data.transfer_set import TransferSet
    from edgedistill.distill.start.channel_groups import Axis, ChannelGroups

GRADIENT_SAMPLES = 256


@torch.no_grad()
def slice_channels(
    student: nn.Module,
    teacher: nn.Module,
    example: Tensor,
    *,
    importance: Importance = Importance.L1,
    gradients: Mapping[str, Tensor] | None = None,
) -> StartRecord:
    """Give a student, in place, the most important channels of the teacher's like-named layers.

    Weights, biases and the batch norms' statistics of the chosen channels are copied. Where a residual addition or a
    depthwise convolution joins layers, they all keep the same channels. Layers are matched by name; those that the
    teacher has not, or has with other kernels, stay as they are, and so does the teacher.

    Args:
        student: at most as wide as the teacher in every layer that both have.
        teacher: see `channel_groups` for what it may be made of.
        example: (batch, channels, ...), what both take, batch at least 2.
        importance: by which a group's channels are ranked.
        gradients: of the loss by the teacher's parameters, for `Importance.TAYLOR`; see `loss_gradients`.

    Returns:
        What was copied.

    Raises:
        ModelError: the channels of the teacher cannot be followed, the student is wider, or no layer has the same name.
    """
    groups = channel_groups(teacher, example)
    state, own = teacher.state_dict(), student.state_dict()
    kept = _kept(groups, state, own, _scores(groups, state, importance, gradients or {}))
    copied, random = 0, []
    for name, tensor in own.items():
        cut = None if name not in state else _cut(state[name], groups.axes.get(name, {}), groups, kept)
        if cut is None or cut.shape != tensor.shape:
            random.append(name)
            continue
        tensor.copy_(cut)
        copied += tensor.numel()
    if not copied:
        raise ModelError("start of the student", found="no layer of the teacher has the name and kernel of one of its")
    chosen = [(len(kept[group]), groups.sizes[group]) for group in sorted(kept) if group not in groups.fixed]
    counts = dict.fromkeys(f"{some} of {every}" for some, every in chosen)
    how = f"channels {', '.join(counts)} by {importance}"
    return StartRecord(copied, sum(tensor.numel() for tensor in own.values()), tuple(random), how)


def loss_gradients(teacher: nn.Module, transfer_set: TransferSet) -> dict[str, Tensor]:
    """Return the gradients of the teacher's cross-entropy on the first samples, by parameter.

    Where a label is not known, the teacher's own answer stands for it. The teacher is left as it was.
    """
    batch = transfer_set.plain(range(min(GRADIENT_SAMPLES, len(transfer_set))))
    parameters = {name: parameter.detach().requires_grad_() for name, parameter in teacher.named_parameters()}
    with evaluating(teacher), torch.enable_grad():
        logits = torch.func.functional_call(teacher, parameters, torch.from_numpy(batch.inputs))
        labels = torch.from_numpy(batch.labels)
        wanted = torch.where(labels >= 0, labels, logits.argmax(1))
        found = torch.autograd.grad(functional.cross_entropy(logits, wanted), list(parameters.values()))
    return dict(zip(parameters, found, strict=True))


def _scores(
    groups: ChannelGroups, state: Mapping[str, Tensor], importance: Importance, gradients: Mapping[str, Tensor]
) -> dict[int, Tensor]:
    """Return the importance of each group's channels: of each tensor that makes them, relative to its own mean."""
    scores: dict[int, Tensor] = {}
    measure = _measure(importance, gradients)
    # where there is no batch norm to ask, the weights are
    for norms_alone in (True, False) if importance is Importance.BN_GAMMA else (False,):
        seen = set(scores)
        for name, axes in groups.axes.items():
            axis = axes.get(0, ())
            makes = len(axis) == 1 and axis[0].repeat == 1 and (state[name].ndim > 1 or name in groups.norms)
            if not makes or (norms_alone and name not in groups.norms) or groups.root(axis[0].group) in seen:
                continue
            group = groups.root(axis[0].group)
            found = measure(name, state[name].double())
            share = found / found.mean().clamp(min=torch.finfo(torch.float64).tiny)
            scores[group] = scores.get(group, torch.zeros_like(share)) + share
    return scores


def _measure(importance: Importance, gradients: Mapping[str, Tensor]) -> Callable[[str, Tensor], Tensor]:
    if importance is Importance.TAYLOR:
        return lambda name, weight: (weight * gradients[name].double()).reshape(len(weight), -1).sum(1).square()
    return lambda _name, weight: weight.abs().reshape(len(weight), -1).sum(1)


def _kept(
    groups: ChannelGroups, state: Mapping[str, Tensor], own: Mapping[str, Tensor], scores: Mapping[int, Tensor]
) -> dict[int, Tensor]:
    """Return the channels of each group that the student keeps, ascending."""
    wanted: dict[int, tuple[int, str]] = {}
    for name, axes in groups.axes.items():
        if name not in own or own[name].ndim != state[name].ndim:
            continue
        for place, axis in axes.items():
            if len(axis) != 1:
                continue
            group = groups.root(axis[0].group)
            size = own[name].shape[place] // axis[0].repeat
            known = wanted.setdefault(group, (size, name))
            if known[0] != size:
                raise ModelError(
                    f"start of the student: '{name}'",
                    found=f"{size} channels, and '{known[1]}' has {known[0]}; the teacher joins them",
                    wanted="as many in both",
                )
    return {group: _best(group, size, name, groups, scores) for group, (size, name) in wanted.items()}


def _best(group: int, size: int, name: str, groups: ChannelGroups, scores: Mapping[int, Tensor]) -> Tensor:
    whole = groups.sizes[group]
    if size == whole:
        return torch.arange(whole)
    if size > whole or group in groups.fixed or group not in scores:
        raise ModelError(
            f"start of the student: '{name}'",
            found=f"{size} channels",
            wanted=f"{whole}, as the teacher's" if size < whole else f"at most {whole}, as the teacher's",
            fix="use a teacher that is as wide, or start at random",
        )
    return scores[group].argsort(descending=True, stable=True)[:size].sort().values


def _cut(tensor: Tensor, axes: Mapping[int, Axis], groups: ChannelGroups, kept: Mapping[int, Tensor]) -> Tensor | None:
    """Return a tensor's part of the channels that are kept; None where one of its groups is not known."""
    for place, axis in axes.items():
        indices = _indices(axis, groups, kept)
        if indices is None:
            return None
        tensor = tensor.index_select(place, indices)
    return tensor


def _indices(axis: Axis, groups: ChannelGroups, kept: Mapping[int, Tensor]) -> Tensor | None:
    parts, begin = [], 0
    for part in axis:
        group = groups.root(part.group)
        if group not in kept:
            return None
        parts.append(begin + _entries(kept[group], part))
        begin += groups.sizes[group] * part.repeat
    return torch.cat(parts)


def _entries(channels: Tensor, part: Segment) -> Tensor:
    return (channels[:, None] * part.repeat + torch.arange(part.repeat)).flatten()
