"""Each rewrite computes the same function with other operators, and leaves alone what it does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from small_models import images
from torch import Tensor, nn
from torch.nn import functional

from edgedistill.errors import ModelError
from edgedistill.quantize.capture import capture
from edgedistill.quantize.graph import calls
from edgedistill.quantize.patterns import ATEN

if TYPE_CHECKING:
    from collections.abc import Callable


class Function(nn.Module):
    """A convolution, then any function; some layers to choose from."""

    def __init__(self, function: Callable[[Function, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.other = nn.Conv2d(4, 4, 3, stride=2)
        self.up = nn.ConvTranspose2d(4, 6, 2, 2)
        self.up_overlapping = nn.ConvTranspose2d(4, 6, 3, 2)
        self.norm = nn.BatchNorm2d(6)
        self.dense = nn.Linear(16, 5)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, self.conv(x))


def _attention(_: Function, x: Tensor) -> Tensor:
    return functional.scaled_dot_product_attention(x, x.flip(2), x.flip(3))


def _attention_with_mask(_: Function, x: Tensor) -> Tensor:
    mask = torch.ones(16, 16, dtype=torch.bool).tril()
    return functional.scaled_dot_product_attention(x, x, x, attn_mask=mask, scale=0.3)


def _attention_with_bias(_: Function, x: Tensor) -> Tensor:
    return functional.scaled_dot_product_attention(x, x, x, attn_mask=torch.arange(16.0).expand(16, 16))


def _in_place(_: Function, x: Tensor) -> Tensor:
    y = x * 2.0
    functional.relu_(y)
    return y + x  # reads what relu_ wrote


@pytest.mark.parametrize(
    ("function", "gone", "there"),
    [
        (lambda _, x: functional.relu6(x), ATEN.relu6.default, ATEN.hardtanh.default),
        (lambda _, x: x.clamp(0, 3), ATEN.clamp.default, ATEN.hardtanh.default),
        (lambda _, x: x.clamp(min=0), ATEN.clamp.default, ATEN.relu.default),
        (lambda _, x: functional.silu(x), ATEN.silu.default, ATEN.sigmoid.default),
        (_attention, ATEN.scaled_dot_product_attention.default, ATEN.matmul.default),
        (_attention_with_mask, ATEN.scaled_dot_product_attention.default, ATEN.masked_fill.Scalar),
        (_attention_with_bias, ATEN.scaled_dot_product_attention.default, ATEN.softmax.int),
        (lambda m, x: m.up(x), ATEN.conv_transpose2d.input, ATEN.pixel_shuffle.default),
        (lambda m, x: m.norm(m.up(x)), ATEN.batch_norm.default, ATEN.pixel_shuffle.default),
        (lambda m, x: m.other(functional.pad(x, (2, 2, 1, 1))), ATEN.pad.default, ATEN.conv2d.default),
        (lambda m, x: m.dense(x), ATEN.view.default, ATEN.reshape.default),
        (lambda _, x: x.mean((2, 3)), ATEN.view.default, ATEN.flatten.using_ints),
        (_in_place, ATEN.relu_.default, ATEN.relu.default),
    ],
)
def test_another_operator_computes_the_same(
    function: Callable[[Function, Tensor], Tensor], gone: object, there: object
) -> None:
    model, inputs = Function(function).eval(), images(5, seed=1)
    graph = capture(model, inputs[:2])
    assert not calls(graph, gone)
    assert calls(graph, there)
    with torch.no_grad():
        torch.testing.assert_close(graph(inputs), model(inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("function", "kept"),
    [
        (lambda m, x: m.up_overlapping(x), ATEN.conv_transpose2d.input),
        (lambda m, x: m.other(functional.pad(x, (1, 0, 1, 0))), ATEN.pad.default),
        (lambda m, x: m.other(functional.pad(x, (1, 1, 1, 1), value=1.0)), ATEN.pad.default),
        (lambda _, x: functional.scaled_dot_product_attention(x, x, x, is_causal=True), None),
        (lambda _, x: x.clamp(-1, 3), ATEN.hardtanh.default),
    ],
)
def test_what_does_not_fit_stays(function: Callable[[Function, Tensor], Tensor], kept: object) -> None:
    model, inputs = Function(function).eval(), images(5, seed=1)
    graph = capture(model, inputs[:2])
    assert calls(graph, kept or ATEN.scaled_dot_product_attention.default)
    with torch.no_grad():
        torch.testing.assert_close(graph(inputs), model(inputs), rtol=1e-4, atol=1e-5)


def test_a_linear_layer_over_tokens_becomes_one_over_rows() -> None:
    graph = capture(Function(lambda m, x: m.dense(x)).eval(), images(2))
    (layer,) = calls(graph, ATEN.linear.default)
    assert layer.meta["val"].ndim == 2


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.recurrent = kind(16, 8, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.recurrent(x.squeeze(1))
        return states[:, -1]  # type: ignore[no-any-return]


@pytest.mark.parametrize(("kind", "name"), [(nn.GRU, "a GRU"), (nn.LSTM, "an LSTM"), (nn.RNN, "a recurrent layer")])
def test_recurrence_is_refused_by_the_name_of_its_layer(kind: type[nn.Module], name: str) -> None:
    with pytest.raises(ModelError, match=rf"layer 'recurrent': {name}.*temporal convolutions"):
        capture(Recurrent(kind), images(2))
