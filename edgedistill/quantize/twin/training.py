"""Lets a fake-quantized graph compute what the device computes while it is trained.

The integer twin runs beside the graph and its codes take the place of the simulated ones, in every quantizer and at the
end; gradients are those of fake quantization. Source of the straight-through estimator: Bengio et al. 2013,
arXiv:1308.3432.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, fx

from edgedistill.quantize.fake import ActivationQuantizer, BiasQuantizer, Mode, WeightQuantizer
from edgedistill.quantize.graph import attribute
from edgedistill.quantize.spec import BiasType
from edgedistill.quantize.twin.exact import full_precision
from edgedistill.quantize.twin.interpreter import computed, quantized
from edgedistill.quantize.twin.values import Codes, real_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn


class TwinForward:
    """Replaces the forward pass of an annotated graph by its twin's while it is `active` and gradients are recorded.

    Args:
        graph: from `annotate.annotate`, calibrated.
    """

    def __init__(self, graph: fx.GraphModule) -> None:
        self.graph, self.active = graph, False
        self._quantized: Iterator[Tensor] = iter(())
        self._output: Tensor | None = None

    @contextmanager
    def attached(self) -> Iterator[TwinForward]:
        """Keep the graph's modules hooked to the twin; outside they are as they were."""
        quantizers = [module for module in self.graph.modules() if isinstance(module, ActivationQuantizer)]
        hooks = [
            self.graph.register_forward_pre_hook(self._before),
            self.graph.register_forward_hook(self._after),
            *(quantizer.register_forward_hook(self._behind_quantizer) for quantizer in quantizers),
        ]
        try:
            yield self
        finally:
            for hook in hooks:
                hook.remove()

    def _before(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if self.active and torch.is_grad_enabled():
            with torch.no_grad(), full_precision():
                reals, self._output = twin_values(self.graph, inputs[0])
            self._quantized = iter(reals)

    def _behind_quantizer(self, quantizer: nn.Module, _: object, simulated: Tensor) -> Tensor:
        if cast("ActivationQuantizer", quantizer).mode is not Mode.QUANTIZE:
            return simulated
        exact = next(self._quantized, None)  # none where the twin did not run
        return simulated if exact is None else straight_through(simulated, exact)

    def _after(self, _: nn.Module, __: object, simulated: Tensor) -> Tensor:
        if self._output is None:
            return simulated
        output, self._output = self._output, None
        return straight_through(simulated, output)


def straight_through(simulated: Tensor, exact: Tensor) -> Tensor:
    """Return the exact values with the gradient of the simulated ones."""
    return exact + (simulated - simulated.detach())  # in this order the sum is exact


def twin_values(graph: fx.GraphModule, inputs: Tensor) -> tuple[list[Tensor], Tensor]:
    """Return what the twin of an annotated graph computes, as float32 values.

    Args:
        graph: from `annotate.annotate`, calibrated.
        inputs: (batch, ...).

    Returns:
        What stands behind each call of an activation quantizer, in graph order, and the output.
    """
    modules = dict(graph.named_modules())
    values: dict[fx.Node, object] = {}
    behind: list[Tensor] = []
    for node in graph.graph.nodes:
        if node.op == "placeholder":
            values[node] = inputs
        elif node.op == "get_attr":
            values[node] = attribute(graph, node)
        elif node.op == "call_function":
            values[node] = computed(node, lambda argument: values[argument])
        elif node.op == "call_module":
            values[node] = _rounded(modules[str(node.target)], [values[argument] for argument in node.all_input_nodes])
            if isinstance(modules[str(node.target)], ActivationQuantizer):
                behind.append(cast("Tensor", real_of(values[node])))
        elif node.op == "output":
            return behind, cast("Tensor", real_of(values[node.all_input_nodes[0]]))
    raise AssertionError("a graph ends with its output")


def _rounded(quantizer: nn.Module, arguments: list[object]) -> object:
    """Return the codes that a quantizer gives what it is called with."""
    if isinstance(quantizer, ActivationQuantizer):
        scale, zero_point = quantizer.stored()
        return Codes(quantized(arguments[0], scale, zero_point), scale, zero_point)
    weight = cast("Tensor", arguments[-1])
    if isinstance(quantizer, WeightQuantizer):
        scale = quantizer.scale_of(weight)
        return Codes(quantizer.codes_of(weight), scale, torch.zeros_like(scale, dtype=torch.int8), axis=0)
    assert isinstance(quantizer, BiasQuantizer)  # noqa: S101 - an annotated graph calls no other modules
    if quantizer.spec.bias is not BiasType.INT32:
        return quantizer(*arguments)
    scale = quantizer.scale_of(weight)
    codes = quantizer.codes_of(cast("Tensor", arguments[0]), weight)
    return Codes(codes, scale, torch.zeros_like(scale, dtype=torch.int32), axis=0)
