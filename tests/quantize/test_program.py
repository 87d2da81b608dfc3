import json
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import images, program_of, residual
from torch import Tensor, nn

from edgedistill.errors import ModelError
from edgedistill.quantize.program import DESCRIPTION_FILE, QuantizedProgram, load_program
from edgedistill.quantize.spec import BiasType, Placement, QuantSpec, ScaleFormat


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


class Normed(nn.Module):
    """Has float constants that no quantizer rounds: a norm's gains, a table of positions, a mask."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.last = nn.LayerNorm(16, eps=1e-12), nn.Linear(16, 4)
        self.norm.weight.data += 1e-4
        self.register_buffer("mask", torch.tensor([0.0, -3.4e38] * 8))
        self.register_buffer("tiny", torch.tensor([1e-12, 0.0] * 8))

    def forward(self, x: Tensor) -> Tensor:
        masked = torch.maximum(self.norm(x.mean(2) * 32**-0.5) + self.tiny, self.mask)
        return self.last(masked).mean((1, 2))  # type: ignore[no-any-return]


def scalars(program: QuantizedProgram) -> set[float]:
    """Return the floats that stand among the arguments of a program's operators."""
    nodes = [node for node in program.graph.graph.nodes if node.op == "call_function"]
    return {value for node in nodes for value in (*node.args, *node.kwargs.values()) if isinstance(value, float)}


def test_with_half_biases_every_float_constant_is_one_that_fp16_holds() -> None:
    half = program_of(Normed().eval(), images(8), QuantSpec(bias=BiasType.FP16, scale_format=ScaleFormat.FP32))
    state = half.graph.state_dict()
    constants = {name: value for name, value in state.items() if value.dtype == torch.float32 and "scale" not in name}
    assert {"norm.weight", "mask", "tiny"} <= constants.keys()
    for value in constants.values():
        assert torch.equal(value, value.half().float())
    assert constants["mask"].tolist() == [0.0, -65504.0] * 8
    assert constants["tiny"].tolist() == [2.0**-24, 0.0] * 8
    assert scalars(half) == {2.0**-24, float(torch.tensor(32**-0.5).half())}
    scales = [value for name, value in state.items() if name.endswith("_scale")]
    assert any(not torch.equal(scale, scale.half().float()) for scale in scales)


def test_without_them_float_constants_stay_as_they_are() -> None:
    module = Normed().eval()
    state = program_of(module, images(8), QuantSpec()).graph.state_dict()
    assert torch.equal(state["norm.weight"], module.norm.weight)
    assert scalars(program_of(module, images(8), QuantSpec())) == {1e-12, 32**-0.5}


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
