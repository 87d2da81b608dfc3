"""What coremltools 9.0 misreads of a graph, said in a way that it reads."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from torch import fx

from edgedistill.quantize.patterns import ATEN

if TYPE_CHECKING:
    from torch.fx.node import Argument

POOLS = (ATEN.max_pool1d.default, ATEN.max_pool2d.default, ATEN.max_pool3d.default)
CLAMPS = (ATEN.hardtanh.default, ATEN.hardtanh_.default, ATEN.clamp.default)
SUMS = (ATEN.add.Tensor, ATEN.sub.Tensor)


def completed(graph: fx.GraphModule) -> fx.GraphModule:
    """Return a copy of a program's graph that computes the same and whose operators say all that coremltools reads.

    A pooling that gives no stride has its kernel's; bounds of a clamp are numbers of the type of what they bound; the
    factor `alpha` of a sum, which it would leave out without a word, is a product before it.
    """
    copied = copy.deepcopy(graph)
    for node in copied.graph.nodes:
        if node.target in POOLS and len(node.args) == 2 and "stride" not in node.kwargs:  # noqa: PLR2004 - input, kernel
            node.args = (*node.args, node.args[1])
        elif node.target in CLAMPS:
            node.args = tuple(_number(value) for value in node.args)
            node.kwargs = {name: _number(value) for name, value in node.kwargs.items()}
        elif node.target in SUMS and node.kwargs.get("alpha", 1) != 1:
            node.args, node.kwargs = (node.args[0], _product(copied.graph, node)), {}
    copied.recompile()
    return copied


def _product(graph: fx.Graph, total: fx.Node) -> Argument:
    """Return what a sum adds: its second argument times its factor."""
    second, factor = total.args[1], total.kwargs["alpha"]
    if not isinstance(second, fx.Node):
        return second * factor  # type: ignore[operator] # two numbers
    with graph.inserting_before(total):
        return graph.call_function(ATEN.mul.Tensor, (second, factor))


def _number(value: Argument) -> Argument:
    return float(value) if isinstance(value, int) else value
