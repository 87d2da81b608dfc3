"""A teacher of keywords: trains a residual network on synthetic speech in a few minutes on one core.

Usage: python examples/keyword_spotting_teacher.py      writes examples/keyword_spotting_teacher.safetensors

Needs the program espeak-ng, which speaks the words (`sudo apt-get install espeak-ng`). The recipe
examples/keyword_spotting.yaml names `teacher` below as `python:keyword_spotting_teacher:teacher` and the weights beside
it; sounds and features are those of the recipe.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from edgedistill.cli.progress import progress_on_terminal
from edgedistill.data import sources
from edgedistill.data.views import transfer_set
from edgedistill.models.residual import ResidualNet
from edgedistill.recipe import recipe_from_yaml

HERE = Path(__file__).parent
WEIGHTS = HERE / "keyword_spotting_teacher.safetensors"
CLASSES, EPOCHS, BATCH = 12, 16, 64


def teacher() -> nn.Module:
    """Return an untrained network from features (batch, 1, 49, 40) to logits (batch, 12)."""
    return ResidualNet(classes=CLASSES, channels=1, width=32, blocks=(1, 2, 2), stem_stride=2)


def main() -> None:
    """Train and save."""
    torch.manual_seed(0)
    recipe = recipe_from_yaml(HERE / "keyword_spotting.yaml")
    data = recipe.data
    with progress_on_terminal() as progress:
        samples = sources.load(data.source, "train", data.preprocessing, data.classes, HERE, progress=progress)
        heard = transfer_set(samples, data.preprocessing, data.views, recipe.seed)
        model = teacher()
        steps = EPOCHS * (len(samples) // BATCH)
        optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=steps)
        with progress.track("training the teacher", total=steps) as tracker:
            for epoch in range(EPOCHS):
                for chosen in torch.randperm(len(samples))[: len(samples) // BATCH * BATCH].split(BATCH):
                    batch = heard.batch(chosen.numpy(), view=epoch % heard.view_count)
                    logits = model(torch.from_numpy(batch.inputs))
                    loss = functional.cross_entropy(logits, torch.from_numpy(batch.labels))
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    schedule.step()
                    tracker.advance(note=f"loss {loss.item():.3f}")
    save_file(model.state_dict(), WEIGHTS)


if __name__ == "__main__":
    main()
