"""Teachers that only answer: ONNX files, functions, ensembles; what they say, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from edgedistill.distill.features import layer_named
from edgedistill.errors import ModelError, UnsafeFileError
from edgedistill.export.onnx_writer import onnx_from_module
from edgedistill.models.ensemble import EnsembleTeacher
from edgedistill.models.fingerprints import fingerprint
from edgedistill.models.loading import check_outputs, load_model
from edgedistill.models.onnx_files import external_files
from edgedistill.models.onnx_teacher import teacher_from_onnx
from edgedistill.recipe import Member, Model

if TYPE_CHECKING:
    from pathlib import Path

DEMO = {"source": "residual", "options": {"width": 24, "blocks": (1, 2, 2)}}
DEMO |= {"weights": "builtin:fashion-mnist-residual24"}
TOLERANCE = 2e-4
"""Largest difference of a logit between torch and ONNX Runtime: they sum in another order."""


def loaded(model: Model, folder: Path, *, classes: int = 10) -> nn.Module:
    return load_model(model, classes=classes, channels=1, recipe_folder=folder).eval()


def linear(path: Path, *, domain: str = "", external: str | None = None, outputs: int = 1) -> Path:
    """Write logits = inputs (n, 3) times a matrix (3, 2)."""
    matrix = helper.make_tensor("matrix", TensorProto.FLOAT, [3, 2], np.arange(6, dtype=np.float32).tobytes(), raw=True)
    if external is not None:
        matrix.ClearField("raw_data")
        matrix.data_location = TensorProto.EXTERNAL
        matrix.external_data.add(key="location", value=external)
        matrix.external_data.add(key="length", value="24")
    nodes = [helper.make_node("MatMul", ["x", "matrix"], [f"y{index}"], domain=domain) for index in range(outputs)]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info(f"y{index}", TensorProto.FLOAT, ["n", 2]) for index in range(outputs)],
        [matrix],
    )
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())
    return path


def test_the_demonstrations_teacher_as_onnx_gives_the_same_labels(tmp_path: Path) -> None:
    teacher = loaded(Model(**DEMO), tmp_path)
    onnx_from_module(teacher, torch.zeros(2, 1, 28, 28), tmp_path / "teacher.onnx")
    other = loaded(Model(source="teacher.onnx"), tmp_path)
    images = torch.randn(64, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        ours, theirs = teacher(images), other(images)
    assert torch.equal(ours.argmax(1), theirs.argmax(1))
    torch.testing.assert_close(theirs, ours, rtol=0, atol=TOLERANCE)
    check_outputs(other, (1, 28, 28), 10)
    with pytest.raises(ModelError, match="10 outputs, and the data have 7 classes"):
        check_outputs(other, (1, 28, 28), 7)


def test_external_weights_are_read_and_are_part_of_the_fingerprint(tmp_path: Path) -> None:
    linear(tmp_path / "net.onnx", external="weights.bin")
    (tmp_path / "weights.bin").write_bytes(np.ones((3, 2), np.float32).tobytes())
    answers = teacher_from_onnx(tmp_path / "net.onnx")(torch.tensor([[1.0, 2.0, 4.0]]))
    assert answers.tolist() == [[7.0, 7.0]]
    before = fingerprint(Model(source="net.onnx"), tmp_path)
    (tmp_path / "weights.bin").write_bytes(np.zeros((3, 2), np.float32).tobytes())
    assert fingerprint(Model(source="net.onnx"), tmp_path) != before


@pytest.mark.parametrize("place", ["../outside.bin", "/etc/passwd", "link.bin", "folder/../../outside.bin"])
def test_external_weights_outside_the_folder_are_refused(tmp_path: Path, place: str) -> None:
    home = tmp_path / "home"
    (home / "folder").mkdir(parents=True)
    (tmp_path / "outside.bin").write_bytes(bytes(24))
    (home / "link.bin").symlink_to(tmp_path / "outside.bin")
    linear(home / "net.onnx", external=place)
    with pytest.raises(UnsafeFileError, match="a file in the model's own folder"):
        teacher_from_onnx(home / "net.onnx")
    with pytest.raises(UnsafeFileError):
        fingerprint(Model(source="net.onnx"), home)


def test_external_weights_inside_a_branch_are_seen(tmp_path: Path) -> None:
    branch = onnx.load(str(linear(tmp_path / "a.onnx", external="../b.bin")), load_external_data=False).graph
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    outer = helper.make_graph([node], "outer", [], [])
    (tmp_path / "c.onnx").write_bytes(helper.make_model(outer).SerializeToString())
    with pytest.raises(UnsafeFileError, match=r"\.\./b\.bin"):
        external_files(tmp_path / "c.onnx")


def test_a_library_of_its_own_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsafeFileError, match=r"operators of 'com\.evil'"):
        teacher_from_onnx(linear(tmp_path / "net.onnx", domain="com.evil"))


def test_files_that_are_no_model(tmp_path: Path) -> None:
    (tmp_path / "junk.onnx").write_bytes(b"\xff" * 100)
    with pytest.raises(ModelError, match="it is no ONNX file"):
        teacher_from_onnx(tmp_path / "junk.onnx")
    (tmp_path / "empty.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match="onnx's checker says"):
        teacher_from_onnx(tmp_path / "empty.onnx")
    with pytest.raises(ModelError, match="1 inputs and 2 outputs"):
        teacher_from_onnx(linear(tmp_path / "two.onnx", outputs=2))
    with pytest.raises(ModelError, match="no file"):
        fingerprint(Model(source="gone.onnx"), tmp_path)
    with pytest.raises(ModelError, match=r"no file .*weights"):
        teacher_from_onnx(linear(tmp_path / "net.onnx", external="gone.bin"))


FUNCTIONS = """
import numpy as np
import torch

