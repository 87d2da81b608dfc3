"""Writes ONNX: a quantized program as QuantizeLinear / DequantizeLinear with stored integers, or an fp32 module."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from typing import TYPE_CHECKING

import onnx
import torch
from onnxscript import FLOAT, UINT8, opset18

from edgedistill.durable import write_durably
from edgedistill.errors import ModelError
from edgedistill.export.passes.exporter_traces import remove_exporter_traces
from edgedistill.export.passes.global_average_pool import restore_global_average_pool
from edgedistill.export.passes.implied_attributes import drop_implied_attributes
from edgedistill.export.passes.implied_zero_points import drop_implied_zero_points
from edgedistill.export.passes.merged_dequantizers import restore_merged_dequantizers
from edgedistill.export.passes.node_names import clear_node_names
from edgedistill.export.passes.own_initializers import unshare_initializers
from edgedistill.export.passes.shared_scales import spell_out_shared_scales
from edgedistill.export.passes.unused_initializers import remove_unused_initializers
from edgedistill.quantize.operators import DEQUANTIZE, QUANTIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from onnx import ModelProto
    from torch import Tensor, nn
    from torch.export import ExportedProgram

    from edgedistill.quantize.program import QuantizedProgram

    Pass = Callable[[ModelProto], bool]

OPSET = 18
INPUT, OUTPUT = "input", "logits"
PASSES: Sequence[Pass] = (
    restore_global_average_pool,
    unshare_initializers,
    spell_out_shared_scales,
    drop_implied_zero_points,
    remove_unused_initializers,
    drop_implied_attributes,
    clear_node_names,
    remove_exporter_traces,
)


def onnx_from_program(program: QuantizedProgram, path: Path, *, passes: Sequence[Pass] = ()) -> None:
    """Write a program as one self-contained ONNX file, opset 18, batch dynamic, input `input`, output `logits`.

    Every QuantizeLinear and DequantizeLinear has the name of the program's tensor as the name of its output.

    Args:
        program: what is written.
        path: the file.
        passes: of the target's runtime, before those that every file has.
    """
    model = _exported(program.exported, custom=_translations())
    restore_merged_dequantizers(model, program.tensors())
    for step in passes:
        step(model)
    _save(model, path)


def onnx_from_module(model: nn.Module, example: Tensor, path: Path) -> None:
    """Write an fp32 module as one self-contained ONNX file, opset 18, batch dynamic.

    Args:
        model: maps (batch, ...) to (batch, classes).
        example: (batch, ...), float32, batch at least 2.
        path: the file to write.
    """
    dynamic = ({0: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(model.eval(), (example,), dynamic_shapes=dynamic)
    _save(_exported(program, custom=None), path)


def _exported(
    program: ExportedProgram, *, custom: dict[Callable[..., object], Callable[..., object]] | None
) -> ModelProto:
    try:
        with _quiet():
            result = torch.onnx.export(
                program,
                (),
                dynamo=True,
                custom_translation_table=custom,
                input_names=[INPUT],
                output_names=[OUTPUT],
                opset_version=OPSET,
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # the exporter raises of every kind for what it cannot translate
        raise ModelError("export to ONNX", found=f"torch.onnx says: {str(error).strip().splitlines()[0]}") from error
    if result is None:
        raise ModelError("export to ONNX", found="torch.onnx returned nothing")
    return result.model_proto


def _save(model: ModelProto, path: Path) -> None:
    for step in PASSES:
        step(model)
    onnx.checker.check_model(model, full_check=True)
    write_durably(path, model.SerializeToString(deterministic=True))


def _translations() -> dict[Callable[..., object], Callable[..., object]]:
    return {QUANTIZE: _quantize_linear, DEQUANTIZE: _dequantize_linear}


def _quantize_linear(values: FLOAT, scale: FLOAT, zero_point: UINT8, axis: int) -> UINT8:
    return opset18.QuantizeLinear(values, scale, zero_point, axis=axis)


def _dequantize_linear(codes: UINT8, scale: FLOAT, zero_point: UINT8, axis: int) -> FLOAT:
    return opset18.DequantizeLinear(codes, scale, zero_point, axis=axis)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's own progress lines and deprecation warnings away from the user."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
