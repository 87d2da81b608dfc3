from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from edgedistill.distill.batch_norms import norm_inputs


class CallsTheFunction(nn.Module):
    """Normalises by the function, with all arguments named."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.ones(2))
        self.register_buffer("var", torch.full((2,), 3.0))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return functional.batch_norm(input=inputs, running_var=self.var, running_mean=self.mean)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.BatchNorm2d(2)).eval()


def test_modules_in_order_with_a_gradient() -> None:
    model, inputs = network(), torch.randn(4, 1, 5, 5, requires_grad=True)
    outputs, norms = norm_inputs(model, inputs)
    torch.testing.assert_close(outputs, model(inputs))
    assert [tuple(norm.features.shape) for norm in norms] == [(4, 2, 3, 3)] * 2
    assert norms[0].running_var is model[1].running_var
    assert norms[1].features.grad_fn is not None


def test_an_exported_graph_gives_the_same() -> None:
    model, inputs = network(), torch.randn(4, 1, 5, 5)
    exported = torch.export.export(model, (inputs,), dynamic_shapes=({0: torch.export.Dim("n", min=2)},))
    for ours, theirs in zip(norm_inputs(model, inputs)[1], norm_inputs(exported.module(), inputs)[1], strict=True):
        assert torch.equal(ours.features, theirs.features)
        assert torch.equal(ours.running_mean, theirs.running_mean)
        assert torch.equal(ours.running_var, theirs.running_var)


def test_a_call_of_the_function_counts() -> None:
    (norm,) = norm_inputs(CallsTheFunction(), torch.zeros(3, 2))[1]
    assert norm.running_var.tolist() == [3, 3]
    assert norm.running_mean.tolist() == [1, 1]


def test_what_keeps_no_statistics_does_not_count() -> None:
    model = nn.Sequential(nn.LayerNorm(4), nn.BatchNorm1d(4, track_running_stats=False))
    assert norm_inputs(model, torch.randn(3, 4))[1] == []
