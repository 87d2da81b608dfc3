import json
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import images, program_of, residual

from edgedistill.errors import ModelError
from edgedistill.quantize.program import DESCRIPTION_FILE, load_program
from edgedistill.quantize.spec import BiasType, Placement, QuantSpec


def test_a_saved_program_computes_the_same_bits(tmp_path: Path) -> None:
    inputs = images(20)
    program = program_of(residual(), inputs)
    program.save(tmp_path)
    loaded = load_program(tmp_path)
    assert loaded.spec == program.spec
    assert loaded.fingerprint == program.fingerprint
    np.testing.assert_array_equal(loaded.run(inputs.numpy()), program.run(inputs.numpy()))


def test_a_program_keeps_its_placement(tmp_path: Path) -> None:
    program = program_of(residual(), images(8), QuantSpec(bias=BiasType.FLOAT, placement=Placement.INPUTS))
    program.save(tmp_path)
    assert load_program(tmp_path).spec == program.spec
    assert program.spec.key != QuantSpec(bias=BiasType.FLOAT).key
    assert "placement" not in QuantSpec().values  # programs stored before it existed keep their names


def test_stored_tensors_are_integers_and_no_float_weight_is_left() -> None:
    program = program_of(residual(), images(8))
    types = {None if tensor.codes is None else tensor.codes.dtype for tensor in program.tensors().values()}
    assert types == {None, torch.int8, torch.int32}
    floats = {name for name, value in program.graph.state_dict().items() if value.dtype == torch.float32}
    assert all(name.endswith("_scale") for name in floats)


def test_float_biases_stay_float() -> None:
    program = program_of(residual(), images(8), QuantSpec(bias=BiasType.FLOAT))
    types = {None if tensor.codes is None else tensor.codes.dtype for tensor in program.tensors().values()}
    assert types == {None, torch.int8}


def test_activations_know_their_layer() -> None:
    program = program_of(residual(), images(8))
    assert program.layers["relu"] == "stem.2"


def test_a_changed_program_is_refused(tmp_path: Path) -> None:
    program_of(residual(), images(8)).save(tmp_path)
    path = tmp_path / DESCRIPTION_FILE
    description = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**description, "fingerprint": "0" * 64}), "utf-8")
    with pytest.raises(ModelError, match="is not the one"):
        load_program(tmp_path)


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no program\.pt2"):
        load_program(tmp_path)


def test_another_weight_gives_another_fingerprint() -> None:
    inputs = images(8)
    assert program_of(residual(), inputs).fingerprint == program_of(residual(), inputs).fingerprint
    assert program_of(residual(), inputs).fingerprint != program_of(residual(seed=1), inputs).fingerprint
