from __future__ import annotations

import pytest
import torch
from torch import nn

from edgedistill.distill.projectors import projector
from edgedistill.errors import ShapeError


@pytest.mark.parametrize(
    ("student", "teacher"),
    [
        ((4, 6, 6), (8, 6, 6)),
        ((4, 6, 6), (8, 3, 3)),
        ((4, 3, 3), (8, 6, 6)),
        ((4, 6, 5), (4, 3, 3)),
        ((4,), (7,)),
        ((5, 4), (5, 7)),
        ((5, 4), (8, 4)),
        ((8, 4), (5, 7)),
        ((5, 4), (8, 7)),
        ((4, 6, 6), (36, 4)),
        ((4, 6, 6), (10, 7)),
        ((9, 4), (5, 6, 6)),
        ((10, 4), (4, 3, 3)),
        ((4, 6, 6), (4, 6, 6)),
    ],
)
def test_projector_maps_one_shape_to_the_other(student: tuple[int, ...], teacher: tuple[int, ...]) -> None:
    assert projector(student, teacher)(torch.zeros(2, *student)).shape == (2, *teacher)


def test_projector_adds_only_what_is_needed_and_pools_where_that_saves_work() -> None:
    kinds = [
        [type(layer) for layer in projector(shape, (8, 4, 4))] for shape in ((8, 8, 8), (4, 4, 4), (4, 8, 8), (4, 2, 2))
    ]
    conv, pool = nn.Conv2d, nn.AdaptiveAvgPool2d
    assert kinds == [[pool], [conv], [pool, conv], [conv, pool]]
    assert isinstance(projector((3,), (3,)), nn.Identity)


@pytest.mark.parametrize(
    ("student", "teacher"), [((4,), (4, 6, 6)), ((7, 4), (6, 4, 4)), ((4, 2), (4,)), ((2, 3, 4, 5), (2, 3, 4, 6))]
)
def test_projector_refuses_shapes_that_do_not_match(student: tuple[int, ...], teacher: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="hint: student features"):
        projector(student, teacher)


def test_tokens_of_another_number_lie_on_the_line_between() -> None:
    tokens = torch.tensor([[[0.0, 0.0], [1.0, 10.0]]])
    resampled = projector((2, 2), (4, 2))(tokens)
    assert torch.allclose(resampled[0, :, 0], torch.tensor([0.0, 0.25, 0.75, 1.0]))
    assert torch.allclose(resampled[0, :, 1], torch.tensor([0.0, 2.5, 7.5, 10.0]))


def test_positions_are_tokens_row_by_row_and_a_class_token_is_left_out() -> None:
    maps = torch.arange(2 * 3 * 2 * 2.0).reshape(2, 3, 2, 2)
    tokens = projector((3, 2, 2), (4, 3))(maps)
    assert torch.equal(tokens[1, 1], maps[1, :, 0, 1])
    with_class = torch.cat([torch.full((2, 1, 3), -9.0), tokens], 1)
    assert torch.equal(projector((5, 3), (3, 2, 2))(with_class), maps)
    assert torch.equal(projector((4, 3), (3, 2, 2))(tokens), maps)
