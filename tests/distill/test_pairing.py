from __future__ import annotations

import pytest
import torch
from torch import nn

from edgedistill.distill.features import tapped
from edgedistill.distill.methods.base import LayerPair, Pairing
from edgedistill.distill.pairing import Layout, automatic_pairs, layout_of, named_pairs
from edgedistill.errors import ModelError
from edgedistill.models.residual import ResidualNet
from edgedistill.models.separable import SeparableNet
from edgedistill.models.text import TextConvNet, TextEncoder

IMAGES = torch.zeros(2, 1, 28, 28)
TOKENS = torch.tensor([[4, 5, 6, 0, 0, 0, 0, 0], [4, 5, 0, 0, 0, 0, 0, 0]])


def residual(**options: object) -> Layout:
    return layout_of(ResidualNet(classes=3, channels=1, width=4, **options), IMAGES, role="teacher")


def encoder(layers: int, *, width: int = 8) -> Layout:
    model = TextEncoder(classes=3, vocabulary=9, length=8, width=width, layers=layers)
    return layout_of(model, TOKENS, role="student")


def pairs(student: Layout, teacher: Layout, pairing: Pairing = Pairing.STAGES) -> list[tuple[str, str]]:
    return [(pair.student, pair.teacher) for pair in automatic_pairs(student, teacher, pairing)]


def test_maps_are_paired_by_resolution() -> None:
    student = layout_of(SeparableNet(classes=3, channels=1, width=4), IMAGES, role="student")
    found = pairs(student, residual(blocks=(2, 2, 2)))
    assert found == [("stages.0", "stages.0"), ("stages.1", "stages.1"), ("stages", "stages")]
    assert pairs(student, residual(), Pairing.LAST_STAGE) == [("stages", "stages")]


def test_only_resolutions_that_both_have_count() -> None:
    found = pairs(residual(stem_stride=2), residual())  # 14, 7, 4 and 28, 14, 7
    assert found == [("stages.0", "stages.1"), ("stages.1", "stages")]
    with pytest.raises(ModelError, match=r"the teacher has resolutions 28x28, the teacher resolutions 14x14, 7x7, 4x4"):
        pairs(residual(blocks=(1,)), residual(stem_stride=2))


def test_transformers_are_paired_at_the_same_depth() -> None:
    assert pairs(encoder(2), encoder(6)) == [("layers.0", "layers.2"), ("layers.1", "layers.5")]
    assert pairs(encoder(3), encoder(3)) == [(f"layers.{number}", f"layers.{number}") for number in range(3)]
    assert pairs(encoder(4), encoder(2)) == [("layers.1", "layers.0"), ("layers.3", "layers.1")]


def test_a_convolutional_network_and_a_transformer_meet_in_evenly_spaced_layers() -> None:
    found = pairs(residual(), encoder(6))
    assert found == [("stages.0", "layers.1"), ("stages.1", "layers.3"), ("stages", "layers.5")]


def test_penultimate_features_go_into_the_last_linear_layer() -> None:
    assert pairs(encoder(1), residual(), Pairing.PENULTIMATE) == [("head@input", "head@input")]
    model = ResidualNet(classes=3, channels=1, width=4).eval()
    with tapped(model, ["head@input"], role="student") as taps:
        logits = model(IMAGES)
    assert torch.equal(model.head(taps["head@input"]), logits)
    with pytest.raises(ModelError, match="penultimate features of the student: no linear layer"):
        pairs(layout_of(nn.Sequential(nn.Conv2d(1, 2, 3)), IMAGES, role="student"), residual(), Pairing.PENULTIMATE)


def test_attentions_are_found_by_the_names_of_their_parts() -> None:
    found = pairs(encoder(2), encoder(4), Pairing.LAST_ATTENTION)
    assert found == [(f"layers.1.{part}", f"layers.3.{part}") for part in ("query", "key", "value")]
    found = pairs(encoder(2), encoder(4), Pairing.ATTENTIONS)
    assert [pair[0] for pair in found] == ["layers.0.query", "layers.0.key", "layers.1.query", "layers.1.key"]
    assert [pair[1] for pair in found] == ["layers.1.query", "layers.1.key", "layers.3.query", "layers.3.key"]
    with pytest.raises(ModelError, match="attention of the teacher: no layer named query or q"):
        pairs(encoder(2), residual(), Pairing.LAST_ATTENTION)
    with pytest.raises(ModelError, match=r"3 attentions.*2 attentions"):
        pairs(encoder(3), encoder(2), Pairing.ATTENTIONS)


def test_nothing_in_common_is_said() -> None:
    vector = layout_of(nn.Sequential(nn.Flatten(), nn.Linear(784, 3)), IMAGES, role="student")
    with pytest.raises(ModelError, match="pairs of layers: the student has 0 stages, the teacher 3 stages"):
        pairs(vector, residual())


def test_a_layout_leaves_the_model_as_it_was_and_leaves_out_what_is_no_feature() -> None:
    model = TextConvNet(classes=3, vocabulary=9, width=4, filters=4).train()
    layout = layout_of(model, TOKENS, role="student")
    assert model.training
    assert layout.shapes["embedding"] == (8, 4)
    assert layout.shapes["convolutions.1"] == (4, 1, 8)
    assert layout.heads == ["head"]
    assert all(not module._forward_hooks for module in model.modules())
    with pytest.raises(ModelError, match="student: it fails on inputs of shape"):
        layout_of(ResidualNet(classes=3), IMAGES, role="student")
    assert encoder(1).shapes["layers.0"] == (8, 8)


def test_named_layers_go_together_one_by_one_or_at_the_same_depth() -> None:
    student = TextEncoder(classes=3, vocabulary=9, length=8, layers=2)
    teacher = TextEncoder(classes=3, vocabulary=9, length=8, layers=4)
    found = named_pairs(student, teacher, student_path="layers.*", teacher_path="layers.*")
    assert found == [LayerPair("layers.1", "layers.0"), LayerPair("layers.3", "layers.1")]
    found = named_pairs(student, teacher, student_path="layers.*", teacher_path="layers.{0,3}")
    assert found == [LayerPair("layers.0", "layers.0"), LayerPair("layers.3", "layers.1")]
    with pytest.raises(ModelError, match="at most as many of the student"):
        named_pairs(student, teacher, student_path="layers.*", teacher_path="layers.0")
