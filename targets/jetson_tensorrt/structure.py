"""Parses and builds a saved model with NVIDIA's own parser and builder, and says which layers run in INT8.

The builder is TensorRT-RTX's (`pip install 'edgedistill[jetson]'`), which needs neither a GPU nor a driver. It builds
for a desktop GPU of the Ampere family, not for a Jetson: kernels and fusions differ, the parser and the passes that
decide about INT8 are the same code base. The plan that comes out is thrown away.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx

from edgedistill.errors import DependencyError
from edgedistill.targets.base import Inspection
from edgedistill.targets.jetson_tensorrt.network import Network, multiply_accumulates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PACKAGE = "tensorrt_rtx"
CAPABILITY = "SM86"  # Ampere, as Orin's GPU (8.7), which TensorRT-RTX does not build for
WORKER = Path(__file__).with_name("structure_worker.py")
TIMEOUT_S = 1200.0
GENERATED = "kgen"  # a kernel of element-wise operators or a whole attention; every other kind multiplies
INT8, INT8_ATTENTION = "int8", "int8-attention"
QUERY_KEY_VALUE = 3
SHOWN = 3


@dataclass(frozen=True)
class Layer:
    """One multiplying node of a model, and the type it was built in.

    Args:
        node: name of its first output.
        operator: "Conv", "Gemm", ...
        multiply_accumulates: of one run.
        expected_int8: whether both its operands are dequantized codes.
        data_type: "int8", "half", "float" ... of the kernel's operands; "int8-attention" for one kernel of two products
            and what is between them, that reads query, key and value as int8; "" where no kernel names the node.
    """

    node: str
    operator: str
    multiply_accumulates: int
    expected_int8: bool
    data_type: str

    @property
    def is_int8(self) -> bool:
        """Whether its operands are read as INT8."""
        return self.data_type in (INT8, INT8_ATTENTION)


@dataclass(frozen=True)
class Structure:
    """What the builder made of a model.

    Args:
        label: version and GPU family it was built for.
        parsed: whether the parser took it.
        built: whether an engine came out.
        errors: what parser, builder or operating system said.
        layers: every multiplying node, in graph order; without types when nothing was built.
    """

    label: str
    parsed: bool
    built: bool
    errors: tuple[str, ...]
    layers: tuple[Layer, ...]

    @property
    def int8_share(self) -> float:
        """Share of the multiply-accumulates that were built in INT8, 0 to 1."""
        total = sum(layer.multiply_accumulates for layer in self.layers)
        return sum(layer.multiply_accumulates for layer in self.layers if layer.is_int8) / total if total else 0.0

    @property
    def silent_floats(self) -> tuple[Layer, ...]:
        """The layers that carry codes and were built in float all the same."""
        return tuple(layer for layer in self.layers if layer.expected_int8 and not layer.is_int8)

    @property
    def passed(self) -> bool:
        """Whether it was built and every layer expected in INT8 is in INT8."""
        return self.built and not self.silent_floats


def structure_of(path: Path, *, capability: str = CAPABILITY, timeout_s: float = TIMEOUT_S) -> Structure:
    """Return what TensorRT-RTX makes of an ONNX file, built in a child process.

    Args:
        path: the model.
        capability: name of a compute capability: "SM80", "SM86", "SM89", "SM120".
        timeout_s: seconds after which the child is ended.

    Raises:
        DependencyError: TensorRT-RTX is not installed.
    """
    if importlib.util.find_spec(PACKAGE) is None:
        raise DependencyError(
            "structure check for TensorRT",
            found="tensorrt-rtx is not installed",
            fix="pip install 'edgedistill[jetson]'",
        )
    model = onnx.load(path)
    try:
        done = subprocess.run(  # noqa: S603 - this very Python on a file of ours
            [sys.executable, str(WORKER), str(path), capability], capture_output=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        return _failed(model, f"no answer after {timeout_s:g} s")
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [""]
        return _failed(model, f"the builder's process ended with {done.returncode} {said[0]}".strip())
    answer = json.loads(done.stdout.splitlines()[-1])
    return Structure(
        label=_label(answer["version"], answer["capability"]),
        parsed=bool(answer["parsed"]),
        built=bool(answer["built"]),
        errors=_errors(answer),
        layers=_layers(model, answer["kernels"]),
    )


def inspection_of(path: Path) -> Inspection:
    """Return the structure check of a saved model as a gate; "not run" where the builder is not installed."""
    name = f"structure of {path.name}"
    wanted = "built, and every layer with quantized operands in INT8"
    try:
        structure = structure_of(path)
    except DependencyError as error:
        return Inspection(name=name, label="not run", passed=None, found=str(error), wanted=wanted)
    return Inspection(
        name=name,
        label=structure.label,
        passed=structure.passed,
        found=_found(structure),
        wanted=wanted,
        details={
            "int8_share_of_multiply_accumulates": structure.int8_share,
            "layers": len(structure.layers),
            "int8_layers": sum(layer.is_int8 for layer in structure.layers),
            "attention_layers": [layer.node for layer in structure.layers if layer.data_type == INT8_ATTENTION],
            "float_layers": [layer.node for layer in structure.layers if not layer.is_int8],
            "errors": list(structure.errors),
        },
    )


def _found(structure: Structure) -> str:
    if not structure.built:
        return f"not built: {'; '.join(structure.errors) or 'no reason given'}"
    silent = structure.silent_floats
    share = f"{structure.int8_share:.2%} of the multiply-accumulates in INT8"
    if not silent:
        return share
    names = ", ".join(f"{layer.node} ({layer.data_type or 'no kernel'})" for layer in silent[:SHOWN])
    return f"{share}; {len(silent)} layer(s) silently in float: {names}"


def _label(version: str, capability: str) -> str:
    family = f"SM {capability.removeprefix('SM')[:-1]}.{capability[-1]}"
    return f"built by TensorRT-RTX {version} for {family}, not for the Jetson"


def _failed(model: onnx.ModelProto, error: str) -> Structure:
    return Structure(
        "TensorRT-RTX gave no answer", parsed=False, built=False, errors=(error,), layers=_layers(model, ())
    )


def _errors(answer: Mapping[str, Any]) -> tuple[str, ...]:
    parser = [f"{error['node']}: {error['text']}".removeprefix(": ") for error in answer["errors"]]
    return tuple(parser) if parser else tuple(str(message) for message in answer["messages"][:SHOWN])


def _layers(model: onnx.ModelProto, kernels: Sequence[Mapping[str, Any]]) -> tuple[Layer, ...]:
    network = Network(model)
    counts = multiply_accumulates(network)
    return tuple(
        Layer(
            node=node.output[0],
            operator=node.op_type,
            multiply_accumulates=counts[node.output[0]],
            expected_int8=all(network.dequantized(name) for name in node.input[:2]),
            data_type=_data_type(node.output[0], kernels, frozenset(counts)),
        )
        for node in network.weighted
    )


def _data_type(node: str, kernels: Sequence[Mapping[str, Any]], products: frozenset[str]) -> str:
    """Return the type of the kernel that multiplies for a node: INT8 only where both its operands are."""
    naming = [kernel for kernel in kernels if node in kernel["nodes"]]
    multiplying = [kernel for kernel in naming if kernel["kind"] != GENERATED] or naming
    types = {_kernel_type(kernel, products) for kernel in multiplying}
    return min(types - {INT8}, default=INT8 if types else "")


def _kernel_type(kernel: Mapping[str, Any], products: frozenset[str]) -> str:
    """Return "int8" where the first operand and a second one are, else the type of the first that is not.

    The second is a constant (a weight) or another input (two activations); what else a kernel reads is fused to it. A
    generated kernel that names two products is an attention: it reads query, key and value, perhaps a mask. That the
    three are int8 is all that the builder says of it.
    """
    operands = [str(item).lower() for item in (*kernel["inputs"], *kernel["constants"])]
    if kernel["kind"] != GENERATED:
        if operands[:1] == [INT8] and INT8 in operands[1:]:
            return INT8
    elif len(products & set(kernel["nodes"])) > 1 and operands.count(INT8) == QUERY_KEY_VALUE:
        return INT8_ATTENTION
    return next((item for item in operands if item != INT8), "unknown")
