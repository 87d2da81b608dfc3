"""A shallower student that starts with some of its teacher's layers.

Source: Sanh et al. 2019, arXiv:1910.01108, section 3 (one layer out of two).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from edgedistill.distill.features import layer_named
from edgedistill.distill.start.record import StartRecord
from edgedistill.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor


@torch.no_grad()
def copy_layers(
    student: nn.Module,
    teacher: nn.Module,
    layers: Sequence[int],
    *,
    student_path: str | None = None,
    teacher_path: str | None = None,
) -> StartRecord:
    """Give a student, in place, some layers of its teacher, and all else that has the same name and shape.

    Layer i of the student's list of layers gets layer `layers[i]` of the teacher's. Outside the lists (embeddings,
    positions, last norm, head), tensors of the same name, behind the path that leads to the list, and of the same
    shape are copied too.

    Args:
        student: with as many layers as `layers` names, each of the teacher's shapes.
        teacher: left as it is.
        layers: of the teacher, from 0; the order is the student's.
        student_path: of the student's list of layers; none takes its longest `nn.ModuleList` or `nn.Sequential`.
        teacher_path: likewise.

    Returns:
        What was copied.

    Raises:
        ModelError: there is no such list or layer, or the layers have other tensors or shapes.
    """
    ours, theirs = _list_path(student, student_path, "student"), _list_path(teacher, teacher_path, "teacher")
    count, available = len(_list(student, ours, "student")), len(_list(teacher, theirs, "teacher"))
    if len(layers) != count:
        raise ModelError(
            "'student.start.layers'", found=f"{len(layers)} layers", wanted=f"{count}, as '{ours}' of the student has"
        )
    beyond = [layer for layer in layers if layer >= available]
    if beyond:
        raise ModelError(
            f"'student.start.layers': {beyond[0]}", found=f"'{theirs}' of the teacher has {available} layers, from 0"
        )
    own, state = student.state_dict(), teacher.state_dict()
    copied: dict[str, Tensor] = {}
    for place, layer in enumerate(layers):
        copied |= _layer(own, state, ours=f"{ours}.{place}.", theirs=f"{theirs}.{layer}.")
    copied |= _others(own, state, ours=ours, theirs=theirs)
    for name, tensor in copied.items():
        own[name].copy_(tensor)
    return StartRecord(
        copied=sum(tensor.numel() for tensor in copied.values()),
        total=sum(tensor.numel() for tensor in own.values()),
        random=tuple(name for name in own if name not in copied),
        how=f"layers {', '.join(map(str, layers))} of {available}",
    )


def _list_path(model: nn.Module, path: str | None, role: str) -> str:
    if path is not None:
        return path
    lists: dict[str, int] = {
        name: len(module)
        for name, module in model.named_modules()
        if name and isinstance(module, (nn.ModuleList, nn.Sequential)) and _has_layers(module)
    }
    if not lists:
        raise ModelError(f"start of the student: the {role}", found="no list of layers", fix="start at random")
    return max(lists, key=lists.__getitem__)


def _has_layers(module: nn.ModuleList | nn.Sequential) -> bool:
    """Say whether all parts of a list are of one kind and made of parts themselves."""
    kinds = {type(part) for part in module}
    return len(kinds) == 1 and all(any(True for _ in part.children()) for part in module)


def _list(model: nn.Module, path: str, role: str) -> nn.ModuleList | nn.Sequential:
    found = layer_named(model, path, role=role)
    if not isinstance(found, (nn.ModuleList, nn.Sequential)):
        raise ModelError(f"'{path}' of the {role}", found=f"a {type(found).__name__}", wanted="a list of layers")
    return found


def _layer(own: Mapping[str, Tensor], state: Mapping[str, Tensor], *, ours: str, theirs: str) -> dict[str, Tensor]:
    """Return the tensors of one layer of the student, taken from one of the teacher's."""
    wanted = {name: tensor for name, tensor in own.items() if name.startswith(ours)}
    copied = {name: state.get(theirs + name.removeprefix(ours)) for name in wanted}
    found = {name: tensor for name, tensor in copied.items() if tensor is not None}
    for name, tensor in wanted.items():
        if name not in found or found[name].shape != tensor.shape:
            has = f"shape {tuple(found[name].shape)}" if name in found else "no such tensor"
            raise ModelError(
                f"start of the student: '{name}'",
                found=f"the teacher's '{theirs}{name.removeprefix(ours)}' has {has}",
                wanted=f"shape {tuple(tensor.shape)}",
                fix="copying layers needs a student with the teacher's layers and width",
            )
    return found


def _others(own: Mapping[str, Tensor], state: Mapping[str, Tensor], *, ours: str, theirs: str) -> dict[str, Tensor]:
    """Return what lies outside the lists and has the same name and shape, where the paths to the lists are taken off.

    With lists `encoder.layer` and `bert.encoder.layer`, `embeddings.weight` is taken from `bert.embeddings.weight`.
    """
    renamed = _renamer(ours, theirs)
    found = {}
    for name, tensor in own.items():
        if name.startswith(f"{ours}."):
            continue
        candidate = next((state[other] for other in (renamed(name), name) if other in state), None)
        if candidate is not None and candidate.shape == tensor.shape:
            found[name] = candidate
    return found


def _renamer(ours: str, theirs: str) -> Callable[[str], str]:
    """Return what turns a student's name into the teacher's, by what differs at the head of the lists' paths."""
    left, right = ours.split("."), theirs.split(".")
    while left and right and left[-1] == right[-1]:
        left, right = left[:-1], right[:-1]
    head, new = ".".join([*left, ""]), ".".join([*right, ""])
    return lambda name: new + name.removeprefix(head) if name.startswith(head) else name
