"""A teacher of one's own: trains a network on the synthetic shapes in about half a minute.

Usage: python examples/shapes_teacher.py      writes examples/shapes_teacher.safetensors

The recipe examples/shapes.yaml names `teacher` below as `python:shapes_teacher:teacher` and the weights beside it.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from edgedistill.data import shapes

WEIGHTS = Path(__file__).with_name("shapes_teacher.safetensors")
CLASSES, EPOCHS, BATCH = 6, 12, 64


def teacher() -> nn.Module:
    """Return an untrained network from images (batch, 1, 28, 28) to logits (batch, 6)."""
    return nn.Sequential(
        *_stage(1, 32, stride=1), *_stage(32, 64, stride=2), *_stage(64, 128, stride=2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, CLASSES),
    )  # fmt: skip


def _stage(inputs: int, outputs: int, *, stride: int) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]


def main() -> None:
    """Train and save."""
    torch.manual_seed(0)
    split = shapes.read("train")
    images = torch.from_numpy(split.raw).permute(0, 3, 1, 2).float().div(255).sub(0.5).div(0.25)
    labels = torch.from_numpy(split.labels)
    model = teacher()
    steps = EPOCHS * (len(images) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=steps)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images))[: len(images) // BATCH * BATCH].split(BATCH):
            shifted = images[batch].roll(tuple(torch.randint(-2, 3, (2,)).tolist()), (2, 3))
            loss = functional.cross_entropy(model(shifted), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    save_file(model.state_dict(), WEIGHTS)


if __name__ == "__main__":
    main()
