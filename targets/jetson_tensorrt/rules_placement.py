"""Finds Q and DQ that stand where TensorRT cannot use them: the layer runs in float, or fuses less."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto

from edgedistill.targets.jetson_tensorrt.finding import Finding
from edgedistill.targets.jetson_tensorrt.network import (
    DEQUANTIZE,
    QUANTIZE,
    integer,
    name_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnx import NodeProto

    from edgedistill.targets.jetson_tensorrt.finding import Setting
    from edgedistill.targets.jetson_tensorrt.network import Network

# What TensorRT fuses to the end of a convolution or a product: it is to be quantized after them.
FUSED_AFTER = frozenset({"Relu", "Clip", "Sigmoid", "HardSwish", "HardSigmoid", "LeakyRelu", "Tanh", "Gelu"})
JOINS = frozenset({"Add", "Mul", "GlobalAveragePool", "AveragePool"})
OPERANDS = 2
SCALE = 1


def half_quantized(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield products of which only one operand is quantized."""
    for node in network.weighted:
        quantized = [network.dequantized(name) for name in node.input[:OPERANDS]]
        if quantized[0] != quantized[1]:
            missing = "weight" if quantized[0] else "input"
            yield Finding(name_of(node), f"the {missing} of {node.op_type} is not quantized")


