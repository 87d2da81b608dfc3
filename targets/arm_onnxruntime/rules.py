"""What a program must keep so that ONNX Runtime computes it with integers: one table of rules.

Checked before anything is built; pure. Sources: the QDQ selectors and the ReLU and Clip rewrites of ONNX Runtime 1.32,
measured on x86-64 and aarch64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edgedistill.quantize.annotate import origin
from edgedistill.quantize.graph import attribute
from edgedistill.quantize.operators import DEQUANTIZE, QUANTIZE
from edgedistill.quantize.patterns import ATEN, CONVOLUTIONS, Role, ceiling_of, is_float, role_of
from edgedistill.quantize.spec import BiasType, Symmetry
from edgedistill.targets.base import Issue, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import fx

    from edgedistill.quantize.program import QuantizedProgram


def broken_rules(program: QuantizedProgram) -> list[Issue]:
    """Return every broken rule of a program, errors and warnings."""
    graph = program.graph
    issues = [issue for rule in PROGRAM_RULES for issue in rule(program)]
    for node in graph.graph.nodes:
        issues.extend(issue for rule in NODE_RULES for issue in rule(graph, node))
    return issues


def _asymmetric_activations(program: QuantizedProgram) -> Iterator[Issue]:
    """ARM001: with zero point 0 a ReLU is not absorbed, and the convolution before it runs in float."""
    if program.spec.symmetry is Symmetry.SYMMETRIC:
        yield Issue(
            "ARM001",
            "program",
            Severity.ERROR,
            "symmetric activations: ONNX Runtime absorbs no ReLU and runs those convolutions in float",
            "quantize with the spec of this target",
        )


def _integer_bias(program: QuantizedProgram) -> Iterator[Issue]:
    """ARM002: with a float bias the last linear layer runs in float."""
    if program.spec.bias is BiasType.FLOAT:
        yield Issue(
            "ARM002",
            "program",
            Severity.WARNING,
            "float biases: linear layers run in float",
            "quantize with int32 biases",
        )


def _integer_kernel(_: fx.GraphModule, node: fx.Node) -> Iterator[Issue]:
    """ARM003: a sum of products reads codes on both sides, and a convolution writes codes; else it runs in float."""
    if role_of(node) not in (Role.WEIGHTED, Role.PRODUCT):
        return
    floats = [operand for operand in node.all_input_nodes[:2] if origin(operand).target is not DEQUANTIZE]
    readers = [user for user in node.users if user.target is not QUANTIZE and role_of(user) is not Role.ACTIVATION]
    if floats:
        yield Issue(
            "ARM003",
            node.name,
            Severity.WARNING,
            f"'{node.name}' reads '{floats[0].name}' as float, so it runs in float",
            "take it out of what stays in float, or accept the float island",
        )
    elif node.target in CONVOLUTIONS and readers:
        yield Issue(
            "ARM003",
            node.name,
            Severity.WARNING,
            f"'{readers[0].name}' reads the result of '{node.name}' as float, so it runs in float",
            "quantize the result of the convolution",
        )


def _absorbed_activation(graph: fx.GraphModule, node: fx.Node) -> Iterator[Issue]:
    """ARM004: a ReLU is absorbed only where the lowest code stands for 0, a clamp only where no code lies above it."""
    if role_of(node) is not Role.ACTIVATION:
        return
    for user in node.users:
        if user.target is not QUANTIZE:
            continue
        scale, zero_point = (attribute(graph, argument) for argument in user.args[1:3])
        limits = torch.iinfo(zero_point.dtype)
        ceiling = ceiling_of(node)
        above = ceiling is not None and float(scale) * (limits.max - int(zero_point)) > ceiling
        if int(zero_point) != limits.min or above:
            yield Issue(
                "ARM004",
                node.name,
                Severity.WARNING,
                f"the codes after '{node.name}' reach beyond its limits, so it is not absorbed",
                "calibrate again with the spec of this target",
            )


def _known_operator(_: fx.GraphModule, node: fx.Node) -> Iterator[Issue]:
    """ARM005: an operator without a rule runs in float between two conversions."""
    if node.op != "call_function" or node.target in (QUANTIZE, DEQUANTIZE) or role_of(node) is not Role.FLOAT:
        return
    if is_float(node) and any(
        argument.op == "call_function" and is_float(argument) for argument in node.all_input_nodes
    ):
        message = f"'{node.target}' has no integer kernel and runs in float"
        yield Issue("ARM005", node.name, Severity.WARNING, message, _fix(node))


def _fix(node: fx.Node) -> str:
    replacement = REPLACEMENTS.get(node.target)
    if replacement is not None:
        return f"train the student with 'student.replace_activations: {{{replacement[0]}: {replacement[1]}}}'"
    return "replace it by an operator of the table in edgedistill/quantize/patterns.py, or accept the float island"


REPLACEMENTS: Mapping[object, tuple[str, str]] = {  # by what the convolution before it absorbs, or what has a table
    ATEN.hardswish.default: ("hardswish", "relu6"),
    ATEN.hardsigmoid.default: ("hardsigmoid", "sigmoid"),
    ATEN.gelu.default: ("gelu", "relu"),
    ATEN.elu.default: ("elu", "relu"),
    ATEN.mish.default: ("mish", "relu"),
}
PROGRAM_RULES: tuple[Callable[[QuantizedProgram], Iterator[Issue]], ...] = (
    _asymmetric_activations,
    _integer_bias,
)
NODE_RULES: tuple[Callable[[fx.GraphModule, fx.Node], Iterator[Issue]], ...] = (
    _integer_kernel,
    _absorbed_activation,
    _known_operator,
)
