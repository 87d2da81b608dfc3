"""Each pass: what it changes, what it leaves alone, and that the network computes the same."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from quantized_graphs import classifier, parameters_of, two_convolutions

from edgedistill.errors import UnsupportedError
from edgedistill.targets.jetson_tensorrt.calibration_cache import calibration_cache
from edgedistill.targets.jetson_tensorrt.passes.float_network import drop_quantization
from edgedistill.targets.jetson_tensorrt.passes.float_remainder import type_as_float
from edgedistill.targets.jetson_tensorrt.passes.half_precision import nearest_half, type_as_half
from edgedistill.targets.jetson_tensorrt.passes.node_names import name_nodes
from edgedistill.targets.jetson_tensorrt.passes.older_opset import lower_opset
from edgedistill.targets.jetson_tensorrt.passes.static_batch import fix_batch

if TYPE_CHECKING:
    from numpy.typing import NDArray


def outputs(model: ModelProto) -> NDArray[np.float32]:
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    shape = [size if isinstance(size, int) else 1 for size in session.get_inputs()[0].shape]
    sample = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    return session.run(None, {"input": sample})[0]


def test_half_precision_keeps_inputs_and_outputs_in_float32() -> None:
    before = classifier("gemm-transposed")
    after = copy.deepcopy(before)
    assert type_as_half(after)
    onnx.checker.check_model(after, full_check=True)
    assert after.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
    assert after.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
    floats = [item for item in after.graph.initializer if item.data_type == TensorProto.FLOAT]
    assert len(floats) == 1  # the scale of the float32 input
    np.testing.assert_allclose(outputs(after), outputs(before), atol=0.05)


def test_half_precision_and_back_gives_the_same_constants() -> None:
    model = two_convolutions()
    for tensor in model.graph.initializer:  # numbers that fp16 holds, as a program's scales are
        if tensor.data_type == TensorProto.FLOAT:
            held = numpy_helper.to_array(tensor).astype(np.float16).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(held, tensor.name))
    there = copy.deepcopy(model)
    type_as_half(there)
    assert type_as_float(there)
    np.testing.assert_array_equal(outputs(there), outputs(model))
    assert not type_as_float(there)


def test_constants_beyond_fp16_stay_finite_and_different_from_zero() -> None:
    found = nearest_half(np.array([-3.4e38, 1e-12, -1e-12, 0.0, 1.0], np.float32))
    assert found.tolist() == [-65504.0, 5.960464477539063e-08, -5.960464477539063e-08, 0.0, 1.0]


def test_dropping_quantization_leaves_dequantized_weights_and_no_codes() -> None:
    model = two_convolutions()
    stored = parameters_of(model)
    weights = [node for node in model.graph.node if node.input[0] in stored]
    expected = {node.output[0]: stored[node.input[0]] * stored[node.input[1]].reshape(-1, 1, 1, 1) for node in weights}
    assert drop_quantization(model)
    assert {node.op_type for node in model.graph.node} == {"Conv", "Relu"}
    assert {item.data_type for item in model.graph.initializer} == {TensorProto.FLOAT}
    found = parameters_of(model)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)
    assert np.isfinite(outputs(model)).all()
    assert not drop_quantization(model)


def reduced(axes: str) -> ModelProto:
    inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, [2, 3, 4])]
    constants = [numpy_helper.from_array(np.array([1], np.int64), "axes")]
    if axes == "computed":
        inputs.append(helper.make_tensor_value_info("axes", TensorProto.INT64, [1]))
        constants = []
    nodes = [helper.make_node("ReduceMean", ["input", "axes"], ["mean"], keepdims=0)]
    output = helper.make_tensor_value_info("mean", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "mean", inputs, [output], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def test_an_older_opset_has_axes_as_an_attribute() -> None:
    model = reduced("stored")
    before = outputs(model)
    assert lower_opset(model)
    assert model.opset_import[0].version == 17
    np.testing.assert_array_equal(outputs(model), before)
    assert not lower_opset(model)


def test_what_the_older_opset_lacks_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="computed axes"):
        lower_opset(reduced("computed"))
    model = reduced("stored")
    model.graph.node.append(helper.make_node("BitwiseNot", ["mean"], ["bits"]))
    with pytest.raises(UnsupportedError, match="BitwiseNot"):
        lower_opset(model)


def test_a_free_batch_is_fixed() -> None:
    model = two_convolutions(shape=("n", 16, 16, 16))
    assert fix_batch(model)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1
    assert not fix_batch(two_convolutions())


def test_nodes_are_named_where_they_have_no_name() -> None:
    model = reduced("stored")
    assert name_nodes(model)
    assert model.graph.node[0].name == "mean"
    assert not name_nodes(model)


def test_a_calibration_cache_has_every_scale_as_big_endian_float32() -> None:
    lines = calibration_cache(two_convolutions()).splitlines()
    assert lines[0] == "TRT-100300-EntropyCalibration2"
    found = dict(line.split(": ") for line in lines[1:])
    assert found["input"] == "3d4ccccd"  # 0.05
    relu = next(name for name in found if name.startswith("relu"))
    conv = next(name for name in found if name.startswith("conv"))
    assert found[conv] == found[relu]  # absorbed: its result has the scale of the ReLU's
