from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from thread_group import in_threads
from torch import nn

from edgedistill.distill.parallel.batch_norm import BatchNormOverAll, whole_moments

if TYPE_CHECKING:
    from torch import Tensor

    from edgedistill.distill.parallel.group import Group

EXACT = {"rtol": 1e-12, "atol": 1e-12}


def norm_of(dimensions: int, *, momentum: float | None, affine: bool, tracked: bool) -> nn.Module:
    kind = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[max(0, dimensions - 1)]
    norm = kind(3, momentum=momentum, affine=affine, track_running_stats=tracked).double()
    if affine:
        with torch.no_grad():
            norm.weight.copy_(torch.tensor([0.5, -1.0, 2.0]))
            norm.bias.copy_(torch.tensor([0.1, 0.2, 0.3]))
    return norm


@settings(max_examples=20, deadline=None)
@given(
    rows=st.integers(3, 11),
    count=st.integers(2, 3),
    dimensions=st.integers(0, 3),
    momentum=st.sampled_from([0.1, 0.0, 1.0, None]),
    affine=st.booleans(),
    tracked=st.booleans(),
)
def test_shares_are_normalised_as_the_whole_batch_is(
    *, rows: int, count: int, dimensions: int, momentum: float | None, affine: bool, tracked: bool
) -> None:
    generator = torch.Generator().manual_seed(rows)
    shape = (rows, 3, *(2, 3, 2)[:dimensions])
    values = torch.randn(shape, generator=generator, dtype=torch.float64) * 3 + 100  # a mean that hides the variance
    weights = torch.randn(shape, generator=generator, dtype=torch.float64)

    def run(group: Group | None) -> tuple[Tensor, Tensor, list[Tensor], list[Tensor]]:
        norm = norm_of(dimensions, momentum=momentum, affine=affine, tracked=tracked)
        share = slice(None) if group is None else group.share(rows)
        own = values[share].clone().requires_grad_()
        if group is None:
            normalised = norm(own)
        else:
            with BatchNormOverAll(group):
                normalised = norm(own)
        (normalised * weights[share]).square().sum().backward()
        gradients = [parameter.grad for parameter in norm.parameters() if parameter.grad is not None]
        for gradient in gradients if group else ():
            group.add(gradient)
        assert own.grad is not None
        return normalised.detach(), own.grad, gradients, list(norm.buffers())

    whole = run(None)
    parts = in_threads(count, run)
    torch.testing.assert_close(torch.cat([part[0] for part in parts]), whole[0], **EXACT)
    torch.testing.assert_close(torch.cat([part[1] for part in parts]), whole[1], rtol=1e-9, atol=1e-9)
    for part in parts:
        torch.testing.assert_close(part[2], whole[2], rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(part[3], whole[3], **EXACT)


def test_every_process_keeps_the_same_bits() -> None:
    values = torch.randn(7, 3, 4)

    def run(group: Group) -> tuple[Tensor, Tensor]:
        moments = whole_moments(values[group.share(7)], group)
        return moments.mean, moments.variance

    (mean, variance), *others = in_threads(3, run)
    assert all(torch.equal(mean, other[0]) and torch.equal(variance, other[1]) for other in others)
    torch.testing.assert_close(mean, values.mean((0, 2)))
    torch.testing.assert_close(variance, values.var((0, 2), correction=0))


def test_a_frozen_norm_and_every_other_function_stay_what_they_are() -> None:
    norm = norm_of(2, momentum=0.1, affine=True, tracked=True).eval()
    values = torch.randn(4, 3, 2, 2, dtype=torch.float64)

    def run(group: Group) -> Tensor:
        with BatchNormOverAll(group):
            return torch.relu(norm(values[group.share(4)]))

    assert torch.equal(torch.cat(in_threads(2, run)), torch.relu(norm(values)))


def test_the_function_itself_is_taken_over_too() -> None:
    values = torch.randn(4, 3, dtype=torch.float64)

    def run(group: Group) -> Tensor:
        own = values[group.share(4)]
        with BatchNormOverAll(group):
            named = nn.functional.batch_norm(input=own, running_mean=None, running_var=None, training=True, eps=1e-3)
            placed = nn.functional.batch_norm(own, None, None, None, None, True, 0.1, 1e-3)
        assert torch.equal(named, placed)
        return named

    whole = nn.functional.batch_norm(values, None, None, training=True, eps=1e-3)
    torch.testing.assert_close(torch.cat(in_threads(2, run)), whole, **EXACT)
