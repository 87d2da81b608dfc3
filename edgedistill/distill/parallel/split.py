"""One batch over several processes: each runs the model on its share, and the loss sees the whole.

Every process gathers all outputs and computes the same loss of the whole batch, so that a loss that compares
samples with each other, counts labels or divides by them is what it is in one process. The gradient goes back
through each one's own rows; the sum over the processes is the whole gradient.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from edgedistill.distill.parallel.batch_norm import BatchNormOverAll
from edgedistill.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import nn

    from edgedistill.data.transfer_set import Batch
    from edgedistill.distill.parallel.group import Group


class _Gathered(torch.autograd.Function):
    """The rows of all processes; the gradient of the others' rows is theirs to follow."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, own: Tensor, group: Group, rows: int) -> Tensor:
        ctx.share = group.share(rows)  # type: ignore[attr-defined] # torch's place for what is no tensor
        return group.rows_of_all(own, rows)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0][ctx.share], None, None  # type: ignore[attr-defined] # as above


class _Everyones(torch.autograd.Function):
    """Rows that every process computes: each takes its part of the gradient, and their sum is whole."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, rows: Tensor, count: int) -> Tensor:
        ctx.count = count  # type: ignore[attr-defined] # as above
        return rows.view_as(rows)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] / ctx.count, None  # type: ignore[attr-defined] # as above


@contextmanager
def split(model: nn.Module, group: Group, *, rows: int, seed: int) -> Iterator[None]:
    """While the context lasts, the model takes its process's share of a batch and gives the whole batch's outputs.

    So do the forward hooks of its layers. Batch normalisation takes its statistics from the whole batch. What is
    random in the model is of this process alone; what is random in the loss is the same in every process.

    Args:
        model: maps (share, ...) to tensors whose first axis is the batch.
        group: whose shares make the batch; with one process nothing is changed.
        rows: of the whole batch.
        seed: of what is random in the model, another one in each process.

    Raises:
        ModelError: an output's first axis is not the batch, or a hook changes a layer's output.
    """
    if group.count == 1:
        yield
        return
    own_forward = model.forward

    def forward(*args: object, **kwargs: object) -> object:
        norms = nullcontext() if rows < group.count else BatchNormOverAll(group)
        with _random_by(seed), _whole_in_hooks(model, group, rows), norms:
            outputs = own_forward(*args, **kwargs)
        return _whole(outputs, group, rows, of="the model")

    model.forward = forward  # the instance's, which torch calls: modules, paths and state stay as they are
    try:
        yield
    finally:
        del model.forward


def whole_batch(batch: Batch, group: Group, *, rows: int) -> Batch:
    """Return a share of a batch with the labels of the whole batch; its inputs stay the share's."""
    if group.count == 1:
        return batch
    labels, mixed_labels, mix = (
        group.rows_of_all(torch.from_numpy(own), rows).numpy() for own in (batch.labels, batch.mixed_labels, batch.mix)
    )
    return replace(batch, labels=labels, mixed_labels=mixed_labels, mix=mix)


def sum_gradients(model: nn.Module, extra: nn.Module, group: Group, *, task: Mapping[Tensor, Tensor]) -> None:
    """Give every process the gradients of the whole batch.

    Args:
        model: ran on each process's share, so its gradients are parts of a sum.
        extra: ran on the whole batch in every process; the mean keeps them equal where machines round differently.
        group: the processes.
        task: parts of the gradients, by parameter, that the optimizer wants to know apart.
    """
    if group.count == 1:
        return
    for module, divisor in ((model, 1), (extra, group.count)):
        gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
        gradients += [task[parameter] for parameter in module.parameters() if parameter in task]
        for dtype in dict.fromkeys(gradient.dtype for gradient in gradients):
            _sum([gradient for gradient in gradients if gradient.dtype is dtype], group, divisor)


def _sum(gradients: list[Tensor], group: Group, divisor: int) -> None:
    together = torch.cat([gradient.reshape(-1) for gradient in gradients])
    group.add(together)
    together /= divisor
    start = 0
    for gradient in gradients:
        gradient.copy_(together[start : start + gradient.numel()].view_as(gradient))
        start += gradient.numel()


def _whole(outputs: object, group: Group, rows: int, *, of: str) -> object:
    """Return a tensor, or what holds tensors, with the rows of all processes."""
    share = group.share(rows)

    def gathered(own: Tensor) -> Tensor:
        if own.ndim == 0 or len(own) != share.stop - share.start:
            raise ModelError(
                f"output of {of}",
                found=f"a tensor of shape {tuple(own.shape)} for {share.stop - share.start} samples",
                wanted="the samples on its first axis, to put the shares of several processes together",
                fix="train with one process, or change the model",
            )
        whole: Tensor = (
            _Everyones.apply(own, group.count)  # type: ignore[no-untyped-call] # torch's
            if rows < group.count
            else _Gathered.apply(own, group, rows)  # type: ignore[no-untyped-call] # torch's
        )
        return whole

    return tree_map_only(Tensor, gathered, outputs)


@contextmanager
def _whole_in_hooks(model: nn.Module, group: Group, rows: int) -> Iterator[None]:
    """Show whole batches to the forward hooks that look into the model; the model goes on with its share."""
    handles = []
    for path, layer in model.named_modules():
        if layer is not model and layer._forward_hooks:  # noqa: SLF001 - torch 2.13 has no public way to ask
            kept: list[object] = []
            first = partial(_show_whole, group=group, rows=rows, path=path, kept=kept)
            handles.append(layer.register_forward_hook(first, prepend=True))
            handles.append(layer.register_forward_hook(partial(_go_on, path=path, kept=kept)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _show_whole(
    _layer: nn.Module, _inputs: object, output: object, *, group: Group, rows: int, path: str, kept: list[object]
) -> object:
    shown = _whole(output, group, rows, of=f"layer '{path}'")
    kept[:] = output, shown
    return shown


def _go_on(_layer: nn.Module, _inputs: object, output: object, *, path: str, kept: list[object]) -> object:
    own, shown = kept
    if output is not shown:
        raise ModelError(
            f"layer '{path}'",
            found="a forward hook changes its output",
            wanted="hooks that only look, where several processes train",
        )
    return own


@contextmanager
def _random_by(seed: int) -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
