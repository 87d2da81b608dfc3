"""Graphs that each break one rule of `jetson_tensorrt/rules.py`, and graphs that break none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper
from quantized_graphs import (
    CHANNELS,
    PLAIN,
    SIDE,
    Graph,
    Style,
    classifier,
    followed,
    residual_block,
    two_convolutions,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from onnx import ModelProto

FREE_BATCH = ("n", CHANNELS, SIDE, SIDE)


@dataclass(frozen=True)
class Case:
    """A graph and the rule it breaks.

    Args:
        name: what is done to it.
        rule: the broken rule; "" for a clean graph.
        make: returns the model.
        tensorrt: version it is judged for.
        judged: whether TensorRT-RTX can judge it: it is one version, builds no DLA and times nothing.
    """

    name: str
    rule: str
    make: Callable[[], ModelProto]
    tensorrt: tuple[int, int] = (10, 3)
    judged: bool = True


def _plain(**changes: object) -> Callable[[], ModelProto]:
    return lambda: two_convolutions(replace(PLAIN, **changes))  # type: ignore[arg-type] # fields of Style by name


def _computed_scale() -> ModelProto:
    graph = Graph()
    scale = graph.node("Div", graph.node("ReduceMax", "input", keepdims=0), graph.constant(127.0, np.float32))
    zero = graph.constant(0, np.int8)
    codes = graph.node("QuantizeLinear", "input", scale, zero)
    return graph.model(graph.convolution(graph.node("DequantizeLinear", codes, scale, zero)))


def _computed_zero_point() -> ModelProto:
    graph = Graph()
    scale = graph.constant(0.05, np.float32)
    zero = graph.node("Cast", graph.node("ReduceMin", graph.node("Abs", "input"), keepdims=0), to=TensorProto.INT8)
    codes = graph.node("QuantizeLinear", "input", scale, zero)
    return graph.model(graph.convolution(graph.node("DequantizeLinear", codes, scale, zero)))


def _unequal_sizes() -> ModelProto:
    graph = Graph()
    scale, zero = graph.constant(0.05, np.float32), graph.constant([0, 0], np.int8)
    codes = graph.node("QuantizeLinear", "input", scale, zero)
    return graph.model(graph.convolution(graph.node("DequantizeLinear", codes, scale, zero)))


def _too_few_scales() -> ModelProto:
    graph = Graph()
    codes = graph.constant(np.ones((CHANNELS, CHANNELS, 3, 3)), np.int8)
    scales, zeros = graph.constant([0.01] * 8, np.float32), graph.constant([0] * 8, np.int8)
    weight = graph.node("DequantizeLinear", codes, scales, zeros, axis=0)
    return graph.model(graph.node("Conv", graph.quantized("input"), weight, kernel_shape=[3, 3], pads=[1] * 4))


def _wide_codes(data_type: int) -> Callable[[], ModelProto]:
    def make() -> ModelProto:
        graph = Graph(21)
        scale, zero = graph.constant(0.01, np.float32), graph.typed(data_type, [], [0])
        codes = graph.node("QuantizeLinear", "input", scale, zero)
        return graph.model(graph.convolution(graph.node("DequantizeLinear", codes, scale, zero)))

    return make


def _float8() -> ModelProto:
    graph = Graph(19)
    scale, zero = graph.constant(0.05, np.float32), graph.typed(TensorProto.FLOAT8E4M3FN, [], [0.0])
    value = graph.node("Flatten", "input", axis=1)
    codes = graph.node("QuantizeLinear", value, scale, zero)
    real = graph.node("DequantizeLinear", codes, scale, zero)
    weight = graph.constant(graph.rng.standard_normal((CHANNELS * SIDE * SIDE, 32)) * 0.1, np.float32)
    held = graph.node("QuantizeLinear", weight, scale, zero)
    return graph.model(graph.node("MatMul", real, graph.node("DequantizeLinear", held, scale, zero)))


def _integer_convolution() -> ModelProto:
    graph = Graph()
    scale, zero = graph.constant(0.05, np.float32), graph.constant(0, np.int8)
    codes = graph.node("QuantizeLinear", "input", scale, zero)
    weight = graph.constant(graph.rng.integers(-127, 128, (CHANNELS, CHANNELS, 1, 1)), np.int8)
    result = graph.node("QLinearConv", codes, scale, zero, weight, scale, zero, scale, zero)
    return graph.model(graph.node("DequantizeLinear", result, scale, zero))


def _integer_product(operator: str) -> Callable[[], ModelProto]:
    def make() -> ModelProto:
        graph = Graph()
        scale, zero = graph.constant(0.05, np.float32), graph.constant(0, np.int8)
        codes = graph.node("QuantizeLinear", graph.node("Flatten", "input", axis=1), scale, zero)
        weight = graph.constant(graph.rng.integers(-127, 128, (CHANNELS * SIDE * SIDE, 8)), np.int8)
        if operator == "QLinearMatMul":
            result = graph.node(operator, codes, scale, zero, weight, scale, zero, scale, zero)
            return graph.model(graph.node("DequantizeLinear", result, scale, zero))
        return graph.model(graph.node("Cast", graph.node(operator, codes, weight), to=TensorProto.FLOAT))

    return make


def _integer_convolution_of_two() -> ModelProto:
    graph = Graph()
    codes = graph.node("QuantizeLinear", "input", graph.constant(0.05, np.float32), graph.constant(0, np.int8))
    weight = graph.constant(graph.rng.integers(-127, 128, (8, CHANNELS, 1, 1)), np.int8)
    return graph.model(graph.node("Cast", graph.node("ConvInteger", codes, weight), to=TensorProto.FLOAT))


def _dynamic() -> ModelProto:
    graph = Graph()
    codes = graph.node("DynamicQuantizeLinear", "input", outputs=3)
    real = graph.node("DequantizeLinear", codes, f"{codes}_1", f"{codes}_2")
    return graph.model(graph.convolution(real))


def _runtime_operator() -> ModelProto:
    graph = Graph()
    scale, zero = graph.constant(0.05, np.float32), graph.constant(0, np.int8)
    codes = graph.node("QuantizeLinear", "input", scale, zero)
    total = graph.node("QLinearAdd", codes, scale, zero, codes, scale, zero, scale, zero, domain="com.microsoft")
    return graph.model(graph.convolution(graph.node("DequantizeLinear", total, scale, zero)))


def _half_scales_in_opset_17() -> ModelProto:
    return two_convolutions(replace(PLAIN, half=True), opset=17)


def _per_channel_in_opset_10() -> ModelProto:
    return two_convolutions(PLAIN, opset=10)


def _with_operator(operator: str, *, opset: int = 20, domain: str = "") -> Callable[[], ModelProto]:
    def make() -> ModelProto:
        graph = Graph(opset)
        value = graph.node("Relu", graph.convolution(graph.quantized("input")))
        return graph.model(graph.node(operator, value, domain=domain))

    return make


def _wrong_shapes() -> ModelProto:
    graph = Graph()
    return graph.model(graph.convolution(graph.quantized("input"), inputs=8))


def _mixed_types() -> ModelProto:
    graph = Graph()
    weight = graph.constant(np.zeros((8, CHANNELS, 1, 1)), np.float16)
    return graph.model(graph.node("Conv", graph.quantized("input"), weight))


def _half_quantized(*, activation: bool) -> Callable[[], ModelProto]:
    def make() -> ModelProto:
        graph = Graph()
        weight = graph.constant(graph.rng.standard_normal((CHANNELS, CHANNELS, 3, 3)) * 0.1, np.float32)
        value = graph.quantized("input") if activation else "input"
        if not activation:
            weight = graph.weight((CHANNELS, CHANNELS, 3, 3))
        return graph.model(graph.node("Conv", value, weight, kernel_shape=[3, 3], pads=[1] * 4))

    return make


def _half_quantized_product(*, activation: bool) -> Callable[[], ModelProto]:
    def make() -> ModelProto:
        graph = Graph()
        flat = graph.node("Flatten", graph.quantized("input") if activation else "input", axis=1)
        size = (CHANNELS * SIDE * SIDE, 8)
        weight = graph.constant(graph.rng.standard_normal(size) * 0.1, np.float32)
        return graph.model(
            graph.node("MatMul", flat, weight if activation else graph.weight(size, Style(weight_axis=1)))
        )

    return make


def _first_convolution_in_float() -> ModelProto:
    graph = Graph()
    weight = graph.constant(graph.rng.standard_normal((CHANNELS, CHANNELS, 3, 3)) * 0.1, np.float32)
    first = graph.node("Relu", graph.node("Conv", "input", weight, kernel_shape=[3, 3], pads=[1] * 4))
    return graph.model(graph.convolution(graph.quantized(first)))


def _transposed(style: Style) -> Callable[[], ModelProto]:
    def make() -> ModelProto:
        graph = Graph()
        weight = graph.weight((CHANNELS, 8, 2, 2), style)
        value = graph.quantized(graph.node("Relu", graph.convolution(graph.quantized("input"))))
        return graph.model(graph.node("ConvTranspose", value, weight, kernel_shape=[2, 2], strides=[2, 2]))

    return make


def _not_quantized() -> ModelProto:
    graph = Graph()
    weight = graph.constant(graph.rng.standard_normal((CHANNELS, CHANNELS, 3, 3)) * 0.1, np.float32)
    return graph.model(graph.node("Conv", "input", weight, kernel_shape=[3, 3], pads=[1] * 4))


def _float_result(operator: str) -> Callable[[], ModelProto]:
    def make() -> ModelProto:
        graph = Graph()
        codes = graph.quantized(graph.node("Relu", graph.convolution(graph.quantized("input"))))
        if operator == "Add":
            other = graph.quantized(graph.node("Abs", "input"))
            return graph.model(graph.node("Softmax", graph.node("Add", codes, other)))
        return graph.model(graph.node("Softmax", graph.node(operator, codes), axis=1))

    return make


def _concatenation(scales: tuple[float, float]) -> Callable[[], ModelProto]:
    def make() -> ModelProto:
        graph = Graph()
        codes = graph.quantized("input")
        parts = [
            graph.quantized(graph.node("Relu", graph.convolution(codes)), replace(PLAIN, scale=scale))
            for scale in scales
        ]
        joined = graph.node("Concat", *parts, axis=1)
        return graph.model(graph.convolution(joined, inputs=2 * CHANNELS))

    return make


def _branch_inside() -> ModelProto:
    graph = Graph()
    condition = graph.constant(True, np.bool_)
    value = graph.convolution(graph.quantized("input"))
    inner = [
        helper.make_graph(
            [helper.make_node(operator, [value], [f"{operator}_out"], name=operator)],
            operator,
            [],
            [helper.make_tensor_value_info(f"{operator}_out", TensorProto.FLOAT, [1, CHANNELS, SIDE, SIDE])],
        )
        for operator in ("Relu", "Abs")
    ]
    return graph.model(graph.node("If", condition, then_branch=inner[0], else_branch=inner[1]))


def _squeeze_and_excitation() -> ModelProto:
    graph = Graph()
    value = graph.node("Relu", graph.convolution(graph.quantized("input")))
    codes = graph.quantized(value)
    pooled = graph.quantized(graph.node("GlobalAveragePool", codes))
    gate = graph.node("Sigmoid", graph.convolution(pooled, kernel=1))
    return graph.model(graph.convolution(graph.quantized(graph.node("Mul", codes, gate))))


def _attention() -> ModelProto:
    graph = Graph()
    style = Style(weight_axis=1)
    rows = graph.node("Reshape", "input", graph.constant([1, 64, 64], np.int64))
    codes = graph.quantized(rows)
    query, key, value = (graph.quantized(graph.node("MatMul", codes, graph.weight((64, 64), style))) for _ in range(3))
    scores = graph.node("MatMul", query, graph.node("Transpose", key, perm=[0, 2, 1]))
    mixed = graph.node("MatMul", graph.quantized(graph.node("Softmax", scores, axis=-1)), value)
    return graph.model(graph.node("MatMul", graph.quantized(mixed), graph.weight((64, 32), style)))


def _grid() -> ModelProto:
    graph = Graph()
    value = graph.node("Relu", graph.convolution(graph.quantized("input"), group=CHANNELS))
    value = graph.quantized(graph.node("MaxPool", graph.quantized(value), kernel_shape=[2, 2], strides=[2, 2]))
    value = graph.node("Relu", graph.convolution(value, kernel=1))
    return graph.model(graph.convolution(graph.quantized(value), channels=8))


BROKEN = (
    Case("activation zero point 3", "TRT001", _plain(zero_point=3)),
    Case("weight zero point 1", "TRT001", _plain(weight_zero_point=1)),
    Case("uint8 activations, zero point 128", "TRT001", _plain(codes=np.uint8, zero_point=128)),
    Case("uint8 activations, zero point 0", "TRT002", _plain(codes=np.uint8)),
    Case("zero point left out", "TRT003", _plain(zero_point=None)),
    Case("computed scale", "TRT004", _computed_scale),
    Case("scale 0", "TRT005", _plain(scale=0.0)),
    Case("negative scale", "TRT005", _plain(scale=-0.05)),
    Case("scale not a number", "TRT005", _plain(scale=float("nan"))),
    Case("two zero points for one scale", "TRT006", _unequal_sizes),
    Case("8 scales for 16 channels", "TRT006", _too_few_scales),
    Case("int32 bias behind DequantizeLinear", "TRT007", _plain(bias="int32")),
    Case("QLinearConv", "TRT008", _integer_convolution),
    Case("QLinearMatMul", "TRT008", _integer_product("QLinearMatMul")),
    Case("MatMulInteger", "TRT008", _integer_product("MatMulInteger")),
    Case("ConvInteger", "TRT008", _integer_convolution_of_two),
    Case("DynamicQuantizeLinear", "TRT008", _dynamic),
    Case("com.microsoft QLinearAdd", "TRT008", _runtime_operator),
    Case("uint8 weights", "TRT009", _plain(weight_codes=np.uint8, weight_zero_point=128)),
    Case("uint8 weights, zero point 0", "TRT009", _plain(weight_codes=np.uint8)),
    Case("int16 activations", "TRT010", _wide_codes(TensorProto.INT16)),
    Case("uint16 activations", "TRT010", _wide_codes(TensorProto.UINT16)),
    Case("fp8 on Orin", "TRT011", _float8),
    Case("computed zero point", "TRT012", _computed_zero_point),
    Case("fp16 scales in opset 17", "TRT013", _half_scales_in_opset_17),
    Case("scales per channel in opset 10", "TRT014", _per_channel_in_opset_10),
    Case("operator Det", "TRT015", _with_operator("Det")),
    Case("operator Unique", "TRT015", _with_operator("Unique")),
    Case("operator of a foreign domain", "TRT015", _with_operator("Fancy", domain="acme")),
    Case("weight of other channels than the input", "TRT016", _wrong_shapes),
    Case("fp16 weight, float32 input", "TRT016", _mixed_types),
    Case("weight of Conv in float", "TRT020", _half_quantized(activation=True)),
    Case("input of Conv in float", "TRT020", _half_quantized(activation=False)),
    Case("weight of MatMul in float", "TRT020", _half_quantized_product(activation=True)),
    Case("input of MatMul in float", "TRT020", _half_quantized_product(activation=False)),
    Case("Conv weight scales along axis 1", "TRT021", _plain(weight_axis=1)),
    Case("Gemm weight scales along axis 0", "TRT021", lambda: classifier("gemm", Style(weight_axis=0))),
    Case("transposed Gemm, scales along axis 1", "TRT021", lambda: classifier("gemm-transposed", Style(weight_axis=1))),
    Case("MatMul weight scales along axis 0", "TRT021", lambda: classifier("matmul", Style(weight_axis=0))),
    Case("one scale per channel of an activation", "TRT022", _plain(scale=(0.05,) * CHANNELS)),
    Case("first convolution not quantized", "TRT023", _first_convolution_in_float),
    Case("ConvTranspose, scales per channel", "TRT024", _transposed(Style(weight_axis=1))),
    Case("ConvTranspose, one scale", "TRT024", _transposed(Style(weight_axis=None))),
    Case("no quantization", "TRT025", _not_quantized),
    Case("Concat of two scales", "TRT034", _concatenation((0.05, 0.03))),
    Case("rounded before ReLU", "TRT030", lambda: followed("Relu", rounded_before=True), judged=False),
    Case(
        "rounded before batch norm", "TRT030", lambda: followed("BatchNormalization", rounded_before=True), judged=False
    ),
    Case("rounded before HardSwish", "TRT030", lambda: followed("HardSwish", rounded_before=True), judged=False),
    Case("both operands of a sum rounded", "TRT031", lambda: residual_block(branch=True), judged=False),
    Case("skip input in float", "TRT032", lambda: residual_block(skip=False), judged=False),
    Case("sum of codes read in float", "TRT033", _float_result("Add"), judged=False),
    Case("average of codes read in float", "TRT033", _float_result("GlobalAveragePool"), judged=False),
    Case("opset 21 for TensorRT 8.6", "TRT017", lambda: two_convolutions(opset=21), (8, 6), judged=False),
    Case("free batch", "TRT018", lambda: two_convolutions(shape=FREE_BATCH), judged=False),
    Case("graph inside If", "TRT019", _branch_inside, judged=False),
    Case("float32 remainder on TensorRT 11", "TRT035", two_convolutions, (11, 4), judged=False),
)

CLEAN = (
    Case("two convolutions", "", two_convolutions),
    Case("weights as real values behind Q and DQ", "", _plain(stored=False)),
    Case("one scale per weight", "", _plain(weight_axis=None)),
    Case("no bias", "", _plain(bias="none")),
    Case("opset 13", "", lambda: two_convolutions(opset=13)),
    Case("opset 19", "", lambda: two_convolutions(opset=19)),
    Case("fp16 scales and remainder", "", lambda: two_convolutions(replace(PLAIN, half=True), opset=19)),
    Case("Q and DQ of com.microsoft", "", _plain(domain="com.microsoft")),
    Case("residual block", "", residual_block),
    Case("gemm", "", lambda: classifier("gemm", Style(weight_axis=1))),
    Case("transposed gemm", "", lambda: classifier("gemm-transposed", Style(weight_axis=0))),
    Case("matmul and bias", "", lambda: classifier("matmul", Style(weight_axis=1))),
    Case("batch norm and ReLU after conv", "", lambda: followed("BatchNormalization", rounded_before=False)),
    Case("SiLU after conv", "", lambda: followed("Silu", rounded_before=False)),
    Case("HardSwish after conv", "", lambda: followed("HardSwish", rounded_before=False)),
    Case("ReLU6 after conv", "", lambda: followed("Clip", rounded_before=False)),
    Case("gelu after conv", "", lambda: followed("Gelu", rounded_before=False, opset=20)),
    Case("Concat of one scale", "", _concatenation((0.05, 0.05))),
    Case("squeeze and excitation", "", _squeeze_and_excitation),
    Case("depthwise, pooling, pointwise", "", _grid),
    Case("attention", "", _attention),
)
