"""Finds numbers that TensorRT does not take: types, scales, zero points, operators, shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto

from edgedistill.targets.jetson_tensorrt.finding import Finding
from edgedistill.targets.jetson_tensorrt.network import (
    DEQUANTIZE,
    ONNX_DOMAINS,
    QUANTIZE,
    integer,
    name_of,
    type_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnx import NodeProto

    from edgedistill.targets.jetson_tensorrt.finding import Setting
    from edgedistill.targets.jetson_tensorrt.network import Network

INTEGER_OPERATORS = frozenset(
    {
        "ConvInteger",
        "DynamicQuantizeLinear",
        "MatMulInteger",
        "QGemm",
        "QLinearAdd",
        "QLinearAveragePool",
        "QLinearConcat",
        "QLinearConv",
        "QLinearGlobalAveragePool",
        "QLinearMatMul",
        "QLinearMul",
        "QLinearSigmoid",
        "QLinearSoftmax",
    }
)
# `OnnxParser.supports_operator` of TensorRT-RTX 1.7 says no to these of ONNX 1.23's operators.
UNKNOWN_OPERATORS = frozenset(
    [
        "AffineGrid",
        "Bernoulli",
        "BitCast",
        "BitShift",
        "BitwiseAnd",
        "BitwiseNot",
        "BitwiseOr",
        "BitwiseXor",
        "CenterCropPad",
        "Col2Im",
        "Compress",
        "ConcatFromSequence",
        "CumProd",
        "DFT",
        "DeformConv",
        "Det",
        "ImageDecoder",
        "MaxRoiPool",
        "MaxUnpool",
        "MelWeightMatrix",
        "Multinomial",
        "NegativeLogLikelihoodLoss",
        "Optional",
        "OptionalGetElement",
        "OptionalHasElement",
        "RegexFullMatch",
        "SequenceAt",
        "SequenceConstruct",
        "SequenceEmpty",
        "SequenceErase",
        "SequenceInsert",
        "SequenceLength",
        "SequenceMap",
        "SoftmaxCrossEntropyLoss",
        "SplitToSequence",
        "StringConcat",
        "StringNormalizer",
        "StringSplit",
        "SwiGLU",
        "TfIdfVectorizer",
        "Unique",
    ]
)
FLOAT8 = frozenset({TensorProto.FLOAT8E4M3FN})
FLOAT4 = frozenset({TensorProto.FLOAT4E2M1})
KNOWN_TYPES = frozenset({TensorProto.INT8, TensorProto.UINT8, TensorProto.INT32, TensorProto.INT4}) | FLOAT8 | FLOAT4
KNOWN_DOMAINS = ONNX_DOMAINS | {"ai.onnx.ml", "trt", "trt.plugins"}
QDQ_DOMAIN = "com.microsoft"  # its QuantizeLinear and DequantizeLinear are read as ONNX's own (measured)
OPSET_LIMITS = (((8, 7), 17), ((10, 4), 20), ((11, 0), 23))  # documented for 8.6, 10.0 to 10.3; as measured later
FIRST_FP16_SCALES, FIRST_PER_CHANNEL = 19, 13
SCALE, ZERO_POINT = 1, 2
ADA = (8, 9)  # first GPU with FP8
BLACKWELL = (10, 0)  # first GPU with FP4


def nonzero_zero_points(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield Q and DQ with a zero point that is not 0."""
    for node in network.quantizers:
        zero_point = network.constants.get(_zero_point(node))
        if zero_point is not None and np.any(zero_point.astype(np.float64) != 0):
            yield Finding(name_of(node), f"zero point {zero_point.ravel()[0]}")


