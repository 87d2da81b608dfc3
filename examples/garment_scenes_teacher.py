"""The teacher of examples/garment_scenes.yaml: trains a U-Net of width 16 on the scenes, in some minutes on one core.

Usage: python examples/garment_scenes_teacher.py      writes examples/garment_scenes_teacher.safetensors
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional

from edgedistill.data import garment_scenes
from edgedistill.evaluate.segmentation import MaskJudge
from edgedistill.evaluate.torch_executors import ModuleExecutor
from edgedistill.models.unet import UNet

if TYPE_CHECKING:
    from edgedistill.data.checks import Split

WEIGHTS = Path(__file__).with_name("garment_scenes_teacher.safetensors")
EPOCHS, BATCH, FARTHEST = 8, 32, 4

logger = logging.getLogger(__name__)


def scenes(split: Split) -> tuple[torch.Tensor, torch.Tensor]:
    """Return normalised scenes (n, 1, 48, 48) and masks (n, 48, 48), as the recipe has them."""
    found = garment_scenes.read(split)
    images = torch.tensor(found.raw.astype(np.float32)).permute(0, 3, 1, 2).div(255).sub(0.35).div(0.25)
    return images.contiguous(), torch.tensor(found.labels.astype(np.int64))


def main() -> None:
    """Train, evaluate and save; the last weights are kept, none is chosen by its score."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.manual_seed(0)
    images, masks = scenes("train")
    model = UNet(classes=len(garment_scenes.CLASSES), channels=1, width=16)
    steps = EPOCHS * (len(images) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=steps)
    for epoch in range(EPOCHS):
        total = 0.0
        for batch in torch.randperm(len(images))[: len(images) // BATCH * BATCH].split(BATCH):
            moved = tuple(torch.randint(-FARTHEST, FARTHEST + 1, (2,)).tolist())
            seen, wanted = images[batch].roll(moved, (2, 3)), masks[batch].roll(moved, (1, 2))
            if torch.rand(()) < 0.5:  # noqa: PLR2004 - every other batch
                seen, wanted = seen.flip(3), wanted.flip(2)
            loss = functional.cross_entropy(model(seen), wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * BATCH / len(images)
        logger.info("epoch %d of %d: loss %.4f", epoch + 1, EPOCHS, total)
    images, masks = scenes("test")
    score = MaskJudge(masks.numpy()).score(ModuleExecutor(model, batch=BATCH).run(images.numpy()))
    logger.info("mean IoU on %d test scenes: %.4f", len(images), score)
    # half as large; the recipe computes with them in float32
    save_file(
        {name: value.half() if value.is_floating_point() else value for name, value in model.state_dict().items()},
        WEIGHTS,
    )


if __name__ == "__main__":
    main()
