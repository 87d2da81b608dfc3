"""Train the demonstration's teacher, `fashion_mnist_residual24.safetensors`.

Usage: python train_teacher.py --out FILE.safetensors [--data DIR]     (about 45 minutes on 2 cores)

DIR holds the four .gz files of Fashion-MNIST; without it they are found or fetched as for a recipe. The run is seeded;
its last weights are saved, none is chosen by its test accuracy, and the accuracy on the 10,000 test images is printed
and goes into the file's metadata.
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from torch.nn import functional

from edgedistill.data import fashion_mnist
from edgedistill.models.residual import ResidualNet

if TYPE_CHECKING:
    from torch import Tensor

    from edgedistill.data.checks import Split

MEAN, DEVIATION = 0.2860, 0.3530
BATCH = 128
FLIP_SHARE, ERASE_SHARE, ERASE_SIDE = 0.5, 0.3, 8

logger = logging.getLogger(__name__)


def read(folder: Path, split: Split) -> tuple[Tensor, Tensor]:
    """Return the images (n, 1, 28, 28), uint8, and the labels (n,), int64, of one split."""
    images, labels = fashion_mnist.arrays(split, folder=folder)
    return torch.tensor(images)[:, None], torch.tensor(labels).long()


def normalised(images: Tensor) -> Tensor:
    """Map uint8 pixels to float32 with mean 0 and deviation 1 over the training set."""
    return images.float().div_(255).sub_(MEAN).div_(DEVIATION)


def augmented(images: Tensor, generator: torch.Generator) -> Tensor:
    """Flip half of the images, shift each by up to 2 pixels, and blank a square of some (arXiv:1708.04896)."""
    count, _, height, width = images.shape
    padded = functional.pad(images, (2, 2, 2, 2))
    offsets = torch.randint(0, 5, (2, count), generator=generator)
    rows = offsets[0][:, None] + torch.arange(height)
    columns = offsets[1][:, None] + torch.arange(width)
    flip = torch.rand(count, generator=generator) < FLIP_SHARE
    columns[flip] = columns[flip].flip(1)
    out = padded[torch.arange(count)[:, None, None], 0, rows[:, :, None], columns[:, None, :]]
    corner = torch.randint(0, height - ERASE_SIDE, (2, count), generator=generator)
    for index in torch.nonzero(torch.rand(count, generator=generator) < ERASE_SHARE).flatten().tolist():
        top, left = int(corner[0, index]), int(corner[1, index])
        out[index, top : top + ERASE_SIDE, left : left + ERASE_SIDE] = 73
    return out[:, None]


@torch.no_grad()
def accuracy(model: ResidualNet, images: Tensor, labels: Tensor) -> float:
    """Return the share of images whose largest logit is the label."""
    model.eval()
    predicted = torch.cat([model(normalised(part)).argmax(1) for part in torch.split(images, 500)])
    return float((predicted == labels).float().mean())


def train(model: ResidualNet, images: Tensor, labels: Tensor, *, epochs: int, generator: torch.Generator) -> None:
    """Fit by SGD with Nesterov momentum under a one-cycle schedule (arXiv:1708.07120)."""
    steps = len(images) // BATCH
    optimizer = torch.optim.SGD(model.parameters(), 0.1, 0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.2, total_steps=epochs * steps, pct_start=0.2)
    started = time.monotonic()
    for epoch in range(epochs):
        model.train()
        order = torch.randperm(len(images), generator=generator)
        total = 0.0
        for batch in torch.split(order[: steps * BATCH], BATCH):
            loss = functional.cross_entropy(model(normalised(augmented(images[batch], generator))), labels[batch])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            total += loss.item()
        logger.info("epoch %d loss %.4f %.0f s", epoch + 1, total / steps, time.monotonic() - started)


def main() -> None:
    """Train, evaluate, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=18)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    model = ResidualNet(classes=10, channels=1, width=24, blocks=(1, 2, 2))
    folder = args.data or fashion_mnist.located()
    train(model, *read(folder, "train"), epochs=args.epochs, generator=generator)
    test = accuracy(model, *read(folder, "test"))
    logger.info("accuracy on the 10,000 test images: %.4f", test)
    metadata = {"accuracy": f"{test:.4f}", "epochs": str(args.epochs), "torch": torch.__version__, "seed": "0"}
    save_file(model.state_dict(), args.out, metadata=metadata)


if __name__ == "__main__":
    main()