def computed_zero_points(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield Q and DQ whose zero point is computed."""
    for node in network.quantizers:
        if _zero_point(node) and _zero_point(node) not in network.constants:
            yield Finding(name_of(node), f"zero point '{_zero_point(node)}' is computed")


def unsigned_activations(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield quantizers of uint8 activations."""
    for node in network.quantizers:
        if network.types.get(_zero_point(node)) == TensorProto.UINT8 and not _holds_constant(network, node):
            yield Finding(name_of(node), "uint8 activation")


def unsigned_weights(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield constants stored as uint8."""
    for node in network.quantizers:
        if node.op_type == DEQUANTIZE and network.types.get(node.input[0]) == TensorProto.UINT8:
            yield Finding(name_of(node), f"constant '{node.input[0]}' is uint8")


def implied_unsigned(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield quantizers that name no type, which ONNX reads as uint8."""
    for node in network.quantizers:
        implied = node.op_type == QUANTIZE and not _zero_point(node)
        if implied and integer(node, "output_dtype", 0) in (0, TensorProto.UINT8):
            yield Finding(name_of(node), "no zero point: ONNX says uint8")


def computed_scales(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield Q and DQ whose scale is computed."""
    for node in network.quantizers:
        if node.input[SCALE] not in network.constants:
            yield Finding(name_of(node), f"scale '{node.input[SCALE]}' is computed")


def impossible_scales(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield Q and DQ with a scale that is not a positive number."""
    for node in network.quantizers:
        scale = network.constants.get(node.input[SCALE])
        if scale is None:
            continue
        values = scale.astype(np.float64)
        if not (np.isfinite(values).all() and (values > 0).all()):
            yield Finding(name_of(node), f"scale {values.ravel()[~(values.ravel() > 0)][:1]}")


def half_scales_too_early(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield Q and DQ with an fp16 scale in an opset that has none."""
    for node in network.quantizers:
        if network.opset < FIRST_FP16_SCALES and network.types.get(node.input[SCALE]) == TensorProto.FLOAT16:
            yield Finding(name_of(node), f"fp16 scale in opset {network.opset}")


def per_channel_too_early(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield Q and DQ with several scales in an opset that has one."""
    for node in network.quantizers:
        scale = network.constants.get(node.input[SCALE])
        if network.opset < FIRST_PER_CHANNEL and scale is not None and scale.size > 1:
            yield Finding(name_of(node), f"{scale.size} scales in opset {network.opset}")


def unequal_sizes(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield Q and DQ whose scales are not as many as zero points or channels."""
    for node in network.quantizers:
        scale, zero_point = (network.constants.get(name) for name in (node.input[SCALE], _zero_point(node)))
        if scale is None:
            continue
        if zero_point is not None and zero_point.size != scale.size:
            yield Finding(name_of(node), f"{scale.size} scales and {zero_point.size} zero points")
            continue
        channels = _channels(network, node)
        if scale.size > 1 and scale.ndim == 1 and channels not in (None, scale.size):
            yield Finding(name_of(node), f"{scale.size} scales for {channels} channels")


def quantized_biases(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield int32 constants behind a DequantizeLinear."""
    for node in network.quantizers:
        if node.op_type == DEQUANTIZE and network.types.get(node.input[0]) == TensorProto.INT32:
            yield Finding(name_of(node), f"int32 constant '{node.input[0]}'")


def other_integers(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield Q and DQ of types that TensorRT has no kernels for."""
    for node in network.quantizers:
        held = _type_of(network, node)
        if held and held not in KNOWN_TYPES:
            yield Finding(name_of(node), f"{type_name(held)} codes")


def types_of_later_gpus(network: Network, setting: Setting) -> Iterator[Finding]:
    """Yield FP8 and FP4 quantizers on a GPU that has no such arithmetic."""
    for node in network.quantizers:
        held = _type_of(network, node)
        if (held in FLOAT8 and setting.compute_capability < ADA) or (
            held in FLOAT4 and setting.compute_capability < BLACKWELL
        ):
            major, minor = setting.compute_capability
            yield Finding(name_of(node), f"{type_name(held)} on a GPU of compute capability {major}.{minor}")


def integer_operators(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield operators of ONNX Runtime's integer form."""
    for node in network.nodes:
        if node.op_type in INTEGER_OPERATORS:
            yield Finding(name_of(node), f"operator {node.op_type}")


def unknown_operators(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield operators that the parser does not have, and those of foreign domains."""
    for node in network.nodes:
        foreign = node.domain not in KNOWN_DOMAINS and not (
            node.domain == QDQ_DOMAIN and node.op_type in (QUANTIZE, DEQUANTIZE)
        )
        if node.op_type in INTEGER_OPERATORS:
            continue
        if foreign:
            yield Finding(name_of(node), f"operator {node.domain}.{node.op_type}")
        elif node.op_type in UNKNOWN_OPERATORS:
            yield Finding(name_of(node), f"operator {node.op_type}")


def too_new_opset(network: Network, setting: Setting) -> Iterator[Finding]:
    """Yield an opset above the one that the version's parser documents."""
    limit = next((opset for before, opset in OPSET_LIMITS if setting.tensorrt < before), None)
    if limit is not None and network.opset > limit:
        yield Finding("opset", f"opset {network.opset}, documented are those to {limit}")


def free_shapes(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield inputs with a dimension that is not fixed."""
    for name in network.free_inputs():
        yield Finding(name, "a dimension is not fixed")


def invalid_model(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield what ONNX's own checker says."""
    if any(node.domain not in ONNX_DOMAINS for node in network.nodes):
        return  # the checker knows no foreign operators
    try:
        onnx.checker.check_model(network.model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError, RuntimeError) as error:
        yield Finding("model", str(error).strip().splitlines()[0][:200])


def unequal_channels(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield convolutions whose weight is of other channels than their input; ONNX's checker lets them pass."""
    for node in network.weighted:
        if node.op_type != "Conv":
            continue
        value, weight = network.shapes.get(node.input[0]), network.shapes.get(node.input[1])
        if not value or not weight or len(value) < len(weight) or None in (value[1], weight[1]):
            continue
        wanted = int(weight[1] or 0) * integer(node, "group", 1)
        if value[1] != wanted:
            yield Finding(name_of(node), f"an input of {value[1]} channels, a weight for {wanted}")


def subgraphs(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield nodes with graphs of their own, into which the rules do not look."""
    for node in network.nodes:
        if any(item.HasField("g") or item.graphs for item in node.attribute):
            yield Finding(name_of(node), f"{node.op_type} with a graph inside")


def _zero_point(node: NodeProto) -> str:
    return str(node.input[ZERO_POINT]) if len(node.input) > ZERO_POINT else ""


def _holds_constant(network: Network, node: NodeProto) -> bool:
    """Tell whether a DQ reads stored codes: those have a rule of their own."""
    return node.op_type == DEQUANTIZE and node.input[0] in network.constants


def _type_of(network: Network, node: NodeProto) -> int:
    stored = network.types.get(node.input[0], 0) if node.op_type == DEQUANTIZE else 0
    return stored or network.types.get(_zero_point(node), 0) or integer(node, "output_dtype", 0)


def _channels(network: Network, node: NodeProto) -> int | None:
    shape = network.shapes.get(node.input[0])
    axis = integer(node, "axis", 1)
    if not shape or not -len(shape) <= axis < len(shape):
        return None
    return shape[axis]
