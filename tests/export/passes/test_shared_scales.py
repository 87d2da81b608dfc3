"""Which operators get a pair of their own, and which are left alone."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edgedistill.export.passes.shared_scales import spell_out_shared_scales

QUARTER, HALF = 0.25, 0.5


def model(nodes: list[NodeProto], *, second_scale: float = QUARTER, zero_point: bool = True) -> ModelProto:
    """Return a graph whose values `a` and `b` are dequantized inputs and whose result is `y`."""
    constants = {
        "axes": np.array([0], np.int64),
        "sizes": np.array([2, 2], np.int64),
        "shape": np.array([4, 4], np.int64),
        "factors": np.array([1, 1, 2, 2], np.float32),
    }
    before = []
    for name, scale in (("a", QUARTER), ("b", second_scale)):
        constants |= {f"{name}_scale": np.array(scale, np.float32), f"{name}_zero": np.array(3, np.uint8)}
        parameters = [f"{name}_scale", *([f"{name}_zero"] if zero_point else [])]
        before.append(helper.make_node("QuantizeLinear", ["x", *parameters], [f"{name}_codes"]))
        before.append(helper.make_node("DequantizeLinear", [f"{name}_codes", *parameters], [name]))
    graph = helper.make_graph(
        [*before, *nodes, helper.make_node("Relu", ["m"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 2, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def outputs(tested: ModelProto) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(tested.SerializeToString(), options)
    values = np.random.default_rng(0).normal(0, 9, (1, 4, 2, 2)).astype(np.float32)
    return np.asarray(session.run(None, {"x": values})[0])


CHANGED = {
    "split": [helper.make_node("Split", ["a"], ["m", "rest"], axis=1, num_outputs=2)],
    "gather": [helper.make_node("Gather", ["a", "axes"], ["m"], axis=1)],
    "nearest": [helper.make_node("Resize", ["a", "", "factors"], ["m"], mode="nearest")],
    "concat": [helper.make_node("Concat", ["a", "b"], ["m"], axis=1)],
    "concat, moved": [
        helper.make_node("Reshape", ["a", "shape"], ["r"]),
        helper.make_node("Concat", ["r", "r"], ["m"], axis=1),
    ],
    "two in a row": [
        helper.make_node("Concat", ["a", "b"], ["c"], axis=1),
        helper.make_node("Gather", ["c", "axes"], ["m"], axis=1),
    ],
}


@pytest.mark.parametrize("kind", CHANGED)
def test_a_mover_gets_a_pair_and_computes_the_same(kind: str) -> None:
    plain, changed = model(CHANGED[kind]), model(CHANGED[kind])
    assert spell_out_shared_scales(changed)
    kinds = [node.op_type for node in changed.graph.node]
    assert kinds.count("QuantizeLinear") == 2 + (2 if kind == "two in a row" else 1)
    assert np.array_equal(outputs(plain), outputs(changed))
    assert not spell_out_shared_scales(changed)


@pytest.mark.parametrize(
    ("nodes", "second_scale", "zero_point"),
    [
        ([helper.make_node("Concat", ["a", "b"], ["m"], axis=1)], HALF, True),
        ([helper.make_node("Resize", ["a", "", "factors"], ["m"], mode="linear")], QUARTER, True),
        ([helper.make_node("Transpose", ["a"], ["m"], perm=[0, 2, 3, 1])], QUARTER, True),
        ([helper.make_node("Gather", ["a", "axes"], ["m"], axis=1)], QUARTER, False),
        ([helper.make_node("Relu", ["a"], ["r"]), helper.make_node("Gather", ["r", "axes"], ["m"])], QUARTER, True),
    ],
    ids=["other scales", "interpolation", "propagated by the runtime", "no zero point", "no codes"],
)
def test_what_shares_no_scale_is_left_alone(nodes: list[NodeProto], second_scale: float, *, zero_point: bool) -> None:
    tested = model(nodes, second_scale=second_scale, zero_point=zero_point)
    before = tested.SerializeToString()
    assert not spell_out_shared_scales(tested)
    assert tested.SerializeToString() == before
