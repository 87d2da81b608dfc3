import pytest
import torch
from small_models import images, residual
from torch import Tensor, nn

from edgedistill.errors import ModelError
from edgedistill.quantize.capture import ATEN, capture
from edgedistill.quantize.graph import layer_of


class Untidy(nn.Module):
    """In-place operators, dropout, a batch norm that can be folded and one that can't."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.BatchNorm2d(1)
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.conv(self.first(x))))
        x += 1.0
        return self.head(self.drop(x).mean((2, 3)))  # type: ignore[no-any-return]


class Branches(nn.Module):
    """Control flow that depends on the data."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) if x.sum() > 0 else -x.flatten(1)


def targets(graph: torch.fx.GraphModule) -> list[object]:
    return [node.target for node in graph.graph.nodes if node.op == "call_function"]


def test_batch_norms_are_folded_and_the_outputs_stay() -> None:
    model, inputs = residual(), images(8)
    graph = capture(model, inputs[:2])
    assert ATEN.batch_norm.default not in targets(graph)
    with torch.no_grad():
        torch.testing.assert_close(graph(inputs), model(inputs), rtol=1e-4, atol=1e-5)


def test_what_has_no_effect_goes_and_what_cannot_be_folded_stays() -> None:
    model = Untidy().eval()
    found = targets(capture(model, images(2)))
    assert found.count(ATEN.batch_norm.default) == 1
    assert ATEN.dropout.default not in found
    assert ATEN.relu.default in found
    assert ATEN.relu_.default not in found
    assert ATEN.add.Tensor in found


def test_the_model_is_not_changed_and_the_graph_can_be_trained() -> None:
    model = residual()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    graph = capture(model, images(2))
    graph.train()
    graph(images(4)).sum().backward()
    assert all(parameter.grad is not None for parameter in graph.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_batch_is_dynamic_and_nodes_know_their_layer() -> None:
    graph = capture(residual(), images(2))
    assert graph(images(7)).shape == (7, 5)
    layers = [layer_of(node) for node in graph.graph.nodes if node.target is ATEN.conv2d.default]
    assert layers[:2] == ["stem.0", "stages.0.0.conv1"]


def test_data_dependent_control_flow_is_named() -> None:
    with pytest.raises(ModelError, match=r"capture of Branches: torch\.export says"):
        capture(Branches(), images(2))
