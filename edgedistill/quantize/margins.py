"""Chooses output scales so that no code hangs on the last bits of a function such as GELU or sigmoid.

A runtime computes such a function by a polynomial of its own, torch by another. But between two quantizers it has 256
possible arguments only. So every one is tried, and the output's scale is moved, by a few parts in a thousand, to where
no value lies near the middle between two codes: then all of them are rounded alike.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, fx

from edgedistill.quantize.fake import ActivationQuantizer
from edgedistill.quantize.spec import ScaleFormat
from edgedistill.quantize.twin import tables
from edgedistill.quantize.twin.interpreter import computed
from edgedistill.quantize.twin.movers import MOVERS
from edgedistill.quantize.twin.values import Codes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Modules = Mapping[str, torch.nn.Module]
    Check = Callable[[Tensor, Tensor], bool]

MARGIN_STEPS = 2.0**-10
"""Least distance of a function's value from the middle between two codes; float32 polynomials err by some 2^-13."""
FARTHEST = 0.03
"""A scale moves by at most this part of itself."""
ROUNDS = 3
"""A scale that moved is the next operator's argument; in graph order one round settles all but shared scales."""


def keep_margins(graph: fx.GraphModule, units: Mapping[ActivationQuantizer, tuple[int, int]]) -> None:
    """Move the scales behind functions of one code until nothing is rounded in doubt.

    Args:
        graph: an annotated, calibrated graph; the scales of its quantizers are changed.
        units: what `ties.avoid_ties` has fixed: a quantizer's scale stays a multiple of 2^exponent, `step` units apart.
    """
    for _ in range(ROUNDS):
        moved = [_settle(quantizer, checks, units) for quantizer, checks in _checks(graph).items()]
        if not any(moved):
            return


def in_no_doubt(values: Tensor, scale: Tensor, zero_point: Tensor) -> bool:
    """Tell whether every value within the range of the codes is far enough from the middle between two of them.

    Args:
        values: float32, any shape.
        scale: (), float32.
        zero_point: (), an integer type.
    """
    steps = values.to(torch.float64) / scale.to(torch.float64)
    limits = torch.iinfo(zero_point.dtype)
    inside = (steps > limits.min - int(zero_point) - 1) & (steps < limits.max - int(zero_point) + 1)
    distance = (steps - torch.floor(steps) - 0.5).abs()
    return bool((distance[inside] >= MARGIN_STEPS).all())


def _checks(graph: fx.GraphModule) -> dict[ActivationQuantizer, list[Check]]:
    """Return what has to hold for the scale of each quantizer behind a function of one code, in graph order."""
    modules = dict(graph.named_modules())
    found: dict[ActivationQuantizer, list[Check]] = {}
    for node in graph.graph.nodes:
        quantizer = modules.get(str(node.target)) if node.op == "call_module" else None
        if isinstance(quantizer, ActivationQuantizer):
            check = _function_check(node.all_input_nodes[0], modules)
            if check is not None:
                found.setdefault(quantizer, []).append(check)
    return found


def _function_check(node: fx.Node, modules: Modules) -> Check | None:
    def check(scale: Tensor, zero_point: Tensor) -> bool:
        value = _function(node, modules, {})
        return not isinstance(value, tables.Table) or in_no_doubt(value.values, scale, zero_point)

    return (
        check if isinstance(_function(node, modules, {}), tables.Table) else None
    )  # scales may move until it is asked


def _function(node: fx.Node, modules: Modules, known: dict[fx.Node, object]) -> object:
    """Return what a chain of element-wise operators makes of the codes it begins with; None for anything else."""
    if node not in known:
        source = _quantizer_before(node, modules)
        if source is not None:
            known[node] = known.setdefault(_leader(node, modules), _codes_of(source))
        elif node.op == "call_function" and tables.is_pointwise(node.target):
            arguments = [_function(argument, modules, known) for argument in node.all_input_nodes]
            unknown = any(argument is None for argument in arguments)
            known[node] = None if unknown else computed(node, lambda argument: known[argument])
        else:
            known[node] = None
    return known[node]


def _leader(node: fx.Node, modules: Modules) -> fx.Node:
    """Return the call of the quantizer whose codes a node has, so that two readers get the same codes."""
    while node.op == "call_function" and not isinstance(modules.get(str(node.target)), ActivationQuantizer):
        node = node.all_input_nodes[0]
    return node


def _quantizer_before(node: fx.Node, modules: Modules) -> ActivationQuantizer | None:
    """Return the quantizer whose codes a node has, looking back through operators that only move them."""
    while node.op == "call_function" and node.target in MOVERS:
        node = node.all_input_nodes[0]
    module = modules.get(str(node.target)) if node.op == "call_module" else None
    return module if isinstance(module, ActivationQuantizer) else None


def _codes_of(quantizer: ActivationQuantizer) -> Codes:
    scale, zero_point = quantizer.stored()
    return Codes(torch.zeros(1, dtype=zero_point.dtype), scale, zero_point)


def _settle(
    quantizer: ActivationQuantizer, checks: list[Check], units: Mapping[ActivationQuantizer, tuple[int, int]]
) -> bool:
    """Move a scale to the nearest one where every check holds; return whether it moved."""
    before = float(quantizer.scale)
    for scale in _candidates(quantizer, units.get(quantizer)):
        quantizer.set_scale(scale)
        if all(check(*quantizer.stored()) for check in checks):
            return scale != before
    quantizer.set_scale(before)
    return False


def _candidates(quantizer: ActivationQuantizer, unit: tuple[int, int] | None) -> Iterator[float]:
    """Yield the scales that the format and earlier choices allow, the present one first, then nearest first."""
    before = float(quantizer.scale)
    yield before
    if quantizer.spec.scale_format is ScaleFormat.POWER_OF_TWO:
        return
    exponent, step = unit or (math.frexp(before)[1] - 11, 1)
    first, last = quantizer.spec.activation_codes
    highest = math.inf if quantizer.ceiling is None else quantizer.ceiling / (last - first)
    multiple = round(math.ldexp(before, -exponent))
    for distance in range(step, int(FARTHEST * multiple) + 1, step):
        for near in (multiple - distance, multiple + distance):
            scale = math.ldexp(near, exponent)
            if scale <= highest and near < 2**11:
                yield scale
