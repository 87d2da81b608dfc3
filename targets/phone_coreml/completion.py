"""Arguments that torch leaves out or gives as whole numbers, and that coremltools 9.0 cannot do without."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from edgedistill.quantize.patterns import ATEN

if TYPE_CHECKING:
    from torch import fx

POOLS = (ATEN.max_pool1d.default, ATEN.max_pool2d.default, ATEN.max_pool3d.default)
CLAMPS = (ATEN.hardtanh.default, ATEN.hardtanh_.default, ATEN.clamp.default)


def completed(graph: fx.GraphModule) -> fx.GraphModule:
    """Return a copy of a program's graph that computes the same and whose operators say all that coremltools reads.

    A pooling that gives no stride has its kernel's; bounds of a clamp are numbers of the type of what they bound.
    """
    copied = copy.deepcopy(graph)
    for node in copied.graph.nodes:
        if node.target in POOLS and len(node.args) == 2 and "stride" not in node.kwargs:  # noqa: PLR2004 - input, kernel
            node.args = (*node.args, node.args[1])
        elif node.target in CLAMPS:
            node.args = tuple(float(bound) if isinstance(bound, int) else bound for bound in node.args)
            node.kwargs = {name: float(bound) if isinstance(bound, int) else bound for name, bound in node.kwargs.items()}
    copied.recompile()
    return copied
