"""Train the demonstration's teacher, `fashion_mnist_residual24.safetensors`.

Usage: python train_teacher.py --data DIR --out FILE.safetensors     (about 45 minutes on 2 cores)

DIR holds the four .gz files of Fashion-MNIST. The run is seeded; its last weights are saved, none is chosen by its
test accuracy, and the accuracy on the 10,000 test images is printed and goes into the file's metadata.
"""

from __future__ import annotations

import argparse
import gzip
import logging
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from edgedistill.models.residual import ResidualNet

MEAN, DEVIATION = 0.2860, 0.3530
BATCH = 128
ERASE_SHARE, ERASE_SIDE = 0.3, 8

logger = logging.getLogger(__name__)


def read(folder: Path, name: str) -> Tensor:
    """Return one idx file as uint8: images (n, 1, 28, 28) or labels (n,)."""
    raw = gzip.decompress((folder / f"{name}-ubyte.gz").read_bytes())
    axes = raw[3]
    shape = [int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(axes)]
    values = np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape).copy()
    return torch.from_numpy(values[:, None] if axes > 1 else values)


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
    flip = torch.rand(count, generator=generator) < 0.5
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
    predicted = torch.cat([model(normalised(part)).argmax(1) for part in images.split(500)])
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
        for batch in order[: steps * BATCH].split(BATCH):
            loss = functional.cross_entropy(model(normalised(augmented(images[batch], generator))), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss)
        logger.info("epoch %d loss %.4f %.0f s", epoch + 1, total / steps, time.monotonic() - started)


def main() -> None:
    """Train, evaluate, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=18)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    model = ResidualNet(classes=10, channels=1, width=24, blocks=(1, 2, 2))
    images, labels = read(args.data, "train-images-idx3"), read(args.data, "train-labels-idx1").long()
    train(model, images, labels, epochs=args.epochs, generator=generator)
    test = accuracy(model, read(args.data, "t10k-images-idx3"), read(args.data, "t10k-labels-idx1").long())
    logger.info("accuracy on the 10,000 test images: %.4f", test)
    metadata = {"accuracy": f"{test:.4f}", "epochs": str(args.epochs), "torch": torch.__version__, "seed": "0"}
    save_file(model.state_dict(), args.out, metadata=metadata)


if __name__ == "__main__":
    main()
