"""Looks inside a runtime: the codes of every quantized tensor of an ONNX file as the runtime's own kernels write them.

The results of all QuantizeLinear nodes are made outputs of the file before the runtime optimizes it. It fuses what it
fuses otherwise, and each output is what the fused kernel wrote; `same_kernels` says whether that held.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import onnx
from onnx import helper

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy as np
    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto

    from edgedistill.evaluate.executor import Inputs

MOVING = frozenset({"Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})
"""Operators that may stand between a kernel and the codes as the file names them: the runtime changes the layout."""


@dataclass(frozen=True)
class Inspection:
    """What a runtime computed for some inputs.

    Args:
        outputs: of the model, (n, ...), float32.
        codes: of every quantized activation by the name of its QuantizeLinear's result.
        kernels: which operator of the runtime wrote each of them: "QLinearConv".
        same_kernels: whether the runtime computed with the same operators as without looking.
    """

    outputs: NDArray[np.float32]
    codes: Mapping[str, NDArray[np.integer]]
    kernels: Mapping[str, str]
    same_kernels: bool


@runtime_checkable
class Inspectable(Protocol):
    """An executor that can be looked into."""

    def inspect(self, inputs: Inputs) -> Inspection:
        """Return outputs and codes of preprocessed inputs (n, ...)."""


def expose_codes(model: ModelProto) -> ModelProto:
    """Return a copy of a model in which the result of every QuantizeLinear is an output too, after its own ones."""
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    present = {output.name for output in model.graph.output}
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear" and node.output[0] not in present:
            exposed.graph.output.append(helper.make_empty_tensor_value_info(node.output[0]))
    return exposed


def inspection(
    outputs: Mapping[str, NDArray[np.generic]], model: ModelProto, optimized: ModelProto, plain: ModelProto
) -> Inspection:
    """Put together what was found.

    Args:
        outputs: of the exposed model, by name.
        model: the model as it was built.
        optimized: the exposed model as the runtime optimized it.
        plain: the model itself as the runtime optimized it.
    """
    own = [output.name for output in model.graph.output]
    codes = {name: value for name, value in outputs.items() if name not in own}
    return Inspection(
        outputs=outputs[own[0]],  # type: ignore[arg-type] # the models of this project have float32 outputs
        codes=codes,  # type: ignore[arg-type] # QuantizeLinear gives integers
        kernels=_kernels(optimized, codes),
        same_kernels=_operators(optimized) == _operators(plain),
    )


def _kernels(optimized: ModelProto, names: Iterable[str]) -> dict[str, str]:
    writers = {name: node for node in optimized.graph.node for name in node.output}
    return {name: _writer(name, writers) for name in names}


def _writer(name: str, writers: Mapping[str, NodeProto]) -> str:
    node = writers.get(name)
    while node is not None and node.op_type in MOVING and node.input[0] in writers:
        node = writers[node.input[0]]
    return "" if node is None else node.op_type


def _operators(model: ModelProto) -> Counter[str]:
    """Count operators; those that only change the layout come and go with what is read from outside."""
    return Counter(node.op_type for node in model.graph.node if node.op_type not in MOVING)
