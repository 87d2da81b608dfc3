import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edgedistill.quantize.operators import DEQUANTIZE, QUANTIZE


def reference(kind: str, values: NDArray[np.generic], scale: NDArray[np.float32], zero: NDArray[np.integer]) -> object:
    """Return what the ONNX reference evaluator computes."""
    node = helper.make_node(kind, ["x", "s", "z"], ["y"], axis=1)
    element = helper.np_dtype_to_tensor_dtype(values.dtype)
    result = TensorProto.FLOAT if kind == "DequantizeLinear" else helper.np_dtype_to_tensor_dtype(zero.dtype)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", element, values.shape)],
        [helper.make_tensor_value_info("y", result, values.shape)],
        [numpy_helper.from_array(scale, "s"), numpy_helper.from_array(zero, "z")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)])
    onnx.checker.check_model(model)
    return ReferenceEvaluator(model).run(None, {"x": values})[0]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
def test_quantize_rounds_ties_and_saturates_as_the_onnx_reference_does(dtype: type[np.integer]) -> None:
    ties = (np.arange(-700, 700, dtype=np.float32) / 2)[None] * np.float32(0.25)
    scale, zero = np.array(0.25, np.float32), np.array(3, dtype)
    ours = QUANTIZE(torch.from_numpy(ties), torch.from_numpy(scale), torch.from_numpy(zero), 1)
    np.testing.assert_array_equal(ours.numpy(), reference("QuantizeLinear", ties, scale, zero))


def test_quantize_and_dequantize_per_channel_as_the_onnx_reference_does() -> None:
    values = np.random.default_rng(0).normal(size=(4, 3, 5)).astype(np.float32)
    scale, zero = np.array([0.01, 0.02, 0.03], np.float32), np.array([1, -2, 3], np.int8)
    parameters = torch.from_numpy(scale), torch.from_numpy(zero), 1
    codes = QUANTIZE(torch.from_numpy(values), *parameters)
    np.testing.assert_array_equal(codes.numpy(), reference("QuantizeLinear", values, scale, zero))
    real = DEQUANTIZE(codes, *parameters)
    np.testing.assert_array_equal(real.numpy(), reference("DequantizeLinear", codes.numpy(), scale, zero))


def test_dequantize_is_exact_for_int32_biases() -> None:
    codes = torch.tensor([2**24 - 1, -(2**20)], dtype=torch.int32)
    scale, zero = torch.tensor([0.5, 2.0**-10]), torch.zeros(2, dtype=torch.int32)
    assert DEQUANTIZE(codes, scale, zero, 0).tolist() == [(2**24 - 1) / 2, -1024.0]
