"""EfficientNet-Lite0 with its ImageNet weights: post-training and fine-tuned INT8, in agreement with its float self.

    python benchmarks/efficientnet_finetuned.py

No labelled ImageNet picture is at hand, so what is measured is how often INT8 names the class that the float model
names, and the signal to noise of the logits, over crops of photographs (package scikit-image). Training and evaluation
crops come from different photographs. Fine-tuning learns from the float model's own outputs (no label is used).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
import zoo
from zoo.photographs import SIDE, crops

from edgedistill.data.transfer_set import Samples
from edgedistill.data.views import transfer_set
from edgedistill.distill.objective import StudentObjective
from edgedistill.quantize.sensitivity import agreement, sqnr_db
from edgedistill.quantize.spec import QuantSpec
from edgedistill.quantize.student import quantize
from edgedistill.recipe import Data, Quantize

TRAINING = ("astronaut", "coffee", "ihc", "motorcycle_left", "rocket", "retina")
EVALUATION = ("chelsea", "cell", "motorcycle_right", "hubble_deep_field")
TEMPERATURE = 2.0


def samples(names: tuple[str, ...], count: int, *, seed: int) -> Samples:
    """Return crops of photographs as raw samples without labels that mean anything."""
    raw = crops(names, count, seed=seed, smallest=0.3)
    return Samples(raw, np.arange(count, dtype=np.int64) % 2, ("none", "none too"), f"crops {names} {count} {seed}")


def main() -> None:
    """Quantize twice, compare, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crops", type=int, default=512, help="for training; a quarter as many for evaluation")
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--into", type=Path, default=Path("benchmarks/results/efficientnet_finetuned.json"))
    arguments = parser.parse_args()
    model = zoo.model("efficientnet_lite0")
    data = Data.model_validate(
        {
            "source": "shapes",
            "preprocessing": {
                "kind": "image",
                "size": [SIDE, SIDE],
                "channels": 3,
                "mean": [0.485, 0.456, 0.406],
                "std": [0.229, 0.224, 0.225],
            },
            "views": {"count": 1},
        }
    )
    train = transfer_set(samples(TRAINING, arguments.crops, seed=1), data.preprocessing, data.views, 0)
    test = transfer_set(samples(EVALUATION, arguments.crops // 4, seed=2), data.preprocessing, data.views, 0)
    settings = Quantize.model_validate(
        {
            "calibration": {"samples": 128, "max_drift": 100},
            "finetune": {"when": "always", "epochs": arguments.epochs, "batch_size": 8, "learning_rate": 0.0005},
            "sensitivity_samples": 0,
        }
    )
    started = time.perf_counter()
    result = quantize(
        model,
        train,
        StudentObjective(model, temperature=TEMPERATURE),
        spec=QuantSpec(),
        settings=settings,
        seed=0,
    )
    seconds = time.perf_counter() - started
    inputs = test.plain(np.arange(len(test.samples))).inputs
    with torch.no_grad():
        exact = torch.cat([model(part) for part in torch.from_numpy(inputs).split(16)])
    rows = []
    for name, program in (("post-training", result.calibrated), ("fine-tuned", result.program)):
        outputs = torch.from_numpy(program.run(inputs, batch=16))
        rows.append(
            {"program": name, "agreement_with_float": agreement(exact, outputs), "sqnr_db": sqnr_db(exact, outputs)}
        )
        print(json.dumps(rows[-1]), flush=True)
    document = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {name: metadata.version(name) for name in ("torch", "numpy")},
        "training_crops": arguments.crops,
        "evaluation_crops": len(inputs),
        "epochs": arguments.epochs,
        "losses": [point.loss for point in result.history.points],
        "seconds": seconds,
        "rows": rows,
    }
    arguments.into.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
