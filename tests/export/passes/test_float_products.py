"""A layer that is to stay in float stays there in the runtime, and computes what the program computes."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from small_models import images, residual

from edgedistill.evaluate.integer_share import integer_share
from edgedistill.evaluate.onnx_runtime import OnnxRuntimeExecutor
from edgedistill.export.onnx_writer import onnx_from_program
from edgedistill.export.passes.float_products import keep_products_in_float
from edgedistill.quantize.annotate import annotate
from edgedistill.quantize.calibrate import GivenBatches, calibrate
from edgedistill.quantize.capture import capture
from edgedistill.quantize.convert import convert
from edgedistill.quantize.spec import QuantSpec
from edgedistill.recipe import Calibration

if TYPE_CHECKING:
    from pathlib import Path

    from edgedistill.quantize.program import QuantizedProgram

PRECISE = {"session.x64quantprecision": "1"}


def program_with(kept: list[str]) -> QuantizedProgram:
    inputs = images(64)
    graph = annotate(capture(residual(width=8), inputs[:2]), QuantSpec(), keep_float=kept)
    calibrate(graph, GivenBatches(inputs.split(16), Calibration(max_drift=100)))
    return convert(graph, QuantSpec(), inputs[:2])


@pytest.mark.parametrize("kept", ["conv2d_1", "conv2d_4"])
def test_the_runtime_computes_it_in_float_and_the_outputs_are_the_programs(kept: str, tmp_path: Path) -> None:
    program, inputs = program_with([kept]), images(64, seed=1).numpy()
    path = tmp_path / "model.onnx"
    onnx_from_program(program, path, passes=(keep_products_in_float,))
    share = integer_share(path, inputs[:1], options=PRECISE)
    assert len(share.floats) == 1
    computed = OnnxRuntimeExecutor(path, options=PRECISE).run(inputs)
    assert np.abs(computed - program.run(inputs)).max() < 1e-5


def test_without_it_the_runtime_quantizes_the_weight_by_itself(tmp_path: Path) -> None:
    # why the pass is there; when this fails, the runtime has changed
    path = tmp_path / "model.onnx"
    onnx_from_program(program_with(["conv2d_1"]), path)
    assert not integer_share(path, images(1).numpy(), options=PRECISE).floats


def test_quantized_weights_and_what_reads_floats_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx_from_program(program_with([]), path)
    model = onnx.load(path)
    before = copy.deepcopy(model)
    assert not keep_products_in_float(model)
    assert model == before
    onnx_from_program(program_with(["conv2d"]), path)  # it reads the input, which is then no code
    assert not keep_products_in_float(onnx.load(path))
