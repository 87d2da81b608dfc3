"""The interpreter: batches, rounding, where it may start, and what it does not know."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from edgedistill.errors import ModelError, UnsupportedError
from edgedistill.quantize.program import QuantizedProgram
from edgedistill.targets.base import Artifact
from edgedistill.targets.phone_coreml.executors import InterpretedPackage, normalised
from edgedistill.targets.phone_coreml.interpreter import Interpreter, Precision
from edgedistill.targets.phone_coreml.saved import Declared, Operation, Reference, SavedModel, read_package


def model(*operations: Operation, shape: tuple[int, ...] = (1, 3)) -> SavedModel:
    return SavedModel((Declared("x", "FLOAT32", shape),), operations, {}, (operations[-1].name,), 8)


def operation(kind: str, *, dtype: str = "FLOAT16", shape: tuple[int, ...] = (1, 3), **arguments: object) -> Operation:
    return Operation(kind, {"x": Reference("x"), **arguments}, (Declared("y", dtype, shape),))


def test_every_operation_without_a_rule_is_named() -> None:
    with pytest.raises(UnsupportedError, match="no rule for gru, lstm"):
        Interpreter(model(operation("lstm"), operation("gru"), operation("relu")), Precision.FP32)


@pytest.mark.parametrize(("precision", "expected"), [(Precision.FP32, 1.0001), (Precision.FP16, 1.0)])
def test_values_are_rounded_as_declared(precision: Precision, expected: float) -> None:
    result = Interpreter(model(operation("relu")), precision).run({"x": torch.tensor([[1.0001, 2, 3]])})
    assert float(result["y"][0, 0]) == pytest.approx(expected, abs=1e-6)


def test_an_fp32_operation_is_never_rounded() -> None:
    result = Interpreter(model(operation("relu", dtype="FLOAT32")), Precision.FP16).run(
        {"x": torch.full((1, 3), 1.0001)}
    )
    assert float(result["y"][0, 0]) == pytest.approx(1.0001, abs=1e-7)


def test_a_reshape_gives_room_for_every_sample() -> None:
    shaped = operation("reshape", shape=(1, 1, 3), shape_=None)
    shaped = replace(shaped, arguments={"x": Reference("x"), "shape": np.array([1, 1, 3], np.int32)})
    found = Interpreter(model(shaped), Precision.FP32).run({"x": torch.arange(6.0).reshape(2, 3)})
    assert found["y"].shape == (2, 1, 3)


def test_several_samples_are_refused_where_their_axis_is_moved() -> None:
    moved = operation("transpose", shape=(3, 1), perm=np.array([1, 0], np.int32))
    interpreter = Interpreter(model(moved), Precision.FP32)
    assert not interpreter.batches
    assert interpreter.run({"x": torch.zeros(1, 3)})["y"].shape == (3, 1)
    with pytest.raises(ModelError, match="'y' moves the axis of samples"):
        interpreter.run({"x": torch.zeros(2, 3)})


def test_samples_computed_together_equal_those_computed_alone(artifact: Artifact) -> None:
    package = InterpretedPackage(artifact.folder / artifact.model, Precision.FP16)
    inputs = np.random.default_rng(3).normal(size=(9, 1, 16, 16)).astype(np.float32)
    alone = np.concatenate([package.run(inputs[index : index + 1]) for index in range(9)])
    np.testing.assert_allclose(package.run(inputs), alone, atol=1e-5)


def test_pixels_go_through_the_normalisation_of_the_package(artifact: Artifact, program: QuantizedProgram) -> None:
    package = InterpretedPackage(artifact.folder / artifact.model, Precision.FP32)
    golden = np.load(artifact.folder / "golden.npz")
    found = package.run_pixels(golden["raw"])
    np.testing.assert_array_equal(found, package.run(golden["inputs"]))
    np.testing.assert_array_equal(found.argmax(1), program.run(golden["inputs"]).argmax(1))


def test_the_value_after_the_normalisation_is_found(artifact: Artifact) -> None:
    package = read_package(artifact.folder / artifact.model)
    name = normalised(package)
    assert next(item for item in package.operations if item.name == name).kind == "real_div"