def not_quantized(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield products without any quantized operand, in a model that has quantized ones."""
    if not network.quantizers:
        return
    for node in network.weighted:
        constant = any(_is_constant(network, name) for name in node.input[:OPERANDS])
        if constant and not any(network.dequantized(name) for name in node.input[:OPERANDS]):
            yield Finding(name_of(node), f"neither input nor weight of {node.op_type} is quantized")


def no_quantization(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield a model that is not quantized at all."""
    if network.weighted and not network.quantizers:
        yield Finding("model", "no QuantizeLinear and no DequantizeLinear")


def wrong_weight_axis(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield per-channel weights whose scales do not lie along the output channels."""
    for node in network.weighted:
        dequantize = network.source(node.input[1])
        axis = _scale_axis(network, dequantize)
        if axis is None or dequantize is None:
            continue
        wanted = _output_axis(network, node, dequantize)
        if axis != wanted:
            yield Finding(name_of(node), f"scales along axis {axis}; output channels are axis {wanted}")


def per_channel_activations(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield activations with a scale per channel."""
    for node in network.quantizers:
        scale = network.constants.get(node.input[SCALE])
        if scale is not None and scale.size > 1 and node.op_type == QUANTIZE and not network.is_weight(node):
            yield Finding(name_of(node), f"{scale.size} scales of an activation")


def transposed_convolutions(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield quantized transposed convolutions."""
    for node in network.weighted:
        if node.op_type == "ConvTranspose" and all(network.dequantized(name) for name in node.input[:OPERANDS]):
            yield Finding(name_of(node), "a quantized ConvTranspose")


def quantized_before_activation(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield products that are rounded before the activation or the batch norm that follows them."""
    for node in _quantized_products(network):
        for reader in network.readers_after_codes(node.output[0]):
            if reader.op_type in FUSED_AFTER or reader.op_type == "BatchNormalization":
                yield Finding(name_of(node), f"Q and DQ stand between {node.op_type} and {reader.op_type}")


def quantized_sum_branch(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield sums both of whose operands are rounded, although one comes from a product alone."""
    for node in network.nodes:
        if node.op_type != "Add" or not all(network.dequantized(name) for name in node.input):
            continue
        products = [_product_behind_codes(network, name) for name in node.input]
        if any(product is not None for product in products) and not _is_fused(network, node):
            product = next(product for product in products if product is not None)
            yield Finding(name_of(node), f"the result of '{name_of(product)}' is rounded before it is added")


def float_skip_input(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield sums of a quantized product and a float value whose result is rounded."""
    for node in network.nodes:
        if node.op_type != "Add" or not _is_rounded(network, node):
            continue
        operands = [name for name in node.input if not _is_constant(network, name)]
        fused = [name for name in operands if _is_quantized_product(network, network.producer.get(name))]
        others = [name for name in operands if name not in fused]
        if len(fused) == 1 and len(others) == 1 and not network.dequantized(others[0]):
            yield Finding(name_of(node), f"the skip input '{others[0]}' is not quantized")


def float_result(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield sums and averages that read codes and whose result is not rounded."""
    for node in network.nodes:
        if node.op_type not in JOINS or network.is_output(node.output[0]):
            continue
        operands = [name for name in node.input if not _is_constant(network, name)]
        if operands and all(network.dequantized(name) for name in operands) and not _is_rounded(network, node):
            yield Finding(name_of(node), f"{node.op_type} reads codes, and its result is not quantized")


def unequal_concatenation(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield concatenations of codes with different scales that a product reads."""
    for node in network.nodes:
        if node.op_type != "Concat":
            continue
        scales = network.joined_scales(node)
        readers = [reader for reader in network.consumers[node.output[0]] if reader in network.weighted]
        if len(scales) > 1 and readers:
            yield Finding(name_of(node), f"{len(scales)} different scales, read by '{name_of(readers[0])}'")


def float32_remainder(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield a quantized model whose other operators are float32."""
    has_half = any(item in (TensorProto.FLOAT16, TensorProto.BFLOAT16) for item in network.types.values())
    if network.quantizers and not has_half:
        yield Finding("model", "no fp16 or bf16 value")


def _quantized_products(network: Network) -> Iterator[NodeProto]:
    for node in network.weighted:
        if _is_quantized_product(network, node):
            yield node


def _is_quantized_product(network: Network, node: NodeProto | None) -> bool:
    """Tell whether a node is a product of codes, looking back over a batch norm."""
    if node is not None and node.op_type == "BatchNormalization":
        node = network.producer.get(node.input[0])
    return node is not None and node in network.weighted and all(network.dequantized(name) for name in node.input[:2])


def _product_behind_codes(network: Network, name: str) -> NodeProto | None:
    """Return the product whose rounded result a value is, if nothing else reads it."""
    dequantize = network.source(name)
    quantize = network.producer.get(dequantize.input[0]) if dequantize is not None else None
    node = network.producer.get(quantize.input[0]) if quantize is not None else None
    if node is None or not _is_quantized_product(network, node) or quantize is None or dequantize is None:
        return None
    alone = len(network.consumers[quantize.output[0]]) == 1 and len(network.consumers[dequantize.output[0]]) == 1
    return node if alone else None


def _is_fused(network: Network, node: NodeProto) -> bool:
    """Tell whether a sum has an operand that is a product in float."""
    return any(_is_quantized_product(network, network.producer.get(name)) for name in node.input)


def _is_rounded(network: Network, node: NodeProto) -> bool:
    """Tell whether a value is rounded by all who read it, itself or after what is fused to it."""
    readers = network.consumers[node.output[0]]
    return bool(readers) and all(
        reader.op_type == QUANTIZE or (reader.op_type in FUSED_AFTER | {"Flatten"} and _is_rounded(network, reader))
        for reader in readers
    )


def _is_constant(network: Network, name: str) -> bool:
    if name in network.constants:
        return True
    node = network.source(name)
    return node is not None and node.op_type in (QUANTIZE, DEQUANTIZE) and network.is_weight(node)


def _scale_axis(network: Network, dequantize: NodeProto | None) -> int | None:
    """Return the axis of a per-channel weight; none where there is one scale."""
    if dequantize is None or dequantize.op_type != DEQUANTIZE:
        return None
    scale, name = network.constants.get(dequantize.input[SCALE]), network.weight_name(dequantize)
    if scale is None or scale.size == 1 or scale.ndim != 1 or name is None:
        return None
    return integer(dequantize, "axis", 1) % np.ndim(network.constants[name])


def _output_axis(network: Network, node: NodeProto, dequantize: NodeProto) -> int:
    """Return the axis of a stored weight along which the output channels lie."""
    name = network.weight_name(dequantize)
    rank = np.ndim(network.constants[name]) if name else 2
    if node.op_type == "Conv":
        return 0
    if node.op_type == "ConvTranspose":
        return 1
    last = 0 if node.op_type == "Gemm" and integer(node, "transB", 0) else rank - 1
    between = network.producer.get(node.input[1])
    if between is not None and between.op_type == "Transpose":
        order = next((list(item.ints) for item in between.attribute if item.name == "perm"), [*range(rank)][::-1])
        return int(order[last])
    return last
