from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from edgedistill.distill.features import layer_named, probe_on_data, probe_shapes, tapped
from edgedistill.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.distill.conftest import NoiseSet, SmallNet

    Maker = Callable[..., SmallNet]


def images() -> torch.Tensor:
    return torch.randn(2, 1, 6, 6, generator=torch.Generator().manual_seed(0))


def test_a_layer_is_found_by_its_path(small_net: Maker) -> None:
    net = small_net()
    assert layer_named(net, "stages.0", role="student") is net.stages[0]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("stages.7", "layer 'stages.7': not in the student.*it has: stages.0, stages.1"),
        ("stage.0", "did you mean 'stages'.*it has: dropout, head, stages, stem, unused"),
        ("head.0", "not in the student. it has none"),
        ("", "not in the student"),
    ],
)
def test_a_layer_that_is_not_there_is_named_with_those_that_are(small_net: Maker, path: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        layer_named(small_net(), path, role="student")


def test_taps_give_the_layer_output_with_its_gradient_and_leave_no_hook(small_net: Maker) -> None:
    net = small_net()
    with tapped(net, ["stages.0", "head"], role="student") as taps:
        logits = net(images())
    assert torch.equal(taps["head"], logits)
    torch.autograd.backward(taps["stages.0"].sum())
    assert net.stem[0].weight.grad is not None
    assert all(not module._forward_hooks for module in net.modules())


def test_hooks_go_even_after_an_error_and_none_is_left_by_a_wrong_name(small_net: Maker) -> None:
    net = small_net()
    with pytest.raises(RuntimeError), tapped(net, ["head"], role="student"):
        net(images()[:, :, 0])
    with pytest.raises(ModelError), tapped(net, ["head", "nowhere"], role="student"):
        pass
    assert all(not module._forward_hooks for module in net.modules())


def test_an_activation_in_place_does_not_change_the_features(small_net: Maker) -> None:
    net = small_net().eval()
    with tapped(net, ["stem.1"], role="student") as taps:
        net(images())
    assert torch.equal(taps["stem.1"], net.stem[1](net.stem[0](images())))
    assert bool((taps["stem.1"] < 0).any())


def test_a_layer_that_does_not_run_or_gives_no_tensor_is_named(small_net: Maker) -> None:
    with tapped(small_net(), ["unused"], role="teacher") as taps, pytest.raises(ModelError, match="no part"):
        taps["unused"]
    lstm = nn.Sequential(nn.LSTM(3, 4))
    with tapped(lstm, ["0"], role="teacher") as taps:
        lstm(torch.zeros(5, 3))
    assert taps["0"].shape == (5, 4)  # the first of the tuple

    class Strange(nn.Module):
        def forward(self, _: object) -> str:
            return "logits"

    strange = nn.Sequential(Strange())
    with pytest.raises(ModelError, match="its output is a str"), tapped(strange, ["0"], role="teacher"):
        strange(0)


def test_probe_gives_shapes_and_leaves_the_model_as_it_was(small_net: Maker) -> None:
    net = small_net(4, stride=2).train()
    net.stem.eval()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    shapes = probe_shapes(net, images(), ["stages.1", "head"], role="student")
    assert shapes.classes == 3
    assert shapes.features == {"stages.1": (4, 3, 3), "head": (3,)}
    assert net.training
    assert not net.stem[1].training
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())


def test_probe_refuses_other_inputs_outputs_and_classes(small_net: Maker, noise_set: Callable[..., NoiseSet]) -> None:
    with pytest.raises(ModelError, match=r"teacher: it fails on inputs of shape \(2, 3, 6, 6\)"):
        probe_shapes(small_net(), torch.zeros(2, 3, 6, 6), [], role="teacher")
    with pytest.raises(ModelError, match=r"output of the teacher: \(2, 1, 6, 6\); wanted .*\(2, classes\)"):
        probe_shapes(nn.Identity(), images(), [], role="teacher")
    with pytest.raises(ModelError, match="teacher: 5 classes; wanted 3"):
        probe_on_data(small_net(classes=5), noise_set(4, view_count=1), [], role="teacher")
