"""Compact text models: shapes, padding, and a start from another model's embeddings."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgedistill.models.text import EMBEDDING_DEVIATION, TextConvNet, TextEncoder, start_from_embeddings

TOKENS = torch.tensor([[2, 5, 6, 3, 0, 0], [2, 7, 3, 0, 0, 0]], dtype=torch.int32)


def conv() -> nn.Module:
    torch.manual_seed(0)
    return TextConvNet(classes=4, vocabulary=10, width=8, filters=6).eval()


def encoder() -> nn.Module:
    torch.manual_seed(0)
    return TextEncoder(classes=4, vocabulary=10, length=6, width=8, layers=2, heads=2).eval()


@pytest.mark.parametrize("model", [conv(), encoder()], ids=["conv", "encoder"])
def test_token_numbers_become_outputs_and_gradients_flow(model: nn.Module) -> None:
    outputs = model(TOKENS)
    assert outputs.shape == (2, 4)
    torch.autograd.backward(outputs.sum())
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert (model.embedding.weight.grad[0] == 0).all()  # type: ignore[index] # the padding token learns nothing


def test_no_token_attends_to_padding() -> None:
    model = encoder()
    longer = torch.nn.functional.pad(TOKENS[:1, :4], (0, 2))
    with torch.no_grad():
        model.position[4:] += 100  # type: ignore[operator] # what stands at padding changes nothing
        torch.testing.assert_close(model(longer), encoder()(longer))


def test_the_order_of_words_matters() -> None:
    turned = TOKENS[:, [0, 2, 1, 3, 4, 5]]
    for model in (conv(), encoder()):
        assert not torch.allclose(model(TOKENS), model(turned))


def test_what_cannot_be_built_is_refused() -> None:
    with pytest.raises(ValueError, match="odd"):
        TextConvNet(classes=2, vocabulary=9, kernels=(2,))
    with pytest.raises(ValueError, match="multiple of heads"):
        TextEncoder(classes=2, vocabulary=9, length=4, width=9, heads=2)


def test_a_start_keeps_the_directions_in_which_rows_differ() -> None:
    generator = torch.Generator().manual_seed(0)
    plane = torch.linalg.qr(torch.randn(6, 6, generator=generator))[0][:2]
    rows = torch.randn(50, 2, generator=generator) @ plane + 3  # all differences lie in a plane
    table = nn.Embedding(50, 2, padding_idx=0)
    start_from_embeddings(table, rows)
    assert (table.weight[0] == 0).all()
    tables = (table.weight.detach().double()[1:], rows.double()[1:])
    found, wanted = ((points[:, None] - points).norm(dim=2) for points in tables)
    torch.testing.assert_close(found / found.max(), wanted / wanted.max(), rtol=1e-4, atol=1e-5)
    assert abs(float(table.weight[1:].detach().std()) / EMBEDDING_DEVIATION - 1) < 0.1
