"""Pixels as samples: an objective's loss on maps is the mean over their pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edgedistill.data.preprocessing import ImagePreprocessing
from edgedistill.data.transfer_set import UNKNOWN, Batch, Samples
from edgedistill.data.views import transfer_set
from edgedistill.distill.objective import LabelObjective, StudentObjective
from edgedistill.distill.pixels import PixelRows, loss_of, pixel_rows
from edgedistill.distill.student import distill
from edgedistill.distill.teacher_cache import teach
from edgedistill.recipe import Distill, SoftTargets, Views

if TYPE_CHECKING:
    from pathlib import Path

CLASSES, SIDE = 3, 4


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv2d(1, CLASSES, 3, padding=1)


def batch_of(masks: np.ndarray) -> Batch:
    inputs = np.random.default_rng(0).normal(size=(len(masks), 1, SIDE, SIDE)).astype(np.float32)
    return Batch(inputs, masks, masks, np.zeros(len(masks), np.float32))


def loss(objective: object, model: nn.Module, batch: Batch) -> torch.Tensor:
    return loss_of(objective, model, torch.from_numpy(batch.inputs), batch, np.arange(len(batch.labels)), 0)


def test_rows_are_pixels_in_the_order_of_the_masks() -> None:
    maps = torch.arange(2 * 3 * 2 * 2).reshape(2, 3, 2, 2)
    rows = pixel_rows(maps)
    assert rows.shape == (8, 3)
    assert rows[6].tolist() == maps[1, :, 1, 0].tolist()
    assert pixel_rows(rows) is rows


def test_cross_entropy_is_the_mean_over_pixels() -> None:
    model, masks = network(), np.random.default_rng(1).integers(0, CLASSES, (5, SIDE, SIDE))
    batch = batch_of(masks)
    wanted = functional.cross_entropy(model(torch.from_numpy(batch.inputs)), torch.from_numpy(masks))
    torch.testing.assert_close(loss(LabelObjective(), model, batch), wanted)
    assert model(torch.from_numpy(batch.inputs)).ndim == 4  # nothing stays behind on the model


def test_unknown_pixels_count_for_nothing() -> None:
    model, masks = network(), np.zeros((2, SIDE, SIDE), np.int64)
    masks[0, :, :2], masks[1] = 1, UNKNOWN
    batch = batch_of(masks)
    logits = model(torch.from_numpy(batch.inputs))
    # weighted by the share of known pixels, as of samples without a label
    wanted = functional.cross_entropy(logits[:1], torch.from_numpy(masks[:1])) / 2
    torch.testing.assert_close(loss(LabelObjective(), model, batch), wanted)


def test_the_students_own_maps_can_be_the_targets() -> None:
    model, batch = network(), batch_of(np.zeros((2, SIDE, SIDE), np.int64))
    assert loss(StudentObjective(PixelRows(model), temperature=2.0), model, batch).item() < 1e-6


def test_a_student_learns_from_a_teachers_maps_alone(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    raw = generator.integers(0, 256, (64, SIDE, SIDE, 1), dtype=np.uint8)
    unknown = np.full((64, SIDE, SIDE), UNKNOWN)
    preprocessing = ImagePreprocessing(size=(SIDE, SIDE), channels=1, mean=(0.5,), std=(0.25,))
    images = transfer_set(Samples(raw, unknown, ("a", "b", "c"), "f"), preprocessing, Views(count=2, flip=True), 0)
    teacher = network().eval()
    soft_targets = teach(teacher, images, key="k", folder=tmp_path, views_needed=2)
    assert (soft_targets.shapes.classes, soft_targets.shapes.pixels) == (CLASSES, (SIDE, SIDE))
    with torch.no_grad():
        wanted = pixel_rows(teacher(torch.from_numpy(images.batch([5, 2], view=1).inputs)))
    torch.testing.assert_close(soft_targets.rows([5, 2], 1).logits, wanted, rtol=1e-3, atol=1e-3)
    torch.manual_seed(1)
    student = nn.Conv2d(1, CLASSES, 3, padding=1)
    settings = Distill(
        epochs=40,
        batch_size=32,
        learning_rate=0.05,
        optimizer="adamw",
        soft_targets=SoftTargets(temperature=1, weight=1),
    )
    distill(student, images, soft_targets, settings=settings, seed=0)
    torch.testing.assert_close(
        student.weight - student.weight.mean(0), teacher.weight - teacher.weight.mean(0), rtol=0, atol=0.05
    )
