from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from edgedistill.distill.optimizer import optimizer_of, parameter_groups
from edgedistill.recipe import Optimizer, Training

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.distill.conftest import SmallNet


def names(net: nn.Module, parameters: object) -> set[str]:
    identities = {id(parameter) for parameter in parameters}
    return {name for name, parameter in net.named_parameters() if id(parameter) in identities}


def test_only_weights_decay(small_net: Callable[..., SmallNet]) -> None:
    net = small_net()
    decaying, free = parameter_groups([net], weight_decay=0.1)
    assert names(net, decaying["params"]) == {"stem.0.weight", "stages.0.weight", "head.weight"}
    assert names(net, free["params"]) == {
        "stem.0.bias",
        "stem.1.weight",
        "stem.1.bias",
        "stages.0.bias",
        "head.bias",
    }
    assert (decaying["weight_decay"], free["weight_decay"]) == (0.1, 0.0)


def test_norms_of_two_axes_do_not_decay_and_frozen_or_shared_parameters_count_right() -> None:
    norm, first, second = nn.LayerNorm((3, 4)), nn.Linear(4, 4), nn.Linear(4, 4, bias=False)
    second.weight = first.weight
    first.bias.requires_grad_(False)
    decaying, free = parameter_groups([norm, nn.Sequential(first, second)], weight_decay=1)
    assert [id(parameter) for parameter in decaying["params"]] == [id(first.weight)]
    assert {id(parameter) for parameter in free["params"]} == {id(norm.weight), id(norm.bias)}


def test_one_step_of_nesterov_by_hand() -> None:
    layer = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(layer.weight, 2.0)
    optimizer = optimizer_of([layer], Training(learning_rate=0.1, weight_decay=0.5))
    assert optimizer.param_groups[0]["momentum"] == 0.9
    torch.autograd.backward(layer(torch.ones(1, 1, dtype=torch.float64)).sum())
    optimizer.step()
    step = 1.0 + 0.5 * 2.0  # gradient and decay; Nesterov adds 0.9 of the new momentum
    torch.testing.assert_close(
        layer.weight.detach(),
        torch.full((1, 1), 2 - 0.1 * 1.9 * step, dtype=torch.float64),
        rtol=1e-12,
        atol=0,
    )


def test_adamw_by_name(small_net: Callable[..., SmallNet]) -> None:
    optimizer = optimizer_of([small_net()], Training(optimizer=Optimizer.ADAMW, weight_decay=0.3))
    assert isinstance(optimizer, torch.optim.AdamW)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3, 0.0]
