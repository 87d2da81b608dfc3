from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edgedistill.distill.averaging import WeightAverage

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.distill.conftest import SmallNet


def test_average_of_a_weight_by_hand(small_net: Callable[..., SmallNet]) -> None:
    net = small_net().double()
    average = WeightAverage(net, decay=0.25)
    wanted = 0.0
    net.head.bias.data.fill_(0)
    average.tensors["head.bias"].fill_(0)
    for count, value in enumerate([1.0, 5.0, -2.0, 4.0]):
        net.head.bias.data.fill_(value)
        average.update(net, count=count)
        decay = min(0.25, (1 + count) / (10 + count))  # 0.1, 0.1818…, 0.25, 0.25
        wanted = decay * wanted + (1 - decay) * value
    torch.testing.assert_close(
        average.tensors["head.bias"], torch.full((3,), wanted, dtype=torch.float64), rtol=1e-12, atol=0
    )


def test_counters_are_copied_and_buffers_averaged(small_net: Callable[..., SmallNet]) -> None:
    net = small_net()
    average = WeightAverage(net, decay=0.9)
    net.stem[1].num_batches_tracked.fill_(17)
    net.stem[1].running_var.fill_(11)
    average.update(net, count=0)
    assert int(average.tensors["stem.1.num_batches_tracked"]) == 17
    torch.testing.assert_close(average.tensors["stem.1.running_var"], torch.full((4,), 0.1 * 1 + 0.9 * 11))


def test_applied_for_a_while(small_net: Callable[..., SmallNet]) -> None:
    net, other = small_net(), small_net(seed=1)
    own = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    average = WeightAverage(other, decay=0.9)
    with average.applied(net):
        assert torch.equal(net.head.weight, other.head.weight)
    assert all(torch.equal(tensor, own[name]) for name, tensor in net.state_dict().items())
    average.restore(own)
    assert torch.equal(average.tensors["head.weight"], own["head.weight"])
    assert average.tensors["head.weight"] is not own["head.weight"]
