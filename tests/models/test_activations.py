"""Activation layers are replaced, all of a kind, and only those."""

import pytest
import torch
from torch import nn
from zoo import vision

from edgedistill.errors import ModelError
from edgedistill.models.activations import ACTIVATIONS, replace_activations


def kinds(model: nn.Module) -> set[str]:
    return {type(module).__name__ for module in model.modules()}


def test_every_layer_of_a_kind_is_replaced_and_the_weights_stay() -> None:
    model = vision.MobileNetV3(classes=3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    replace_activations(model, {"hardswish": "relu6"})
    assert "Hardswish" not in kinds(model)
    assert {"ReLU", "ReLU6"} <= kinds(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 3)


def test_two_kinds_can_change_places() -> None:
    model = nn.Sequential(nn.ReLU(), nn.SiLU())
    replace_activations(model, {"relu": "silu", "silu": "relu"})
    assert [type(module) for module in model] == [nn.SiLU, nn.ReLU]


def test_what_is_not_there_is_named_with_what_is() -> None:
    with pytest.raises(ModelError, match=r"activation 'gelu' of Sequential: .*relu \(2\).*torch\.nn\.GELU"):
        replace_activations(nn.Sequential(nn.ReLU(), nn.ReLU()), {"gelu": "relu"})


@pytest.mark.parametrize("replacements", [{"swish": "relu"}, {"relu": "swish"}])
def test_an_unknown_name_is_refused_with_the_known_ones(replacements: dict[str, str]) -> None:
    with pytest.raises(ModelError, match="activation 'swish': no such name; wanted elu, gelu"):
        replace_activations(nn.Sequential(nn.ReLU()), replacements)


def test_every_name_makes_what_it_says() -> None:
    for kind, make in ACTIVATIONS.values():
        assert type(make()) is kind
