"""What a program must keep so that a Core ML package can carry it unchanged: one table of rules.

Checked before anything is built; pure. Sources: operation reference of coremltools 9.0 (`quantize`, `dequantize`,
`constexpr_*`), and its sources where the reference is silent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edgedistill.quantize.graph import attribute
from edgedistill.quantize.operators import DEQUANTIZE, QUANTIZE
from edgedistill.quantize.patterns import Role, role_of
from edgedistill.quantize.scales import SMALLEST
from edgedistill.quantize.spec import ScaleFormat
from edgedistill.targets.base import Issue, Severity
from edgedistill.targets.phone_coreml import lowering
from edgedistill.targets.phone_coreml.convert import decomposed
from edgedistill.targets.phone_coreml.vendor import part, quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, fx

    from edgedistill.quantize.program import QuantizedProgram

LARGEST_RANK = 5
LIKELY_LIMIT = 16384
CODES = (torch.int8, torch.uint8)
REQUANTIZE = "quantize again with the spec of this target"


def broken_rules(program: QuantizedProgram) -> list[Issue]:
    """Return every broken rule of a program, errors and warnings."""
    lowering.register()
    issues = [*_fixed_shape(program), *_known_operators(program)]
    for node in program.graph.graph.nodes:
        issues.extend(issue for rule in NODE_RULES for issue in rule(program.graph, node))
    return issues


def _representable_scale(graph: fx.GraphModule, node: fx.Node) -> Iterator[Issue]:
    """COREML001: scales are stored as fp16; one that fp16 does not hold would be another number there."""
    if node.target is not QUANTIZE and not _is_stored(node):
        return
    scale = attribute(graph, node.args[1])
    smallest = SMALLEST[ScaleFormat.FP16]
    if float(scale.min()) < smallest:
        found = f"a scale of {float(scale.min()):.3g} is below 2^-14 ({smallest:.3g}), where fp16 loses digits"
    elif not torch.equal(_as_half(scale), scale):
        found = "a scale that fp16 does not hold"
    else:
        return
    yield Issue("COREML001", node.name, Severity.ERROR, found, REQUANTIZE)


def _representable_bias(graph: fx.GraphModule, node: fx.Node) -> Iterator[Issue]:
    """COREML002: a bias is stored as fp16."""
    if role_of(node) is not Role.WEIGHTED or len(node.args) < 3 or node.args[2] is None:  # noqa: PLR2004 - input, weight, bias
        return
    bias = node.args[2]
    if getattr(bias, "op", "") != "get_attr":
        found = "a bias of int32 codes, which a Core ML package cannot hold"
    elif not torch.equal(_as_half(attribute(graph, bias)), attribute(graph, bias)):
        found = "a bias that fp16 does not hold"
    else:
        return
    yield Issue("COREML002", node.name, Severity.ERROR, found, REQUANTIZE)


def _as_half(numbers: Tensor) -> Tensor:
    return numbers.to(torch.float16).to(torch.float32)


def _integer_type(graph: fx.GraphModule, node: fx.Node) -> Iterator[Issue]:
    """COREML003: activations are int8 or uint8."""
    if node.target is QUANTIZE and attribute(graph, node.args[2]).dtype not in CODES:
        found = f"activations of type {attribute(graph, node.args[2]).dtype}"
        yield Issue("COREML003", node.name, Severity.ERROR, found, REQUANTIZE)


def _fixed_shape(program: QuantizedProgram) -> Iterator[Issue]:
    """COREML004: the Neural Engine takes fixed shapes only; of the axes, the first alone may be free, and becomes 1."""
    signature = program.exported.graph_signature
    for node in program.exported.graph.nodes:
        if node.op != "placeholder" or node.name not in signature.user_inputs:
            continue
        free = [axis for axis, size in enumerate(node.meta["val"].shape) if axis and isinstance(size, torch.SymInt)]
        if free:
            found = f"axis {free[0]} of the input has no fixed length"
            fix = "export the model with a fixed length, and pad or crop in the preprocessing"
            yield Issue("COREML004", node.name, Severity.ERROR, found, fix)


def _known_operators(program: QuantizedProgram) -> Iterator[Issue]:
    """COREML005: an operator that coremltools cannot translate, in the form that it is given the program in."""
    is_supported = part("coremltools.converters.mil.frontend.torch").is_torch_fx_node_supported
    with quiet():
        called = [node for node in decomposed(program.exported).graph.nodes if node.op == "call_function"]
        unknown = [node for node in called if node.target not in (QUANTIZE, DEQUANTIZE) and not is_supported(node)]
    for node in unknown:
        found = f"'{node.target}' has no counterpart in Core ML"
        yield Issue("COREML005", node.name, Severity.ERROR, found, "replace it by operators that have one")


def _rank(_: fx.GraphModule, node: fx.Node) -> Iterator[Issue]:
    """COREML006: tensors have at most five axes."""
    shape = getattr(node.meta.get("val"), "shape", ())
    if len(shape) > LARGEST_RANK:
        found = f"a tensor of {len(shape)} axes; Core ML has at most {LARGEST_RANK}"
        yield Issue("COREML006", node.name, Severity.ERROR, found, "reshape it to fewer axes")


def _likely_size(_: fx.GraphModule, node: fx.Node) -> Iterator[Issue]:
    """COREML007: long axes are said to keep an operation off the Neural Engine; only a device can tell."""
    shape = getattr(node.meta.get("val"), "shape", ())
    long = [int(size) for size in shape[1:] if isinstance(size, int) and size > LIKELY_LIMIT]
    if node.op == "call_function" and long:
        found = f"an axis of {long[0]} elements: likely not on the Neural Engine (reported: at most {LIKELY_LIMIT})"
        yield Issue("COREML007", node.name, Severity.WARNING, found, "split the axis, or measure on the device")


def _is_stored(node: fx.Node) -> bool:
    return node.target is DEQUANTIZE and getattr(node.args[0], "op", "") == "get_attr"


NODE_RULES: tuple[Callable[[fx.GraphModule, fx.Node], Iterator[Issue]], ...] = (
    _representable_scale,
    _representable_bias,
    _integer_type,
    _rank,
    _likely_size,
)
