"""The models that benchmarks quantize: what users bring, written without a thought of quantization."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file

from zoo import pretrained, sequences, vision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor, nn

WEIGHTS = Path("~/.cache/edgedistill/zoo").expanduser()
"""Where `distilled.py` writes."""


@dataclass(frozen=True)
class Entry:
    """One model of the zoo.

    Args:
        make: returns the module; random weights are those of the caller's seed.
        shape: of one input, without the batch.
        tokens: size of the vocabulary where the inputs are token ids, 0 for float inputs.
        weights: where the weights come from.
    """

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    tokens: int = 0
    weights: str = "random"


ZOO: dict[str, Entry] = {
    "resnet18": Entry(vision.ResNet18, (3, 224, 224)),
    "mobilenet_v2": Entry(vision.MobileNetV2, (3, 224, 224)),
    "mobilenet_v3": Entry(vision.MobileNetV3, (3, 224, 224)),
    "efficientnet_lite0": Entry(pretrained.efficientnet_lite0, (3, 224, 224), weights="ImageNet"),
    "shufflenet_v2": Entry(vision.ShuffleNetV2, (3, 224, 224)),
    "unet": Entry(vision.UNet, (3, 64, 64)),
    "ds_cnn": Entry(sequences.KeywordNet, (1, 49, 10)),
    "tcn": Entry(sequences.TemporalNet, (6, 128)),
    "vit_tiny": Entry(sequences.VisionTransformer, (3, 224, 224)),
    "minilm": Entry(pretrained.minilm, (128,), tokens=30522, weights="all-MiniLM-L6-v2"),
    "gru": Entry(sequences.GatedNet, (6, 128)),
}


def model(name: str, *, seed: int = 0, weights: Path | None = None) -> nn.Module:
    """Return a model of the zoo in evaluation mode, its batch norms with statistics of their own.

    Args:
        name: in `ZOO`.
        seed: of random weights.
        weights: a folder that `distilled.py` wrote; the model's weights are taken from there.
    """
    torch.manual_seed(seed)
    entry = ZOO[name]
    module = entry.make()
    if weights is not None:
        module.load_state_dict(load_file(weights / f"{name}.safetensors"))
        return module.eval()
    return module.eval() if entry.weights != "random" else settled(module, entry)


def inputs(name: str, count: int, *, seed: int = 0) -> Tensor:
    """Return (count, *shape): standard normal values smoothed along the last axes, or token ids."""
    entry = ZOO[name]
    generator = torch.Generator().manual_seed(seed)
    if entry.tokens:
        return torch.randint(1000, entry.tokens, (count, *entry.shape), generator=generator)
    return torch.randn(count, *entry.shape, generator=generator)


def settled(module: nn.Module, entry: Entry) -> nn.Module:
    """Return a random model whose batch norms took their statistics from random inputs, so that no layer dies out."""
    generator = torch.Generator().manual_seed(1)
    return take_statistics(module, [torch.randn(8, *entry.shape, generator=generator) for _ in range(2)])


def take_statistics(module: nn.Module, batches: Iterable[Tensor]) -> nn.Module:
    """Return the model in evaluation mode, its batch norms with the statistics of these inputs."""
    norms = [item for item in module.modules() if isinstance(item, torch.nn.modules.batchnorm._BatchNorm)]  # noqa: SLF001 - torch has no public name for it
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    module.train()
    with torch.no_grad():
        for batch in batches if norms else ():
            module(batch)
    return module.eval()
