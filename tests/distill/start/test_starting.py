from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from edgedistill.distill.start.starting import start_from_teacher
from edgedistill.models.residual import ResidualNet
from edgedistill.models.text import TextEncoder
from edgedistill.recipe import Importance, Start, StartMethod

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.distill.conftest import NoiseSet


@pytest.mark.parametrize("importance", list(Importance))
def test_channels_by_every_importance(noise_set: Callable[..., NoiseSet], importance: Importance) -> None:
    teacher, student = (ResidualNet(classes=3, channels=1, width=width, blocks=(1, 1)) for width in (6, 4))
    start = Start(method=StartMethod.SLICE_CHANNELS, importance=importance)
    record = start_from_teacher(student, teacher, noise_set(20, view_count=1), start)
    assert record.how == f"channels 4 of 6, 8 of 12 by {importance}"


def test_layers(noise_set: Callable[..., NoiseSet]) -> None:
    teacher, student = (TextEncoder(classes=3, vocabulary=9, length=4, width=8, layers=layers) for layers in (3, 2))
    start = Start(method=StartMethod.COPY_LAYERS, layers=(0, 2))
    start_from_teacher(student, teacher, noise_set(20, view_count=1), start)
    assert torch.equal(student.layers[1].key.weight, teacher.layers[2].key.weight)
