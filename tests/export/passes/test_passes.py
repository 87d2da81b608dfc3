"""Every pass: what it changes, and what it leaves alone."""

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edgedistill.export.passes.exporter_traces import remove_exporter_traces
from edgedistill.export.passes.global_average_pool import restore_global_average_pool
from edgedistill.export.passes.implied_attributes import drop_implied_attributes
from edgedistill.export.passes.implied_zero_points import drop_implied_zero_points
from edgedistill.export.passes.node_names import clear_node_names
from edgedistill.export.passes.own_initializers import unshare_initializers
from edgedistill.export.passes.unused_initializers import remove_unused_initializers

INPUT_SHAPE = [2, 3, 4, 4]


def model_of(
    nodes: list[NodeProto], *, constants: dict[str, object], output_shape: list[int] | None = None
) -> ModelProto:
    """Return a model from input `x` to output `y`."""
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, INPUT_SHAPE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output_shape or INPUT_SHAPE)],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


def outputs(model: ModelProto) -> object:
    inputs = np.random.default_rng(0).normal(size=INPUT_SHAPE).astype(np.float32)
    return ReferenceEvaluator(model).run(None, {"x": inputs})[0]


def kinds(model: ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize(
    ("keepdims", "shape", "expected"),
    [(1, [2, 3, 1, 1], ["GlobalAveragePool"]), (0, [2, 3], ["GlobalAveragePool", "Flatten"])],
)
def test_a_mean_over_the_image_becomes_a_pool(keepdims: int, shape: list[int], expected: list[str]) -> None:
    node = helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=keepdims)
    model = model_of([node], constants={"axes": np.array([-1, 2])}, output_shape=shape)
    before = outputs(model)
    assert restore_global_average_pool(model) is True
    assert kinds(model) == expected
    np.testing.assert_allclose(outputs(model), before, rtol=1e-6)


def test_a_mean_over_channels_is_left_alone() -> None:
    node = helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=1)
    model = model_of([node], constants={"axes": np.array([1])}, output_shape=[2, 1, 4, 4])
    assert restore_global_average_pool(model) is False
    assert kinds(model) == ["ReduceMean"]


def pair(number: int, source: str, result: str, scale: str, zero: str) -> list[NodeProto]:
    return [
        helper.make_node("QuantizeLinear", [source, scale, zero], [f"codes{number}"]),
        helper.make_node("DequantizeLinear", [f"codes{number}", scale, zero], [result]),
    ]


def test_shared_parameters_become_everyone_s_own() -> None:
    nodes = [*pair(0, "x", "middle", "s", "z"), *pair(1, "middle", "y", "s", "z")]
    model = model_of(nodes, constants={"s": np.float32(0.1), "z": np.uint8(7)})
    before = outputs(model)
    assert unshare_initializers(model) is True
    read = [name for node in model.graph.node for name in node.input[1:]]
    assert len(read) == len(set(read)) == 8
    np.testing.assert_array_equal(outputs(model), before)
    assert unshare_initializers(model) is False


def biased(zero_dtype: type[np.integer], zero: int) -> ModelProto:
    nodes = [
        helper.make_node("DequantizeLinear", ["codes", "s", "z"], ["bias"]),
        helper.make_node("Add", ["x", "bias"], ["y"]),
    ]
    constants = {"codes": zero_dtype(9), "s": np.float32(0.5), "z": zero_dtype(zero)}
    return model_of(nodes, constants=constants)


def test_the_zero_point_of_an_int32_bias_goes() -> None:
    model = biased(np.int32, 0)
    before = outputs(model)
    assert drop_implied_zero_points(model) is True
    assert len(model.graph.node[0].input) == 2
    np.testing.assert_array_equal(outputs(model), before)


@pytest.mark.parametrize(("dtype", "zero"), [(np.int8, 0), (np.int8, 3)])
def test_the_zero_point_of_a_weight_stays(dtype: type[np.integer], zero: int) -> None:
    model = biased(dtype, zero)
    assert drop_implied_zero_points(model) is False
    assert len(model.graph.node[0].input) == 3


def test_attributes_that_say_the_default_go_and_others_stay() -> None:
    weight = np.ones((3, 3, 1, 1), np.float32)
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=1, dilations=[1, 1], strides=[1, 1], auto_pad="NOTSET")
    model = model_of([node], constants={"w": weight})
    before = outputs(model)
    assert drop_implied_attributes(model) is True
    assert [attribute.name for attribute in model.graph.node[0].attribute] == ["strides"]
    np.testing.assert_array_equal(outputs(model), before)
    assert drop_implied_attributes(model) is False


def test_dilations_that_matter_stay() -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], dilations=[2, 2], pads=[2, 2, 2, 2])
    model = model_of([node], constants={"w": np.ones((3, 3, 3, 3), np.float32)})
    assert drop_implied_attributes(model) is False


def test_initializers_that_nobody_reads_go() -> None:
    model = model_of(
        [helper.make_node("Add", ["x", "c"], ["y"])], constants={"c": np.float32(1), "unread": np.float32(2)}
    )
    assert remove_unused_initializers(model) is True
    assert [item.name for item in model.graph.initializer] == ["c"]
    assert remove_unused_initializers(model) is False


def test_names_and_traces_of_the_exporter_go() -> None:
    node = helper.make_node("Relu", ["x"], ["y"], name="node_relu", doc_string="File /home/somebody/model.py, line 3")
    model = model_of([node], constants={})
    entry = model.graph.node[0].metadata_props.add()
    entry.key, entry.value = "stack", "/home/somebody"
    model.producer_name, model.producer_version = "pytorch", "2.13.0"
    assert clear_node_names(model) is True
    assert remove_exporter_traces(model) is True
    assert b"somebody" not in model.SerializeToString()
    assert b"2.13.0" not in model.SerializeToString()
    assert clear_node_names(model) is False
    assert remove_exporter_traces(model) is False