def numpy_one(scale=1.0):
    return lambda images: (images * scale).astype(np.float64)

def torch_one():
    return lambda images: torch.from_numpy(images) * 2

def whole():
    return lambda images: images.astype(int)

def text():
    return "no function"
"""


def test_a_function_is_a_teacher(tmp_path: Path) -> None:
    (tmp_path / "own_teachers.py").write_text(FUNCTIONS, "utf-8")
    inputs = torch.tensor([[1.0, -2.0]])
    doubled = loaded(Model(source="python:own_teachers:numpy_one", options={"scale": 2.0}), tmp_path)
    assert torch.equal(doubled(inputs), 2 * inputs)
    assert torch.equal(loaded(Model(source="python:own_teachers:torch_one"), tmp_path)(inputs), 2 * inputs)
    with pytest.raises(ModelError, match=r"int64 \(1, 2\).*floating point"):
        loaded(Model(source="python:own_teachers:whole"), tmp_path)(inputs)
    with pytest.raises(ModelError, match="it returns a str"):
        loaded(Model(source="python:own_teachers:text"), tmp_path)
    with pytest.raises(ModelError, match="'weights'"):
        loaded(Model(source="python:own_teachers:torch_one", weights="a.safetensors"), tmp_path)
    with pytest.raises(ModelError, match="it only answers and has no layers"):
        layer_named(doubled, "stages.1", role="teacher")


def test_an_ensemble_by_hand() -> None:
    one, other = torch.tensor([[0.9, 0.1]]), torch.tensor([[0.2, 0.8]])

    class Says(nn.Module):
        def __init__(self, probabilities: torch.Tensor) -> None:
            super().__init__()
            self.logits = probabilities.log() + 5

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.logits.expand(len(inputs), 2)

    found = EnsembleTeacher([Says(one), Says(other)], [3, 1])(torch.zeros(4, 1))
    torch.testing.assert_close(torch.softmax(found, 1), (0.75 * one + 0.25 * other).expand(4, 2), rtol=1e-6, atol=0)


def test_an_ensemble_of_one_teacher_twice_is_that_teacher_and_has_a_key_of_its_own(tmp_path: Path) -> None:
    images = torch.randn(8, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    pair = Model(source="ensemble", ensemble=(Member(**DEMO), Member(**DEMO, weight=0.5)))
    with torch.inference_mode():
        alone, both = loaded(Model(**DEMO), tmp_path)(images), loaded(pair, tmp_path)(images)
    torch.testing.assert_close(torch.softmax(both, 1), torch.softmax(alone, 1), rtol=1e-5, atol=1e-7)
    other = Model(source="ensemble", ensemble=(Member(**DEMO), Member(**DEMO, weight=0.6)))
    assert len({fingerprint(item, tmp_path) for item in (pair, other, Model(**DEMO))}) == 3


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Model(source="ensemble"), "at least 2 teachers"),
        (Model(source="ensemble", ensemble=(Member(**DEMO),)), "1 in 'ensemble'"),
        (Model(source="residual", ensemble=(Member(**DEMO),)), "source: ensemble"),
        (Model(source="ensemble", weights="a.pt", ensemble=(Member(**DEMO),) * 2), "those of its members"),
        (Model(source="ensemble", ensemble=(Member(**DEMO), Member(source="recorded"))), "'recorded'"),
        (Model(source="ensemble", ensemble=(Member(**DEMO), Member(source="residual"))), "no weights"),
        (Model(source="ensemble", ensemble=(Member(**DEMO), Member(source="ensemble"))), "'ensemble'"),
    ],
)
def test_ensembles_that_cannot_be(tmp_path: Path, model: Model, message: str) -> None:
    for asked in (fingerprint, loaded):
        with pytest.raises(ModelError, match=message):
            asked(model, tmp_path)
