"""Small QDQ graphs in ONNX, each with every knob that a rule of a runtime depends on. Needs onnx and numpy."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper, shape_inference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from onnx import NodeProto

CHANNELS, SIDE = 16, 16


@dataclass(frozen=True)
class Style:
    """How values are quantized.

    Args:
        codes: type of activation codes.
        zero_point: of activations; none leaves it out.
        scale: of activations; a list gives one per channel, along axis 1.
        weight_codes: type of weight codes.
        weight_zero_point: of weights.
        weight_axis: along which weights have scales; none: one scale.
        stored: whether weights are stored as codes, or as real values behind Q and DQ.
        bias: "float", "int32" or "none".
        half: whether scales and biases are fp16.
        domain: of Q and DQ.
    """

    codes: type = np.int8
    zero_point: int | None = 0
    scale: float | Sequence[float] = 0.05
    weight_codes: type = np.int8
    weight_zero_point: int = 0
    weight_axis: int | None = 0
    stored: bool = True
    bias: str = "float"
    half: bool = False
    domain: str = ""


PLAIN = Style()


@dataclass
class Graph:
    """Collects nodes and constants of one graph."""

    opset: int = 17
    seed: int = 0
    nodes: list[NodeProto] = field(default_factory=list)
    initializers: list[TensorProto] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def node(self, operator: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: object) -> str:
        """Add a node and return the name of its first output."""
        name = f"{operator.lower()}_{len(self.nodes)}"
        names = [name, *(f"{name}_{index}" for index in range(1, outputs))]
        self.nodes.append(helper.make_node(operator, inputs, names, name=name, domain=domain, **attributes))
        return name

    def constant(self, value: object, dtype: type | None = None) -> str:
        """Add an initializer and return its name."""
        name = f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def typed(self, data_type: int, shape: Sequence[int], values: Sequence[float]) -> str:
        """Add an initializer of a type that numpy does not have, and return its name."""
        name = f"constant_{len(self.initializers)}"
        self.initializers.append(helper.make_tensor(name, data_type, shape, values))
        return name

    def real(self, style: Style) -> type:
        """Return the floating type of a style."""
        return np.float16 if style.half else np.float32

    def quantized(self, value: str, style: Style = PLAIN) -> str:
        """Round a value to codes and back; return the real value's name."""
        scale = np.asarray(style.scale, self.real(style))
        parameters = [self.constant(scale)]
        if style.zero_point is not None:
            parameters.append(self.constant(np.full(scale.shape, style.zero_point), style.codes))
        attributes = {"axis": 1} if scale.ndim else {}
        codes = self.node("QuantizeLinear", value, *parameters, domain=style.domain, **attributes)
        return self.node("DequantizeLinear", codes, *parameters, domain=style.domain, **attributes)

    def weight(self, shape: Sequence[int], style: Style = PLAIN) -> str:
        """Return the name of a random weight behind DQ."""
        values = (self.rng.standard_normal(shape) * 0.2).astype(np.float32)
        axis = style.weight_axis
        others = tuple(index for index in range(len(shape)) if index != axis)
        largest = np.abs(values).max(axis=others if axis is not None else None)
        scale = np.asarray(largest / 127, self.real(style))
        parameters = [
            self.constant(scale),
            self.constant(np.full(scale.shape, style.weight_zero_point), style.weight_codes),
        ]
        attributes = {"axis": axis} if axis is not None else {}
        if style.stored:
            view = [-1 if index == axis else 1 for index in range(len(shape))]
            codes = np.clip(np.round(values / (scale.reshape(view) if axis is not None else scale)), -127, 127)
            shift = 128 if style.weight_codes is np.uint8 else 0
            held = self.constant((codes.astype(np.int32) + shift).astype(style.weight_codes))
        else:
            held = self.node(
                "QuantizeLinear",
                self.constant(values, self.real(style)),
                *parameters,
                domain=style.domain,
                **attributes,
            )
        return self.node("DequantizeLinear", held, *parameters, domain=style.domain, **attributes)

    def biases(self, count: int, style: Style) -> list[str]:
        """Return the name of a bias, or nothing."""
        if style.bias == "none":
            return []
        if style.bias == "int32":
            codes = self.constant(self.rng.integers(-1000, 1000, count), np.int32)
            return [self.node("DequantizeLinear", codes, self.constant(np.float32(1e-4)))]
        return [self.constant(self.rng.standard_normal(count) * 0.1, self.real(style))]

    def convolution(
        self, value: str, style: Style = PLAIN, *, channels: int = CHANNELS, group: int = 1, **more: object
    ) -> str:
        """Return the name of a 3x3 convolution from 16 channels, its weight behind DQ."""
        kernel = int(str(more.pop("kernel", 3)))
        inputs = int(str(more.pop("inputs", CHANNELS)))
        weight = self.weight((channels, inputs // group, kernel, kernel), style)
        attributes: dict[str, object] = {
            "kernel_shape": [kernel, kernel],
            "pads": [kernel // 2] * 4,
            "group": group,
            **more,
        }
        return self.node("Conv", value, weight, *self.biases(channels, style), **attributes)

    def model(
        self, output: str, *, shape: Sequence[int | str] = (1, CHANNELS, SIDE, SIDE), half: bool = False
    ) -> ModelProto:
        """Return the model with one float32 input `input` and one output."""
        kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
        graph = helper.make_graph(
            self.nodes,
            "graph",
            [helper.make_tensor_value_info("input", kind, list(shape))],
            [helper.make_tensor_value_info(output, kind, None)],
            self.initializers,
        )
        opsets = [helper.make_opsetid("", self.opset)]
        opsets += [helper.make_opsetid(name, 1) for name in {node.domain for node in self.nodes} - {""}]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        with contextlib.suppress(RuntimeError, shape_inference.InferenceError):  # it breaks a rule of ONNX itself
            model.graph.output[0].CopyFrom(shape_inference.infer_shapes(model).graph.output[0])
        if not model.graph.output[0].type.tensor_type.HasField("shape"):
            model.graph.output[0].CopyFrom(helper.make_tensor_value_info(output, kind, ["a", "b", "c", "d"]))
        return model


def two_convolutions(
    style: Style = PLAIN, *, opset: int = 17, weights: Style | None = None, **knobs: object
) -> ModelProto:
    """Return conv, ReLU, conv, ReLU with everything quantized that is read by a convolution.

    Args:
        style: of activations and weights.
        opset: version of ONNX's operators.
        weights: style of the second convolution's weight, where it is another.
        knobs: `shape` of the input.
    """
    graph = Graph(opset)
    first = graph.node("Relu", graph.convolution(graph.quantized("input", style), style))
    second = graph.convolution(graph.quantized(first, style), weights or style)
    return graph.model(graph.node("Relu", second), half=style.half, **knobs)


def residual_block(style: Style = PLAIN, *, skip: bool = True, branch: bool = False, opset: int = 17) -> ModelProto:
    """Return a residual block; the skip input is quantized with `skip`, the convolution's result with `branch`."""
    graph = Graph(opset)
    stem = graph.node("Relu", graph.convolution(graph.quantized("input", style), style))
    codes = graph.quantized(stem, style)
    result = graph.convolution(codes, style)
    total = graph.node("Add", graph.quantized(result, style) if branch else result, codes if skip else stem)
    relu = graph.quantized(graph.node("Relu", total), style)
    return graph.model(graph.convolution(relu, style))


def classifier(product: str, style: Style = PLAIN, *, opset: int = 17) -> ModelProto:
    """Return conv, average, and a product: "gemm" (B as it is), "gemm-transposed" or "matmul"."""
    graph = Graph(opset)
    features = graph.node("Relu", graph.convolution(graph.quantized("input"), PLAIN))
    pooled = graph.quantized(graph.node("GlobalAveragePool", graph.quantized(features)))
    flat = graph.node("Flatten", pooled, axis=1)
    bias = graph.constant(np.zeros(10), np.float32)
    if product == "matmul":
        output = graph.node("Add", graph.node("MatMul", flat, graph.weight((CHANNELS, 10), style)), bias)
    elif product == "gemm":
        output = graph.node("Gemm", flat, graph.weight((CHANNELS, 10), style), bias)
    else:
        output = graph.node("Gemm", flat, graph.weight((10, CHANNELS), style), bias, transB=1)
    return graph.model(output)


def followed(operator: str, *, rounded_before: bool, opset: int = 17) -> ModelProto:
    """Return a convolution and an activation; the value is rounded between them, or behind both."""
    graph = Graph(opset)
    value = graph.convolution(graph.quantized("input"))
    if rounded_before:
        value = graph.quantized(value)
    if operator == "BatchNormalization":
        parameters = [graph.constant(np.full(CHANNELS, item), np.float32) for item in (1.0, 0.1, 0.0, 1.0)]
        value = graph.node("Relu", graph.node("BatchNormalization", value, *parameters))
    elif operator == "Silu":
        value = graph.node("Mul", value, graph.node("Sigmoid", value))
    elif operator == "Clip":
        limits = [graph.constant(item, np.float32) for item in (0.0, 6.0)]
        value = graph.node("Clip", value, *limits)
    else:
        value = graph.node(operator, value)
    return graph.model(graph.convolution(graph.quantized(value)))


def parameters_of(model: ModelProto) -> dict[str, NDArray[np.generic]]:
    """Return the initializers by name."""
    return {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
