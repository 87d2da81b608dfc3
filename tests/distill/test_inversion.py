"""Inversion: it goes towards the classes and the statistics asked for, stays in range, and is the same every time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from edgedistill.data.arrays import preprocess
from edgedistill.data.preprocessing import ArrayPreprocessing, ImagePreprocessing
from edgedistill.distill.inversion import inverted_batch, require_batch_norm, space_of
from edgedistill.errors import ModelError, UnsupportedError
from edgedistill.recipe import Inversion

IMAGES = ImagePreprocessing(size=(8, 8), channels=1, mean=(0.3,), std=(0.25,))
LABELS = np.arange(16, dtype=np.int64) % 3


def teacher() -> nn.Sequential:
    """Return a small network whose BatchNorm has seen bright and dark stripes."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 64, 3)
    )
    stripes = torch.full((64, 1, 8, 8), -1.2)  # black
    stripes[:, :, ::2] = 1 + torch.rand(64, 1, 4, 8)
    for _ in range(50):
        model(stripes)
    return model.eval()


def settings(**changes: object) -> Inversion:
    return Inversion.model_validate({"samples": 16, "batch_size": 16, "steps": 60, "jitter": 1} | changes)


def test_it_gets_nearer_to_the_statistics_and_to_the_classes() -> None:
    model = teacher()
    found = inverted_batch(model, space_of(IMAGES), LABELS, settings=settings(steps=100), seed=0)
    assert found.gap_at_end < 0.5 * found.gap_at_start
    found = inverted_batch(model, space_of(IMAGES), LABELS, settings=settings(statistics_weight=0.1), seed=0)
    answers = model(torch.from_numpy(preprocess(found.raw, IMAGES.model_dump(mode="json")))).argmax(1).numpy()
    assert (answers == LABELS).mean() > 0.9
    assert found.raw.dtype == np.uint8
    assert found.raw.shape == (16, 8, 8, 1)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    first, again, other = (
        inverted_batch(teacher(), space_of(IMAGES), LABELS, settings=settings(steps=3), seed=seed).raw
        for seed in (1, 1, 2)
    )
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_the_teacher_is_left_as_it_was() -> None:
    model = teacher().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    inverted_batch(model, space_of(IMAGES), LABELS, settings=settings(steps=2), seed=0)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_raw_samples_become_the_inputs_that_were_optimised() -> None:
    for preprocessing in (IMAGES, ArrayPreprocessing(shape=(5, 2), mean=(1.0, -2.0), std=(2.0, 0.5), scale=0.1)):
        space = space_of(preprocessing)
        values = space.kept_inside(space.start(4, torch.Generator().manual_seed(0)))
        inputs = preprocess(space.raw(values), preprocessing.model_dump(mode="json"))
        step = 0.5 / 255 / 0.25 if preprocessing.kind == "image" else 0
        np.testing.assert_allclose(inputs, space.inputs(values).numpy(), atol=step + 1e-5)


def test_arrays_are_inverted_too() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Flatten(), nn.Linear(12, 3))
    for _ in range(50):
        model(2 + torch.randn(64, 4, 3) * 3)
    space = space_of(ArrayPreprocessing(shape=(4, 3)))
    found = inverted_batch(model.eval(), space, LABELS, settings=settings(steps=150), seed=0)
    assert found.gap_at_end < 0.2 * found.gap_at_start
    assert found.raw.mean() == pytest.approx(2, abs=0.5)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (nn.Sequential(nn.Flatten(), nn.LayerNorm(64), nn.Linear(64, 3)), "it normalises by LayerNorm"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), "no normalisation, or one that was folded"),
    ],
)
def test_a_teacher_without_batch_norm_is_refused_with_what_to_do_instead(model: nn.Module, reason: str) -> None:
    with pytest.raises(UnsupportedError, match=reason) as caught:
        require_batch_norm(model, torch.zeros(2, 1, 8, 8), source="net.pt2")
    assert "mixup: 1.0" in str(caught.value)
    assert "label_weight: 0" in str(caught.value)
    require_batch_norm(teacher(), torch.zeros(2, 1, 8, 8), source="net")


def test_a_loss_that_is_not_finite_stops_it() -> None:
    model = teacher()
    with torch.no_grad():
        model[4].bias.fill_(float("nan"))
    with pytest.raises(ModelError, match="the loss is nan"):
        inverted_batch(model, space_of(IMAGES), LABELS, settings=settings(), seed=0)
