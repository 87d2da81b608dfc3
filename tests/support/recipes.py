"""A recipe that runs through every stage in seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import yaml
from safetensors.torch import save_file

from edgedistill.models.residual import ResidualNet

if TYPE_CHECKING:
    from pathlib import Path


def quick_document() -> dict[str, object]:
    """Return a recipe on the synthetic shapes: a teacher of random weights, a tiny student, no emulation."""
    return {
        "name": "quick",
        "threads": 1,
        "data": {
            "source": "shapes",
            "preprocessing": {"kind": "image", "size": [28, 28], "channels": 1, "mean": [0.3], "std": [0.3]},
            "views": {"count": 2, "shift": 1},
        },
        "teacher": {"source": "residual", "options": {"width": 4}, "weights": "teacher.safetensors"},
        "student": {"source": "residual", "options": {"width": 4, "stem_stride": 2}},
        "distill": {"epochs": 2, "batch_size": 64, "label_weight": 1.0},
        "quantize": {
            "calibration": {"samples": 64, "max_drift": 5.0},
            "finetune": {"epochs": 1, "batch_size": 64, "when": "always"},
            "max_accuracy_drop": 0.2,
        },
        "targets": [{"target": "arm-onnxruntime", "profile": "raspberry-pi-4"}],
        "verify": {"emulate": "never"},
        "bench": {"processes": 1, "samples": 60, "seconds": 0},
    }


def write_recipe(folder: Path, document: dict[str, object] | None = None) -> Path:
    """Write a recipe, the quick one by default, with the weights of its teacher beside it; return its path."""
    torch.manual_seed(0)
    save_file(ResidualNet(classes=6, channels=1, width=4).state_dict(), folder / "teacher.safetensors")
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(document or quick_document()), "utf-8")
    return path
