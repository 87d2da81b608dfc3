"""Batch normalisation over the whole batch, where every process has only its share of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from edgedistill.distill.parallel.group import Group


class Moments(NamedTuple):
    """Mean and variance of each channel over the whole batch, (channels,), and the values per channel."""

    mean: Tensor
    variance: Tensor
    values: int


def whole_moments(own: Tensor, group: Group) -> Moments:
    """Return the moments of the values that all processes have, from each one's own, merged without cancellation.

    Source: Chan, Golub, LeVeque 1983, "Algorithms for Computing the Sample Variance", equations 2.1.

    Args:
        own: (rows, channels, ...), this process's share.
        group: whose shares they are.
    """
    axes = _axes(own)
    variance, mean = torch.var_mean(own, axes, correction=0)
    count = own.numel() // own.shape[1]
    told = torch.cat([mean.double(), variance.double(), mean.new_tensor([count]).double()])
    everyones = group.rows_of_all(told[None], group.count)
    channels = len(mean)
    means, variances, counts = everyones[:, :channels], everyones[:, channels:-1], everyones[:, -1:]
    whole = counts.sum()
    merged = (means * counts).sum(0) / whole
    spread = (counts * (variances + (means - merged).square())).sum(0) / whole
    return Moments(merged.to(own.dtype), spread.to(own.dtype), int(whole))


class _Normalised(torch.autograd.Function):
    """Values less their channel's mean, divided by its deviation; the gradient goes through both, over all rows.

    Source: Ioffe and Szegedy 2015, arXiv:1502.03167, section 3, algorithm 1 and the gradients below it.
    """

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, own: Tensor, moments: Moments, eps: float, group: Group
    ) -> Tensor:
        scale = torch.rsqrt(moments.variance + eps)
        normalised = (own - _wide(moments.mean, own)) * _wide(scale, own)
        ctx.save_for_backward(normalised, scale)
        ctx.group, ctx.count = group, moments.values  # type: ignore[attr-defined] # torch's place for what is no tensor
        return normalised

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = gradients
        normalised, scale = ctx.saved_tensors  # type: ignore[attr-defined] # as above
        axes = _axes(normalised)
        sums = torch.stack([gradient.sum(axes), (gradient * normalised).sum(axes)])
        ctx.group.add(sums)  # type: ignore[attr-defined] # as above
        along, across = (_wide(part / ctx.count, normalised) for part in sums)  # type: ignore[attr-defined] # as above
        return (gradient - along - normalised * across) * _wide(scale, normalised), None, None, None


def batch_norm(
    own: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    *,
    momentum: float,
    eps: float,
    group: Group,
) -> Tensor:
    """Return this process's share of what `functional.batch_norm`, training, gives of the whole batch.

    Running statistics are updated as there, in every process by the same bits.

    Args:
        own: (rows, channels, ...): the share.
        running_mean: (channels,), or none.
        running_var: as `running_mean`; moves by the unbiased variance.
        weight: (channels,), or none.
        bias: as `weight`.
        momentum: share of the new statistics, 0 to 1.
        eps: added to the variance, above 0.
        group: whose shares make the batch.
    """
    with torch.no_grad():
        moments = whole_moments(own, group)
        if running_mean is not None:
            running_mean.lerp_(moments.mean.to(running_mean.dtype), momentum)
        if running_var is not None:
            unbiased = moments.variance * (moments.values / max(1, moments.values - 1))
            running_var.lerp_(unbiased.to(running_var.dtype), momentum)
    normalised: Tensor = _Normalised.apply(own, moments, eps, group)  # type: ignore[no-untyped-call] # torch's
    if weight is not None:
        normalised = normalised * _wide(weight, own)
    return normalised if bias is None else normalised + _wide(bias, own)


class BatchNormOverAll(TorchFunctionMode):
    """While the context lasts, batch normalisation that trains takes its statistics from all processes' shares.

    Args:
        group: whose shares make the batch.
    """

    def __init__(self, group: Group) -> None:
        super().__init__()
        self._group = group

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Take the place of `functional.batch_norm`; call everything else as it is."""
        del types
        if func is functional.batch_norm:
            return self._functional(*args, **(kwargs or {}))  # type: ignore[arg-type] # as torch's own is called
        return func(*args, **(kwargs or {}))

    def _functional(
        self,
        input: Tensor,  # noqa: A002 - torch's name, by which it may be called
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,  # noqa: FBT001, FBT002 - as above
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        if not training:
            return functional.batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
        return batch_norm(input, running_mean, running_var, weight, bias, momentum=momentum, eps=eps, group=self._group)


def _axes(values: Tensor) -> list[int]:
    """Return all axes but the channels'."""
    return [axis for axis in range(values.ndim) if axis != 1]


def _wide(per_channel: Tensor, like: Tensor) -> Tensor:
    """Return (channels,) as (1, channels, 1, ...)."""
    return per_channel.reshape(1, -1, *[1] * (like.ndim - 2))
