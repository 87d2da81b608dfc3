"""The share of multiply-accumulates that ONNX Runtime computes with integers, from the graph that it really runs."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto

Shapes = dict[str, tuple[int, ...]]

# Position of the second factor among the inputs: the weight, or the right-hand matrix.
CONVOLUTIONS = {"Conv": 1, "FusedConv": 1, "NhwcFusedConv": 1, "QLinearConv": 3, "ConvInteger": 1}
PRODUCTS = {
    "MatMul": 1,
    "FusedMatMul": 1,
    "Gemm": 1,
    "FusedGemm": 1,
    "QGemm": 3,
    "QLinearMatMul": 3,
    "MatMulInteger": 1,
    "MatMulIntegerToFloat": 1,
    "DynamicQuantizeMatMul": 1,
}
TRANSPOSED = {"ConvTranspose": 1}
INTEGER = frozenset(
    {
        "QLinearConv",
        "ConvInteger",
        "QGemm",
        "QLinearMatMul",
        "MatMulInteger",
        "MatMulIntegerToFloat",
        "DynamicQuantizeMatMul",
    }
)
MOVES = frozenset(
    {
        *("Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "Identity", "Pad", "Reshape", "Shape", "Slice"),
        *(
            "Split",
            "Squeeze",
            "Transpose",
            "Unsqueeze",
            "Resize",
            "MaxPool",
            "NhwcMaxPool",
            "QuantizeLinear",
            "DequantizeLinear",
        ),
    }
)


@dataclass(frozen=True)
class Product:
    """An operator that multiplies and accumulates.

    Args:
        node: name of the value it writes.
        kind: operator type in the optimized graph.
        macs: multiply-accumulates for one sample.
    """

    node: str
    kind: str
    macs: int


@dataclass(frozen=True)
class IntegerShare:
    """What the runtime computes with integers.

    Args:
        integers: products with integer kernels.
        floats: products in float.
        islands: other operators in float, by type, with their number.
    """

    integers: tuple[Product, ...]
    floats: tuple[Product, ...]
    islands: Mapping[str, int]

    @property
    def fraction(self) -> float:
        """Multiply-accumulates with integer kernels over all of them, 0 to 1; 1 for a model without any."""
        whole = sum(item.macs for item in (*self.integers, *self.floats))
        return sum(item.macs for item in self.integers) / whole if whole else 1.0


def integer_share(
    path: Path, sample: NDArray[np.float32] | NDArray[np.int32], *, options: Mapping[str, str] | None = None
) -> IntegerShare:
    """Return what ONNX Runtime computes with integers on this machine.

    The optimized graph is saved by the runtime, given all its values as outputs, and run once to learn their shapes.

    Args:
        path: an ONNX file with one input.
        sample: (1, ...), one preprocessed sample.
        options: session configuration entries that the artifact is run with here.
    """
    with tempfile.TemporaryDirectory() as folder:
        optimized = _optimized(path, Path(folder) / "optimized.onnx", options or {})
    values = _values(optimized, sample)
    shapes = {item.name: tuple(item.dims) for item in optimized.graph.initializer}
    shapes |= {name: tuple(value.shape) for name, value in values.items()}
    integers: list[Product] = []
    floats: list[Product] = []
    islands: dict[str, int] = {}
    for node in optimized.graph.node:
        macs = _macs(node, shapes)
        if macs is not None:
            product = Product(node.output[0], node.op_type, macs)
            (integers if node.op_type in INTEGER else floats).append(product)
        elif node.op_type not in MOVES and values[node.output[0]].dtype == np.float32:
            islands[node.op_type] = islands.get(node.op_type, 0) + 1
    return IntegerShare(tuple(integers), tuple(floats), islands)


def _optimized(path: Path, into: Path, options: Mapping[str, str]) -> ModelProto:
    settings = _settings(options)
    # layout changes of the highest level move values about, they decide nothing
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    settings.optimized_model_filepath = str(into)
    onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    return onnx.load(into)


def _settings(options: Mapping[str, str]) -> onnxruntime.SessionOptions:
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    settings.intra_op_num_threads = 1
    for key, value in options.items():
        settings.add_session_config_entry(key, value)
    return settings


def _values(model: ModelProto, sample: NDArray[np.float32] | NDArray[np.int32]) -> dict[str, NDArray[np.generic]]:
    """Return every value of a graph for one sample, constants included."""
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    present = {output.name for output in opened.graph.output}
    names = [name for node in model.graph.node for name in node.output if name]
    opened.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names if name not in present)
    settings = _settings({})
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(opened.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: sample}
    found = dict(zip([output.name for output in session.get_outputs()], session.run(None, feed), strict=True))
    return found | feed


def _macs(node: NodeProto, shapes: Shapes) -> int | None:
    """Return the multiply-accumulates of one operator, None where it is no product."""
    kind = node.op_type
    if kind in CONVOLUTIONS:
        return math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[CONVOLUTIONS[kind]]][1:])
    if kind in TRANSPOSED:
        return math.prod(shapes[node.input[0]]) * math.prod(shapes[node.input[TRANSPOSED[kind]]][1:])
    if kind in PRODUCTS:
        transposed = any(item.name == "transA" and item.i for item in node.attribute)
        shared = shapes[node.input[0]][-2 if transposed else -1]
        return math.prod(shapes[node.output[0]]) * shared
    return None
