"""Each layer's effect on the outputs."""

import torch
from small_models import calibrated, images, residual
from torch import nn

from edgedistill.quantize.fake import ActivationQuantizer, Mode
from edgedistill.quantize.sensitivity import EXACT_DB, agreement, sensitivities, sqnr_db


def test_the_layer_with_an_outlier_is_the_most_sensitive_one() -> None:
    model = residual(width=8)
    first = next(module for module in model.modules() if isinstance(module, nn.Conv2d) and module.in_channels == 8)
    with torch.no_grad():
        first.weight[:, 0, 0, 0] *= 300  # one weight a channel takes all the codes
    inputs = images(64)
    found = sensitivities(calibrated(model, inputs), [inputs[:32], inputs[32:]])
    name = next(name for name, module in model.named_modules() if module is first)
    assert min(found, key=lambda item: item.alone_sqnr_db).layer == name
    assert max(found, key=lambda item: item.others_sqnr_db).layer == name
    assert len(found) == 10


def test_the_graph_is_left_as_it_was() -> None:
    inputs = images(16)
    graph = calibrated(residual(), inputs)
    with torch.no_grad():
        before = graph(inputs)
        sensitivities(graph, [inputs])
        assert torch.equal(graph(inputs), before)
    quantizers = [module for module in graph.modules() if isinstance(module, ActivationQuantizer)]
    assert {quantizer.mode for quantizer in quantizers} == {Mode.QUANTIZE}


def test_decibels_and_agreement() -> None:
    exact = torch.tensor([[3.0, 4.0], [4.0, 3.0]])
    assert sqnr_db(exact, exact) == EXACT_DB
    assert abs(sqnr_db(exact, exact * 1.1) - 20.0) < 1e-4
    assert agreement(exact, exact.flip(0)) == 0.0
    assert agreement(exact, torch.tensor([[0.0, 1.0], [0.0, 1.0]])) == 0.5
