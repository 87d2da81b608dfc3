"""The first tensor that differs is named, with both codes and operators; where none differs, none is named."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from small_models import images, program_of, residual

from edgedistill.evaluate.bisect import bisect, matches
from edgedistill.evaluate.inspection import Inspectable, expose_codes
from edgedistill.evaluate.onnx_runtime import OnnxRuntimeExecutor
from edgedistill.export.onnx_writer import onnx_from_program

if TYPE_CHECKING:
    from pathlib import Path

    from edgedistill.quantize.program import QuantizedProgram

OPTIONS = {"session.x64quantprecision": "1"} if platform.machine() == "x86_64" else {}
INPUTS = images(16, seed=3).numpy()


@pytest.fixture(scope="module")
def program() -> QuantizedProgram:
    return program_of(residual(), images(64))


@pytest.fixture(scope="module")
def path(program: QuantizedProgram, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    onnx_from_program(program, path)
    return path


def changed(path: Path, into: Path, *, position: int) -> OnnxRuntimeExecutor:
    """Return an executor of the model with one weight code of one convolution changed."""
    model = onnx.load(path)
    writers = {node.output[0]: node for node in model.graph.node}
    convolution = [node for node in model.graph.node if node.op_type == "Conv"][position]
    name = writers[convolution.input[1]].input[0]
    stored = next(item for item in model.graph.initializer if item.name == name)
    codes = numpy_helper.to_array(stored).copy()
    codes[0] = np.where(codes[0] > 0, codes[0] - 40, codes[0] + 40)
    stored.CopyFrom(numpy_helper.from_array(codes, name))
    onnx.save(model, into)
    return OnnxRuntimeExecutor(into, options=OPTIONS)


def test_every_quantized_activation_is_seen_and_equal(program: QuantizedProgram, path: Path) -> None:
    executor = OnnxRuntimeExecutor(path, options=OPTIONS)
    assert isinstance(executor, Inspectable)
    found = executor.inspect(INPUTS)
    result = bisect(program, found, INPUTS)
    names = [name for name, tensor in program.tensors().items() if tensor.codes is None]
    assert [match.tensor for match in result.equal] == names
    assert (result.first, result.missing, result.same_kernels, result.outputs_equal) == (None, (), True, True)
    assert result.samples == len(INPUTS)
    np.testing.assert_array_equal(found.outputs, executor.run(INPUTS))
    kernels = {match.operator: match.kernel for match in result.equal}
    assert kernels["input"] == "QuantizeLinear"
    assert kernels["aten.conv2d"] == kernels["aten.conv2d + aten.relu"] == "QLinearConv"
    assert kernels["aten.add.Tensor + aten.relu"] == "QLinearAdd"
    assert kernels["aten.adaptive_avg_pool2d"] == "QLinearGlobalAveragePool"


def test_the_first_difference_is_where_the_model_was_changed(
    program: QuantizedProgram, path: Path, tmp_path: Path
) -> None:
    found = changed(path, tmp_path / "changed.onnx", position=4).inspect(INPUTS)
    result = bisect(program, found, INPUTS)
    assert result.first is not None
    assert not result.outputs_equal
    assert result.first.kernel == "QLinearConv"
    assert result.first.layer.startswith("stages.1")
    assert result.first.program_code != result.first.artifact_code
    assert result.first.place[1] == 0  # the changed output channel
    assert result.first.differing > 0
    assert 0 < result.first.largest < 256
    codes = found.codes[result.first.tensor]
    assert int(codes[result.first.place]) == result.first.artifact_code


def test_judged_by_itself_only_the_changed_operator_differs(
    program: QuantizedProgram, path: Path, tmp_path: Path
) -> None:
    found = changed(path, tmp_path / "changed.onnx", position=2).inspect(INPUTS)
    differing = [match.tensor for match in matches(program, found, INPUTS, each_by_itself=True) if match.differing]
    first = bisect(program, found, INPUTS).first
    assert first is not None
    assert differing == [first.tensor]
    together = [match.tensor for match in matches(program, found, INPUTS) if match.differing]
    assert len(together) > 1


def test_a_tensor_that_the_runtime_does_not_have_is_said_to_be_missing(program: QuantizedProgram, path: Path) -> None:
    found = OnnxRuntimeExecutor(path, options=OPTIONS).inspect(INPUTS)
    gone = next(iter(found.codes))
    without = type(found)(
        found.outputs, {name: codes for name, codes in found.codes.items() if name != gone}, found.kernels, True
    )
    assert bisect(program, without, INPUTS).missing == (gone,)


def test_the_exposed_model_keeps_its_own_output_first_and_is_a_copy(path: Path) -> None:
    model = onnx.load(path)
    exposed = expose_codes(model)
    assert [output.name for output in model.graph.output] == ["logits"]
    assert exposed.graph.output[0].name == "logits"
    quantized = sum(node.op_type == "QuantizeLinear" for node in model.graph.node)
    assert len(exposed.graph.output) == 1 + quantized
