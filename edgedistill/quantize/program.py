"""QuantizedProgram: a torch.export program in which every quantized tensor is explicit. It is the reference."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, fx

from edgedistill.durable import write_durably
from edgedistill.errors import ModelError
from edgedistill.quantize import operators
from edgedistill.quantize.graph import attribute
from edgedistill.quantize.spec import (
    ActivationType,
    Arithmetic,
    BiasType,
    Granularity,
    Placement,
    QuantSpec,
    ScaleFormat,
    Symmetry,
)
from edgedistill.quantize.twin.interpreter import IntegerInterpreter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from torch.export import ExportedProgram

PROGRAM_FILE = "program.pt2"
DESCRIPTION_FILE = "quantization.json"
FORMAT = "edgedistill.program/1"


@dataclass(frozen=True)
class StoredTensor:
    """What a program stores of one quantized tensor.

    Args:
        codes: int8 weight or int32 bias codes; None for an activation.
        scale: () or (channels,), float32.
        zero_point: as `scale`, of the codes' type.
    """

    codes: Tensor | None
    scale: Tensor
    zero_point: Tensor


@dataclass(frozen=True)
class QuantizedProgram:
    """The program, the spec it follows, and where its tensors come from.

    Args:
        exported: maps float32 (batch, ...) to float32 (batch, classes), batch dynamic.
        spec: how its numbers are stored.
        layers: dotted path of the module behind each activation, by activation name.
    """

    exported: ExportedProgram
    spec: QuantSpec
    layers: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def graph(self) -> fx.GraphModule:
        """The program's graph: placeholders, `get_attr` of stored tensors, operators. Not to be changed."""
        module = self.exported.module(check_guards=False)
        if not isinstance(module, fx.GraphModule):
            raise TypeError("a program's module is a GraphModule")
        return module

    def tensors(self) -> dict[str, StoredTensor]:
        """Return every quantized tensor by the name of its node: the value has the same name in the ONNX file."""
        found = {}
        for node in self.graph.graph.nodes:
            if node.target is operators.QUANTIZE:
                scale, zero_point = (attribute(self.graph, argument) for argument in node.args[1:3])
                found[node.name] = StoredTensor(None, scale, zero_point)
            elif node.target is operators.DEQUANTIZE and node.args[0].op == "get_attr":
                codes, scale, zero_point = (attribute(self.graph, argument) for argument in node.args[:3])
                found[node.name] = StoredTensor(codes, scale, zero_point)
        return found

    def run(
        self,
        inputs: NDArray[np.float32] | NDArray[np.int32],
        *,
        arithmetic: Arithmetic | None = None,
        batch: int = 250,
    ) -> NDArray[np.float32]:
        """Return the outputs (n, ...), float32, of preprocessed inputs.

        Args:
            inputs: (n, ...), float32, or int32 token ids.
            arithmetic: none means the target's own, `self.spec.arithmetic`.
            batch: samples of one call.
        """
        arithmetic = arithmetic or self.spec.arithmetic
        model = IntegerInterpreter(self.graph) if arithmetic is Arithmetic.INTEGER else self.graph
        parts = torch.split(torch.from_numpy(np.ascontiguousarray(inputs)), batch)
        with torch.inference_mode():
            outputs = [model(part) for part in parts]
        return torch.cat(outputs).numpy()

    @property
    def fingerprint(self) -> str:
        """Sha256 of graph, codes, scales and zero points; equal for equal programs, whatever wrote them."""
        digest = hashlib.sha256(json.dumps(self.spec.values, sort_keys=True).encode())
        for node in self.graph.graph.nodes:
            digest.update(f"{node.op} {node.target} {node.args}".encode())
        for name, value in sorted(self.graph.state_dict().items()):
            digest.update(name.encode() + str(value.dtype).encode() + value.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def save(self, folder: Path) -> None:
        """Write `program.pt2` and `quantization.json`, each beside and renamed."""
        folder.mkdir(parents=True, exist_ok=True)
        beside = folder / "program.new.pt2"
        torch.export.save(self.exported, beside)
        beside.replace(folder / PROGRAM_FILE)
        description = {
            "format": FORMAT,
            "spec": self.spec.values,
            "layers": dict(self.layers),
            "tensors": {name: _described(tensor) for name, tensor in self.tensors().items()},
            "fingerprint": self.fingerprint,
        }
        write_durably(folder / DESCRIPTION_FILE, json.dumps(description, indent=1, sort_keys=True).encode())


def load_program(folder: Path) -> QuantizedProgram:
    """Return a saved program.

    Raises:
        ModelError: a file is missing, or the program is not the one its description was written for.
    """
    path = folder / DESCRIPTION_FILE
    if not path.exists() or not (folder / PROGRAM_FILE).exists():
        raise ModelError(f"program '{folder}'", found=f"no {PROGRAM_FILE} with {DESCRIPTION_FILE}")
    description = json.loads(path.read_text("utf-8"))
    if description.get("format") != FORMAT:
        raise ModelError(f"program '{folder}'", found=f"format {description.get('format')!r}", wanted=FORMAT)
    program = QuantizedProgram(
        exported=torch.export.load(folder / PROGRAM_FILE),
        spec=_spec_from(description["spec"]),
        layers=description["layers"],
    )
    if program.fingerprint != description["fingerprint"]:
        raise ModelError(f"program '{folder}'", found=f"{PROGRAM_FILE} is not the one {DESCRIPTION_FILE} describes")
    return program


def _spec_from(values: Mapping[str, str]) -> QuantSpec:
    return QuantSpec(
        activation=ActivationType(values["activation"]),
        symmetry=Symmetry(values["symmetry"]),
        weights=Granularity(values["weights"]),
        bias=BiasType(values["bias"]),
        scale_format=ScaleFormat(values["scale_format"]),
        placement=Placement(values.get("placement", Placement.INTEGER)),
    )


def _described(tensor: StoredTensor) -> dict[str, object]:
    kind = "activation" if tensor.codes is None else str(tensor.codes.dtype).removeprefix("torch.")
    return {
        "kind": kind,
        "shape": None if tensor.codes is None else list(tensor.codes.shape),
        "scale": tensor.scale.tolist(),
        "zero_point": tensor.zero_point.tolist(),
    }
