"""One small ONNX graph for each integer kernel, all codes as inputs, and what the twin says of the same codes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import fx

from edgedistill.quantize.operators import DEQUANTIZE, QUANTIZE
from edgedistill.quantize.twin.interpreter import computed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray
    from onnx import ModelProto

ATEN = torch.ops.aten
CODE_TYPES = {np.dtype(np.uint8): TensorProto.UINT8, np.dtype(np.int8): TensorProto.INT8}
ALL_CODES = np.arange(256, dtype=np.uint8)


@dataclass(frozen=True)
class Quantized:
    """A quantized tensor: an input of the graph, or stored in it."""

    codes: NDArray[np.integer]
    scale: NDArray[np.float32]
    zero_point: NDArray[np.integer]
    stored: bool = False
    axis: int = 0

    def node(self, graph: fx.Graph, values: dict[fx.Node, object], name: str) -> fx.Node:
        """Add the dequantized tensor to a graph of aten operators."""
        parts = []
        for part, value in (("codes", self.codes), ("scale", self.scale), ("zero_point", self.zero_point)):
            parts.append(graph.placeholder(f"{name}_{part}"))
            values[parts[-1]] = torch.from_numpy(np.asarray(value))
        return graph.call_function(DEQUANTIZE, (*parts, self.axis))


@dataclass(frozen=True)
class Case:
    """One operator between DequantizeLinear and QuantizeLinear, in ONNX and in aten.

    Args:
        name: unique.
        kernel: ONNX Runtime's operator that has to compute it; "" where it computes in float.
        onnx_operator: its name in ONNX.
        attributes: of the ONNX operator.
        target: its aten operator.
        arguments: builds the aten arguments from the nodes of the inputs.
        inputs: its quantized inputs.
        output: scale and zero point of the output; None means that it stays in float.
        variadic: whether ONNX takes the inputs as a list, as Concat does.
    """

    name: str
    kernel: str
    onnx_operator: str
    target: Callable[..., object]
    arguments: Callable[..., tuple[object, ...]]
    inputs: Sequence[Quantized]
    output: tuple[np.float32, NDArray[np.integer]] | None
    attributes: Mapping[str, object] = field(default_factory=dict)

    def twin(self) -> NDArray[np.generic]:
        """Return what the twin computes."""
        graph, values = fx.Graph(), {}
        nodes = [item.node(graph, values, f"input_{index}") for index, item in enumerate(self.inputs)]
        result = graph.call_function(self.target, self.arguments(*nodes))
        if self.output is not None:
            scale, zero_point = (graph.placeholder(name) for name in ("scale", "zero_point"))
            values[scale], values[zero_point] = (torch.from_numpy(np.asarray(value)) for value in self.output)
            result = graph.call_function(QUANTIZE, (result, scale, zero_point, 1))
        for node in graph.nodes:
            if node.op == "call_function":
                values[node] = computed(node, lambda argument: values[argument])
        value = values[result]
        return (value if isinstance(value, torch.Tensor) else value.real()).numpy()  # type: ignore[attr-defined,no-any-return] # a value of the twin

    def feed(self) -> dict[str, NDArray[np.integer]]:
        """Return the codes of the graph's inputs."""
        return {f"x{index}": item.codes for index, item in enumerate(self.inputs) if not item.stored}

    def model(self) -> ModelProto:
        """Return the graph in ONNX."""
        nodes, constants, inputs, real = [], [], [], []

        def constant(name: str, value: object) -> str:
            constants.append(numpy_helper.from_array(np.asarray(value), name))
            return name

        for index, item in enumerate(self.inputs):
            name = f"x{index}"
            if item.stored:
                constant(name, item.codes)
            else:
                inputs.append(helper.make_tensor_value_info(name, CODE_TYPES[item.codes.dtype], item.codes.shape))
            parameters = [constant(f"{name}_scale", item.scale), constant(f"{name}_zero", item.zero_point)]
            nodes.append(helper.make_node("DequantizeLinear", [name, *parameters], [f"{name}_real"], axis=item.axis))
            real.append(f"{name}_real")
        quantized = self.output is not None
        nodes.append(helper.make_node(self.onnx_operator, real, ["real" if quantized else "y"], **self.attributes))
        kind = TensorProto.FLOAT
        if self.output is not None:
            scale, zero_point = self.output
            parameters = [constant("scale", np.float32(scale)), constant("zero", zero_point)]
            nodes.append(helper.make_node("QuantizeLinear", ["real", *parameters], ["y"]))
            kind = CODE_TYPES[zero_point.dtype]
        graph = helper.make_graph(nodes, self.name, inputs, [helper.make_tensor_value_info("y", kind, None)], constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def scale_near(value: float) -> np.float32:
    """Return the nearest scale that fp16 can hold."""
    return np.float32(np.float16(value))


def random_codes(seed: int, *shape: int) -> NDArray[np.uint8]:
    """Return random uint8 codes."""
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def activation(codes: NDArray[np.uint8], scale: float, zero_point: int) -> Quantized:
    """Return an input with an fp16 scale."""
    return Quantized(codes, np.asarray(scale_near(scale)), np.asarray(zero_point, np.uint8))


def weights(seed: int, *shape: int, axis: int = 0, per_channel: bool = True) -> Quantized:
    """Return stored int8 weights with one scale a channel or one for all."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(-127, 128, shape).astype(np.int8)
    scales = rng.uniform(0.001, 0.003, shape[axis] if per_channel else ()).astype(np.float16).astype(np.float32)
    scale = np.asarray(scales)
    return Quantized(codes, scale, np.zeros(scale.shape, np.int8), stored=True, axis=axis)


def biases(seed: int, count: int, source: Quantized, weight: Quantized) -> Quantized:
    """Return stored int32 biases at the scale of the sums they are added to."""
    codes = np.random.default_rng(seed).integers(-3000, 3000, count).astype(np.int32)
    scale = np.asarray(source.scale * weight.scale, np.float32)
    return Quantized(codes, scale, np.zeros(scale.shape, np.int32), stored=True)


def output(scale: float, zero_point: int) -> tuple[np.float32, NDArray[np.integer]]:
    """Return an output's fp16 scale and uint8 zero point."""
    return scale_near(scale), np.asarray(zero_point, np.uint8)


def every_pair() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return two tensors (256, 256) in which every pair of codes stands once."""
    return np.repeat(ALL_CODES[:, None], 256, 1), np.repeat(ALL_CODES[None, :], 256, 0)


def convolutions() -> list[Case]:
    """Return convolutions of every kind that networks have."""
    kinds: list[tuple[str, tuple[int, ...], tuple[int, ...], dict[str, object]]] = [
        ("dense", (2, 8, 12, 12), (16, 8, 3, 3), {"padding": 1}),
        ("strided", (2, 3, 16, 16), (16, 3, 3, 3), {"padding": 1, "stride": 2}),
        ("pointwise", (2, 64, 6, 6), (32, 64, 1, 1), {}),
        ("depthwise", (2, 8, 12, 12), (8, 1, 3, 3), {"padding": 1, "groups": 8}),
        ("depthwise_5", (2, 16, 12, 12), (16, 1, 5, 5), {"padding": 2, "groups": 16, "stride": 2}),
        ("multiplier", (2, 16, 8, 8), (32, 1, 3, 3), {"padding": 1, "groups": 16}),
        ("grouped_dilated", (2, 8, 12, 12), (8, 4, 3, 3), {"padding": 2, "groups": 2, "dilation": 2}),
        ("one_dimension", (2, 8, 50), (12, 8, 3), {"padding": 1}),
        ("one_dimension_dilated", (2, 8, 50), (8, 1, 3), {"padding": 2, "groups": 8, "dilation": 2}),
        ("beyond_float32", (1, 1024, 4, 4), (8, 1024, 3, 3), {"padding": 1}),
    ]
    return [*(_convolution(seed, *kind) for seed, kind in enumerate(kinds)), _tied_convolution()]


def _tied_convolution() -> Case:
    """Return a convolution with scales that are powers of two: every fourth sum lies between two codes."""
    source = activation(random_codes(3, 2, 4, 12, 12), 2.0**-5, 77)
    codes = np.random.default_rng(3).integers(-7, 8, (8, 4, 1, 1)).astype(np.int8)
    weight = Quantized(codes, np.full(8, 2.0**-4, np.float32), np.zeros(8, np.int8), stored=True)
    return Case(
        name="conv_ties",
        kernel="QLinearConv",
        onnx_operator="Conv",
        target=ATEN.conv2d.default,
        arguments=lambda x, w: (x, w),
        inputs=(source, weight),
        output=output(2.0**-7, 101),
        attributes={"kernel_shape": [1, 1]},
    )


def _convolution(
    seed: int, name: str, inputs: tuple[int, ...], shape: tuple[int, ...], options: dict[str, int]
) -> Case:
    axes = len(shape) - 2
    stride, padding, dilation, groups = (
        options.get(key, default) for key, default in (("stride", 1), ("padding", 0), ("dilation", 1), ("groups", 1))
    )
    source, weight = activation(random_codes(seed, *inputs), 0.03, 25 * seed), weights(seed, *shape)
    spread = 0.03 * 0.002 * 73 * 73 * float(np.sqrt(np.prod(shape[1:])))
    each = ([stride] * axes, [padding] * axes, [dilation] * axes)
    return Case(
        name=f"conv_{name}",
        kernel="QLinearConv",
        onnx_operator="Conv",
        target=ATEN.conv1d.default if axes == 1 else ATEN.conv2d.default,
        arguments=lambda x, w, b: (x, w, b, *each, groups),
        inputs=(source, weight, biases(seed, shape[0], source, weight)),
        output=output(spread * 6 / 255, 120),
        attributes={
            "strides": each[0],
            "pads": each[1] * 2,
            "dilations": each[2],
            "group": groups,
            "kernel_shape": list(shape[2:]),
        },
    )


def matrix_products() -> list[Case]:
    """Return linear layers and matrix products, with and without codes as output."""
    cases = []
    for seed, (per_channel, quantized) in enumerate(((True, True), (False, True), (True, False), (False, False))):
        source = activation(random_codes(seed, 64, 300), 0.03, 100)
        weight = weights(seed, 30, 300, per_channel=per_channel)
        cases.append(
            Case(
                name=f"linear_{'channel' if per_channel else 'tensor'}_{'codes' if quantized else 'float'}",
                kernel="QGemm",
                onnx_operator="Gemm",
                target=ATEN.linear.default,
                arguments=lambda x, w, b: (x, w, b),
                inputs=(source, weight, biases(seed, 30, source, weight)),
                output=output(0.08, 120) if quantized else None,
                attributes={"transB": 1},
            )
        )
    for seed, (quantized, inner) in enumerate(((True, 64), (False, 64), (True, 700))):
        first = activation(random_codes(seed, 2, 3, 20, inner), 0.03, 100)
        second = activation(random_codes(seed + 9, 2, 3, inner, 16), 0.02, 111)
        cases.append(
            Case(
                name=f"matmul_{inner}_{'codes' if quantized else 'float'}",
                kernel="QLinearMatMul" if quantized else "MatMulIntegerToFloat",
                onnx_operator="MatMul",
                target=ATEN.matmul.default,
                arguments=lambda x, y: (x, y),
                inputs=(first, second),
                output=output(0.4, 120) if quantized else None,
            )
        )
    return cases


def elementwise() -> list[Case]:
    """Return products of every pair of codes, and sums where no sum is a tie."""
    first, second = every_pair()
    cases = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        scales, zeros = rng.uniform(0.005, 0.1, 2), rng.integers(0, 256, 3)
        inputs = [activation(codes, *pair) for codes, *pair in zip((first, second), scales, zeros[:2], strict=True)]
        ratio = rng.uniform(60, 300)
        cases.append(
            Case(
                name=f"mul_{seed}",
                kernel="QLinearMul",
                onnx_operator="Mul",
                target=ATEN.mul.Tensor,
                arguments=lambda x, y: (x, y),
                inputs=inputs,
                output=output(float(np.prod(scales)) * ratio, int(zeros[2])),
            )
        )
    for seed, (one, two, three) in enumerate(((96, 128, 1023), (77, 512, 1201), (100, 100, 1417), (64, 768, 1999))):
        unit = 2.0**-14
        inputs = [activation(first, one * 8 * unit, 40 * seed), activation(second, two * unit, 255 - 60 * seed)]
        cases.append(
            Case(
                name=f"add_{seed}",
                kernel="QLinearAdd",
                onnx_operator="Add",
                target=ATEN.add.Tensor,
                arguments=lambda x, y: (x, y),
                inputs=inputs,
                output=output(three * unit, 17 * seed),
            )
        )
    return cases


def broadcasts() -> list[Case]:
    """Return products and sums of tensors of other shapes: squeeze-excite, positions, one value."""
    shapes: list[tuple[str, tuple[int, ...]]] = [("gate", (2, 6, 1, 1)), ("one", (1,)), ("row", (9,))]
    cases = []
    for name, shape in shapes:
        inputs = [activation(random_codes(1, 2, 6, 5, 9), 0.03, 128), activation(random_codes(2, *shape), 1 / 256, 0)]
        cases.append(
            Case(
                name=f"mul_{name}",
                kernel="QLinearMul",
                onnx_operator="Mul",
                target=ATEN.mul.Tensor,
                arguments=lambda x, y: (x, y),
                inputs=inputs,
                output=output(0.025, 110),
            )
        )
    return cases


def averages() -> list[Case]:
    """Return averages over images of several sizes, ties among them, and over windows."""
    cases = []
    for seed, side in enumerate((7, 5, 9, 14)):
        rng = np.random.default_rng(seed)
        base = rng.integers(0, 256, (1, 4096, 1, 1))
        codes = np.clip(base + rng.integers(-40, 40, (1, 4096, side, side)), 0, 255).astype(np.uint8)
        cases.append(
            Case(
                name=f"global_average_{side}",
                kernel="QLinearGlobalAveragePool",
                onnx_operator="GlobalAveragePool",
                target=ATEN.mean.dim,
                arguments=lambda x: (x, [2, 3], True),
                inputs=(activation(codes, 0.037, 20 * seed),),
                output=output(0.0203 + 0.001 * seed, 10 * seed),
            )
        )
    sums = np.arange(255 * 64 + 1)[:, None]
    codes = (sums // 64 + (np.arange(64) < sums % 64)).astype(np.uint8).reshape(1, -1, 8, 8)
    for name, scale in (("quarter", 1 / 32), ("half", 1 / 64), ("none", 0.0371)):
        cases.append(
            Case(
                name=f"global_average_every_sum_{name}",
                kernel="QLinearGlobalAveragePool",
                onnx_operator="GlobalAveragePool",
                target=ATEN.adaptive_avg_pool2d.default,
                arguments=lambda x: (x, [1, 1]),
                inputs=(activation(codes, 1 / 32, 128),),
                output=output(scale, 100),
            )
        )
    windows: list[tuple[str, dict[str, object], tuple[object, ...]]] = [
        ("plain", {"kernel_shape": [2, 2], "strides": [2, 2]}, ([2, 2], [2, 2])),
        (
            "padded",
            {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1},
            ([3, 3], [2, 2], [1, 1]),
        ),
        (
            "own_count",
            {"kernel_shape": [3, 3], "strides": [1, 1], "pads": [1, 1, 1, 1], "count_include_pad": 0},
            ([3, 3], [1, 1], [1, 1], False, False),
        ),
    ]
    windows.append(("ties", {"kernel_shape": [2, 2], "strides": [1, 1]}, ([2, 2], [1, 1])))
    for seed, (name, attributes, options) in enumerate(windows):
        cases.append(
            Case(
                name=f"average_{name}",
                kernel="QLinearAveragePool",
                onnx_operator="AveragePool",
                target=ATEN.avg_pool2d.default,
                arguments=lambda x, options=options: (x, *options),
                inputs=(activation(random_codes(seed, 2, 16, 15, 15), 1 / 32 if name == "ties" else 0.037, 30 * seed),),
                output=output(1 / 32, 51) if name == "ties" else output(0.0301, 50 - 20 * seed),
                attributes=attributes,
            )
        )
    return cases


def tables() -> list[Case]:
    """Return the functions of one code that have an integer kernel."""
    cases = []
    for seed in range(4):
        source = activation(ALL_CODES[None], 0.02 + 0.011 * seed, 60 + 45 * seed)
        for name, kernel, onnx_operator, target, arguments, attributes, scale in (
            ("sigmoid", "QLinearSigmoid", "Sigmoid", ATEN.sigmoid.default, (), {}, 1 / 256),
            ("leaky", "QLinearLeakyRelu", "LeakyRelu", ATEN.leaky_relu.default, (0.1,), {"alpha": 0.1}, 0.021),
        ):
            cases.append(
                Case(
                    name=f"{name}_{seed}",
                    kernel=kernel,
                    onnx_operator=onnx_operator,
                    target=target,
                    arguments=lambda x, arguments=arguments: (x, *arguments),
                    inputs=(source,),
                    output=output(scale, 0 if name == "sigmoid" else 30 * seed),
                    attributes=attributes,
                )
            )
    return cases


def softmaxes() -> list[Case]:
    """Return softmaxes over rows of several lengths, axes and output scales."""
    kinds = [("classes", (400, 10), -1, 1 / 256), ("tokens", (8, 197, 197), -1, 1 / 256)]
    kinds += [("wide", (20, 1000), -1, 1 / 256), ("inner", (6, 20, 30), 1, 1 / 256), ("coarse", (400, 5), -1, 1 / 200)]
    cases = []
    for seed, (name, shape, axis, scale) in enumerate(kinds):
        codes = random_codes(seed, *shape)
        codes[: len(codes) // 3] = codes[: len(codes) // 3] // 16 + 100  # rows without a large value
        cases.append(
            Case(
                name=f"softmax_{name}",
                kernel="QLinearSoftmax",
                onnx_operator="Softmax",
                target=ATEN.softmax.int,
                arguments=lambda x, axis=axis: (x, axis),
                inputs=(activation(codes, 0.03 + 0.02 * seed, 120),),
                output=output(scale, 0 if name != "coarse" else 3),
                attributes={"axis": axis},
            )
        )
    return cases


def concatenations() -> list[Case]:
    """Return concatenations of different scales: every code through its table."""
    cases = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        inputs = [activation(ALL_CODES[None], rng.uniform(0.01, 0.1), rng.integers(0, 256)) for _ in range(3)]
        cases.append(
            Case(
                name=f"concat_{seed}",
                kernel="QLinearConcat",
                onnx_operator="Concat",
                target=ATEN.cat.default,
                arguments=lambda *parts: (list(parts), 1),
                inputs=inputs,
                output=output(rng.uniform(0.01, 0.1), int(rng.integers(0, 256))),
                attributes={"axis": 1},
            )
        )
    return cases


CASES = [
    *convolutions(),
    *matrix_products(),
    *elementwise(),
    *broadcasts(),
    *averages(),
    *tables(),
    *softmaxes(),
    *concatenations(),
]
