"""The same program in Apple's newer format, `.aimodel`, computed by Apple's own runtime: a second witness on Linux.

Core AI (iOS 27) is a beta: its packages are pinned to one version each, an operator's registration is private, and
nothing outside this file knows of it. A build goes on without it, and says why.
"""

from __future__ import annotations

import asyncio
import copy
import importlib
import io
import re
import shutil
import warnings
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edgedistill.errors import DependencyError, UnsupportedError
from edgedistill.evaluate.executor import Execution, Limits
from edgedistill.quantize.graph import attribute
from edgedistill.quantize.operators import DEQUANTIZE, QUANTIZE
from edgedistill.targets.phone_coreml.needs import CORE_AI, core_ai_missing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, fx

    from edgedistill.data.transfer_set import Inputs
    from edgedistill.quantize.program import QuantizedProgram

MODEL = "model.aimodel"
ENTRY = "main"
OPERATORS = "coreai_torch._compression.custom_layers"
"""Private module that registers `torch.ops.coreai`; the public package lowers no quantize operator of torch's own."""
CREATED, LONG_AGO = re.compile(r'"\d{8}T\d{6}Z"'), '"19700101T000000Z"'
"""The date in an asset's description: the only thing in which two builds differ."""
LIMITS = Limits(max_steps=1.0, min_within_steps=0.999, min_top1_agreement=0.9999)


def emit(program: QuantizedProgram, example: Tensor, into: Path) -> str | None:
    """Write the program as an `.aimodel`, or return in one line why not; nothing is left behind then.

    Args:
        program: with per-tensor activations.
        example: one preprocessed input, (1, *input_shape).
        into: path of the asset.
    """
    reason = core_ai_missing()
    if reason is not None:
        return reason
    try:
        asset_from_program(program, example, into)
    except Exception as error:  # noqa: BLE001 - a beta raises of every kind, and a package must not depend on it
        shutil.rmtree(into, ignore_errors=True)
        said = str(error).strip().splitlines() or [""]
        return f"the converter of {_versions()} says: {type(error).__name__}: {said[0]}"
    return None


def asset_from_program(program: QuantizedProgram, example: Tensor, into: Path) -> None:
    """Write the program as an `.aimodel`; codes, scales and zero points are the program's own.

    Raises:
        DependencyError: Core AI's packages are not installed in the pinned versions.
    """
    converter = _module("coreai_torch")
    graph = _in_its_operators(program.graph)
    with _quiet():
        exported = torch.export.export(graph, (example,)).run_decompositions(converter.get_decomp_table())
        made = converter.TorchConverter()
        made.add_exported_program(exported)
        made.to_coreai().save_asset(into)
    metadata = into / "metadata.json"
    metadata.write_text(CREATED.sub(LONG_AGO, metadata.read_text("utf-8")), "utf-8")


@dataclass(frozen=True)
class CoreAiAsset:
    """A saved `.aimodel` in Core AI's runtime on this workstation.

    Args:
        path: of the asset.
    """

    path: Path
    execution: Execution = Execution.HOST

    @property
    def name(self) -> str:
        """Short name."""
        return "core-ai"

    @property
    def label(self) -> str:
        """What computed it, and what that is not."""
        return f"the same program as .aimodel in Apple's {_versions()} on this workstation (beta; not Core ML)"

    @property
    def limits(self) -> Limits:
        """How far it may be from the program."""
        return LIMITS

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        """Return outputs (n, classes), float32, one input after another.

        Raises:
            DependencyError: Core AI's packages are not installed in the pinned versions.
            UnsupportedError: the runtime does not take the asset.
        """
        authoring, runtime = _module("coreai.authoring"), _module("coreai.runtime")
        try:
            with _quiet():
                return asyncio.run(_computed(authoring, runtime, self.path, inputs))
        except Exception as error:
            raise UnsupportedError(f"asset '{self.path.name}'", found=f"Core AI's runtime says: {error}") from error


async def _computed(authoring: Any, runtime: Any, path: Path, inputs: Inputs) -> NDArray[np.float32]:  # noqa: ANN401 - no types that hold between betas
    async with authoring.AIModelAsset.load(path).executable() as model:
        function = model.load_function(ENTRY)
        name = function.desc.input_names[0]
        outputs = []
        for index in range(len(inputs)):
            found = await function({name: runtime.NDArray(np.ascontiguousarray(inputs[index : index + 1]))})
            outputs.append(np.array(next(iter(found.values())).numpy(), np.float32))
    return np.concatenate(outputs)


def _in_its_operators(graph: fx.GraphModule) -> fx.GraphModule:
    """Return the graph with Core AI's operators in place of ours, each with the same stored numbers."""
    _module(OPERATORS)
    operators = torch.ops.coreai
    changed = copy.deepcopy(graph)
    for node in list(changed.graph.nodes):
        if node.target not in (QUANTIZE, DEQUANTIZE):
            continue
        values, scale, zero_point, axis = node.args
        stored = attribute(changed, zero_point)
        zero = zero_point if bool(stored.any()) or stored.dtype == torch.uint8 else None
        with changed.graph.inserting_before(node):
            if node.target is QUANTIZE:
                made = changed.graph.call_function(
                    operators.quantize, (values, scale, stored.dtype, zero, None, axis if stored.ndim else 0)
                )
            elif values.op == "get_attr":
                made = _weight(changed, node)
            else:
                made = changed.graph.call_function(
                    operators.dequantize, (values, scale, zero, None, axis if stored.ndim else 0, None, None)
                )
        node.replace_all_uses_with(made)
        changed.graph.erase_node(node)
    changed.graph.eliminate_dead_code()
    changed.recompile()
    return changed


def _weight(graph: fx.GraphModule, node: fx.Node) -> fx.Node:
    """Return the call that holds a weight's codes; its scale and offset get the weight's rank."""
    codes, scale, zero_point, axis = node.args
    rank = attribute(graph, codes).ndim
    held: list[fx.Node | None] = []
    for number in (scale, zero_point):
        value = attribute(graph, number)
        if number is zero_point and not bool(value.any()):
            held.append(None)
            continue
        shape = [-1 if index == axis and value.ndim else 1 for index in range(rank)]
        name = f"{number.target}_of_rank".replace(".", "_")  # type: ignore[union-attr] # they are nodes
        graph.register_buffer(name, value.reshape(shape).clone())
        held.append(graph.graph.get_attr(name))
    arguments = (codes, held[0], held[1], None, None, None)
    return graph.graph.call_function(torch.ops.coreai.constexpr_blockwise_shift_scale, arguments)


def _module(name: str) -> Any:  # noqa: ANN401 - as above
    reason = core_ai_missing()
    if reason is not None:
        raise DependencyError("Core AI", found=reason)
    with _quiet():
        return importlib.import_module(name)


def _versions() -> str:
    return f"Core AI {CORE_AI['coreai-core']}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence progress bars, and warnings that say nothing of the model."""
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
