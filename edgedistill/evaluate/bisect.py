"""Compares a program with a runtime tensor by tensor, and finds the first one whose codes differ."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgedistill.quantize.operators import DEQUANTIZE, QUANTIZE
from edgedistill.quantize.patterns import Role, role_of
from edgedistill.quantize.twin.interpreter import IntegerInterpreter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, fx

    from edgedistill.evaluate.executor import Inputs
    from edgedistill.evaluate.inspection import Inspection
    from edgedistill.quantize.program import QuantizedProgram


@dataclass(frozen=True)
class TensorMatch:
    """One quantized tensor of a program beside the runtime's.

    Args:
        tensor: name of the tensor, the same in the program and in the artifact.
        layer: dotted path of the module it comes from.
        operator: what computes it in the program: "aten.conv2d + aten.relu".
        kernel: what computed it in the runtime: "QLinearConv".
        values: number of codes compared.
        differing: how many of them differ.
        largest: largest difference, in codes.
        place: index of the first difference, sample first; empty where there is none.
        program_code: the program's code there.
        artifact_code: the runtime's code there.
    """

    tensor: str
    layer: str
    operator: str
    kernel: str
    values: int
    differing: int
    largest: int = 0
    place: tuple[int, ...] = ()
    program_code: int | None = None
    artifact_code: int | None = None


@dataclass(frozen=True)
class Bisection:
    """What a comparison up to the first difference found.

    Args:
        samples: inputs compared.
        equal: tensors that are equal in every code, in the order of computation, before the first that is not.
        first: the first tensor that differs, None where all are equal.
        outputs_equal: whether the outputs have the same bits.
        missing: tensors of the program that the runtime has no codes of.
        same_kernels: see `Inspection`.
    """

    samples: int
    equal: tuple[TensorMatch, ...]
    first: TensorMatch | None
    outputs_equal: bool
    missing: tuple[str, ...]
    same_kernels: bool


def bisect(program: QuantizedProgram, found: Inspection, inputs: Inputs) -> Bisection:
    """Compare tensors in the order of computation and stop at the first difference.

    Args:
        program: computed with exact integers.
        found: what a runtime computed of the same inputs.
        inputs: (n, ...), preprocessed.
    """
    equal: list[TensorMatch] = []
    first = None
    for match in matches(program, found, inputs):
        if match.differing:
            first = match
            break
        equal.append(match)
    outputs = program.run(inputs)
    return Bisection(
        samples=len(inputs),
        equal=tuple(equal),
        first=first,
        outputs_equal=outputs.tobytes() == found.outputs.tobytes(),
        missing=tuple(name for name in _names(program) if name not in found.codes),
        same_kernels=found.same_kernels,
    )


def matches(
    program: QuantizedProgram, found: Inspection, inputs: Inputs, *, each_by_itself: bool = False
) -> Iterator[TensorMatch]:
    """Yield every quantized activation of a program beside the runtime's, in the order of computation.

    Args:
        program: computed with exact integers.
        found: what a runtime computed of the same inputs.
        inputs: (n, ...), preprocessed; small enough that every tensor of one pass fits into memory.
        each_by_itself: whether each operator gets the runtime's codes as inputs, so that it is judged alone.
    """
    given = {name: torch.from_numpy(codes) for name, codes in found.codes.items()} if each_by_itself else {}
    model = IntegerInterpreter(program.graph)
    with torch.inference_mode():
        for node, value in model.steps(torch.from_numpy(np.ascontiguousarray(inputs)), given=given):
            if node.target is QUANTIZE and node.name in found.codes:
                yield _match(node, value, found, program.layers)  # type: ignore[arg-type] # a QUANTIZE gives codes


def _match(node: fx.Node, value: Tensor, found: Inspection, layers: Mapping[str, str]) -> TensorMatch:
    ours, theirs = value.numpy(), found.codes[node.name]
    match = TensorMatch(
        tensor=node.name,
        layer=layers.get(_captured_name(node), ""),
        operator=_operator(node.all_input_nodes[0]),
        kernel=found.kernels.get(node.name, ""),
        values=ours.size,
        differing=0,
    )
    if ours.shape != theirs.shape:
        return replace(match, differing=ours.size)
    differs = ours != theirs
    if not differs.any():
        return match
    place = tuple(int(index) for index in np.unravel_index(int(differs.argmax()), ours.shape))
    return replace(
        match,
        differing=int(differs.sum()),
        largest=int(np.abs(ours.astype(np.int64) - theirs.astype(np.int64)).max()),
        place=place,
        program_code=int(ours[place]),
        artifact_code=int(theirs[place]),
    )


def _operator(node: fx.Node) -> str:
    """Return what computes a value before it is rounded, with its absorbed activation: "aten.conv2d + aten.relu"."""
    name = str(node.target).removesuffix(".default") if node.op == "call_function" else "input"
    source = node.all_input_nodes[0] if node.all_input_nodes else node
    absorbed = role_of(node) is Role.ACTIVATION and source.target is not DEQUANTIZE
    return f"{_operator(source)} + {name}" if absorbed else name


def _captured_name(node: fx.Node) -> str:
    """Return the name that a quantized value had in the captured graph: its stored scale still carries it."""
    return str(node.all_input_nodes[1].target).removesuffix("_scale")


def _names(program: QuantizedProgram) -> list[str]:
    return [name for name, tensor in program.tensors().items() if tensor.codes is None]
