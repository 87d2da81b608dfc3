"""Trains models of the zoo that have no weights of their own, so that their outputs mean something.

    python benchmarks/zoo/distilled.py mobilenet_v2 [--into FOLDER] [--crops 1024] [--epochs 3]

The teacher is EfficientNet-Lite0 with its ImageNet weights; the student learns its classes (Hinton et al. 2015,
arXiv:1503.02531) from crops of the photographs in `photographs.SEEN`. That is far too little to classify ImageNet. What
it gives is a network whose layers fit together and whose classes have margins, which a network of random weights has
not. `zoo.model(name, weights=FOLDER)` reads the result.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).parents[1]))

import zoo
from edgedistill.distill.losses.soft_targets import soft_target_loss
from zoo.photographs import SEEN, normalised_crops

if TYPE_CHECKING:
    from torch import Tensor, nn

TEMPERATURE = 2.0
BATCH = 16
RATE, DECAY = 2e-3, 1e-4
SMALLEST = 0.3


def main() -> None:
    """Train one model and write its weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=sorted(zoo.ZOO))
    parser.add_argument("--into", type=Path, default=zoo.WEIGHTS)
    parser.add_argument("--crops", type=int, default=1024)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    images = normalised_crops(SEEN, arguments.crops, seed=11, smallest=SMALLEST)
    teacher, student = zoo.model("efficientnet_lite0"), zoo.model(arguments.name)
    with torch.no_grad():
        wanted = torch.cat([teacher(part) for part in images.split(BATCH)])
    distil(student, images, wanted, epochs=arguments.epochs)
    arguments.into.mkdir(parents=True, exist_ok=True)
    save_file(student.state_dict(), arguments.into / f"{arguments.name}.safetensors")


def distil(student: nn.Module, images: Tensor, wanted: Tensor, *, epochs: int) -> None:
    """Train a student in place on the teacher's logits; batch norms take their statistics from the images afterwards.

    Args:
        student: its outputs are logits (n, classes).
        images: (n, 3, height, width), normalised.
        wanted: the teacher's logits, (n, classes).
        epochs: over all images.
    """
    torch.manual_seed(0)
    steps = epochs * (len(images) // BATCH)
    optimizer = torch.optim.AdamW(student.parameters(), weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    student.train()
    for step in range(steps):
        if step % (len(images) // BATCH) == 0:
            order = torch.randperm(len(images))
        chosen = order[(step * BATCH) % (len(images) // BATCH * BATCH) :][:BATCH]
        logits = student(images[chosen])
        loss = soft_target_loss(logits, wanted[chosen], temperature=TEMPERATURE)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        agreed = float((logits.argmax(1) == wanted[chosen].argmax(1)).float().mean())
        print(f"step {step + 1} of {steps}: loss {float(loss):.4f}, the teacher's class {agreed:.2f}", flush=True)
    zoo.take_statistics(student, images[torch.randperm(len(images))[: 8 * BATCH]].split(BATCH))


if __name__ == "__main__":
    main()
