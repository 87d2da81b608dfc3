"""What the deep-learning accelerators of Orin run themselves; the rest falls back to the GPU.

Sources: NVIDIA TensorRT documentation, "Working with DLA"; NVIDIA Deep-Learning-Accelerator-SW, operator table for
Orin (DLA 3.14 and later). No accelerator was at hand: read, not measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedistill.targets.jetson_tensorrt.finding import Finding
from edgedistill.targets.jetson_tensorrt.network import DEQUANTIZE, QUANTIZE, integer, integers, name_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnx import NodeProto

    from edgedistill.targets.jetson_tensorrt.finding import Setting, Version
    from edgedistill.targets.jetson_tensorrt.network import Network

NATIVE = frozenset(
    {
        "Add",
        "AveragePool",
        "BatchNormalization",
        "Clip",
        "Concat",
        "Conv",
        "ConvTranspose",
        "Gemm",
        "LeakyRelu",
        "MatMul",
        "MaxPool",
        "Mul",
        "PRelu",
        "Relu",
        "Resize",
        "Sigmoid",
        "Slice",
        "Softmax",
        "Sub",
        "Tanh",
    }
)
SINCE: dict[str, Version] = {"Div": (8, 6), "GlobalMaxPool": (8, 6)}
FREE = frozenset({"Constant", "Identity", "Cast", QUANTIZE, DEQUANTIZE})  # no layer of their own
QDQ_SINCE: Version = (11, 4)  # TensorRT 11.4.1 on AGX Orin with JetPack 7.2.2 and later
LARGEST_BATCH, LARGEST_SIZE, LARGEST_KERNEL, LARGEST_STRIDE, LARGEST_PAD = 4096, 8192, 32, 8, 31


def gpu_fallbacks(network: Network, setting: Setting) -> Iterator[Finding]:
    """Yield every layer that would run on the GPU, with the reason."""
    for node in network.nodes:
        reason = _reason(network, node, setting)
        if reason:
            yield Finding(name_of(node), reason)


def too_large(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield values with a dimension beyond the accelerator's."""
    for node in network.nodes:
        shape = [size or 1 for size in network.shapes.get(node.output[0], [])] if node.output else []
        if shape and (shape[0] > LARGEST_BATCH or any(size > LARGEST_SIZE for size in shape[1:])):
            yield Finding(name_of(node), f"shape {shape}; batch to {LARGEST_BATCH}, other dimensions to {LARGEST_SIZE}")


def explicit_quantization(network: Network, _: Setting) -> Iterator[Finding]:
    """Yield a model that carries Q and DQ."""
    if network.quantizers:
        yield Finding("model", f"{len(network.quantizers)} QuantizeLinear and DequantizeLinear")


def _reason(network: Network, node: NodeProto, setting: Setting) -> str:
    if node.op_type in FREE:
        return ""
    if node.op_type not in NATIVE and not SINCE.get(node.op_type, (99, 0)) <= setting.tensorrt:
        return f"{node.op_type} is not one of the accelerator's layers"
    if node.op_type in ("Gemm", "MatMul") and not _is_stored(network, node.input[1]):
        return f"{node.op_type} of two computed operands"
    if node.op_type in ("Conv", "ConvTranspose"):
        return _convolution_reason(node)
    return ""


def _convolution_reason(node: NodeProto) -> str:
    kernel, strides, pads = (integers(node, name, []) for name in ("kernel_shape", "strides", "pads"))
    dilations = integers(node, "dilations", [1])
    if any(size > LARGEST_KERNEL for size in kernel):
        return f"kernel {kernel}; at most {LARGEST_KERNEL}"
    if any(size > LARGEST_STRIDE for size in strides):
        return f"strides {strides}; at most {LARGEST_STRIDE}"
    if any(size > LARGEST_PAD for size in pads):
        return f"padding {pads}; at most {LARGEST_PAD}"
    if node.op_type == "ConvTranspose" and (integer(node, "group", 1) > 1 or any(size > 1 for size in dilations)):
        return "a grouped or dilated ConvTranspose"
    if len(kernel) == 1 or len(kernel) > 2:  # noqa: PLR2004 - images have two axes
        return f"a convolution over {len(kernel)} axes"
    return ""


def _is_stored(network: Network, name: str) -> bool:
    node = network.source(name)
    return name in network.constants or (node is not None and node.op_type == DEQUANTIZE and network.is_weight(node))
