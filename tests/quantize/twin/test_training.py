"""While the twin is switched on the graph gives the device's outputs, and gradients stay those of fake quantization."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_models import calibrated, images, residual, separable
from torch import Tensor, fx

from edgedistill.quantize.annotate import activation_quantizers
from edgedistill.quantize.convert import convert
from edgedistill.quantize.fake import Mode
from edgedistill.quantize.spec import QuantSpec
from edgedistill.quantize.twin.training import TwinForward, straight_through

INPUTS = images(32, seed=4) * 1.3


def gradients(graph: fx.GraphModule) -> Tensor:
    """Return the gradient of all weights for a loss of the outputs."""
    graph.zero_grad()
    (graph(INPUTS).log_softmax(1)[:, 0]).mean().backward()
    return torch.cat([value.grad.flatten() for value in graph.parameters() if value.grad is not None])


@pytest.fixture(params=[residual, separable])
def graph(request: pytest.FixtureRequest) -> fx.GraphModule:
    return calibrated(request.param(), images(64))


def test_the_outputs_are_the_program_s_bit_for_bit(graph: fx.GraphModule) -> None:
    program = convert(graph, QuantSpec(), images(2))
    with TwinForward(graph).attached() as twin:
        simulated = graph(INPUTS).detach()
        twin.active = True
        exact = graph(INPUTS).detach()
        with torch.no_grad():
            np.testing.assert_array_equal(graph(INPUTS).numpy(), simulated.numpy())  # evaluation is left alone
    computed = program.run(INPUTS.numpy())
    np.testing.assert_array_equal(exact.numpy(), computed)
    assert (simulated.numpy() != computed).any()


def test_gradients_are_those_of_fake_quantization_at_the_twin_s_values(graph: fx.GraphModule) -> None:
    simulated = gradients(graph)
    with TwinForward(graph).attached() as twin:
        twin.active = True
        exact = gradients(graph)
    assert exact.norm() > 0
    assert torch.nn.functional.cosine_similarity(simulated, exact, dim=0) > 0.99
    assert (simulated != exact).any()


def test_outside_the_graph_is_as_it_was(graph: fx.GraphModule) -> None:
    before = graph(INPUTS).detach()
    with TwinForward(graph).attached() as twin:
        twin.active = True
    np.testing.assert_array_equal(graph(INPUTS).detach().numpy(), before.numpy())
    assert not graph._forward_hooks
    assert not graph._forward_pre_hooks


def test_what_is_observed_is_not_rounded(graph: fx.GraphModule) -> None:
    first = next(iter(activation_quantizers(graph).values()))
    with TwinForward(graph).attached() as twin:
        twin.active = True
        for quantizer in activation_quantizers(graph).values():
            quantizer.mode = Mode.OBSERVE
        graph(INPUTS)
    assert first.histogram.maximum == pytest.approx(float(INPUTS.max()))


def test_straight_through_has_one_s_value_and_the_other_s_gradient() -> None:
    weight = torch.tensor(2.0, requires_grad=True)
    result = straight_through(weight * 3, torch.tensor(7.0))
    result.backward()
    assert float(result.detach()) == 7
    assert weight.grad == 3
