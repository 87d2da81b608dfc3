"""Little or no data: students of the Fashion-MNIST teacher at equal steps, several seeds, and calibration without data.

Usage: python benchmarks/distillation/data_free.py [KEY=VALUE ...] [--seeds 0 1 2] [--steps 1500] [--only NAME ...]

The inverted set is made once, by the seed in examples/data_free.yaml; seeds change the student's first weights, the
order of the samples, their views, and which ten real images of each class are taken. Accuracy is that of the last step
on the 10,000 real test images, which nothing was chosen by. About 1 minute per student on one core, and 10 for 1,024
inverted images.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import edgedistill

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedistill.run.summary import Summary

ROOT = Path(__file__).parents[2]
DATA_FREE = ROOT / "examples/data_free.yaml"
FEW = ROOT / "examples/few_samples.yaml"
ALL = ROOT / "examples/fashion_mnist.yaml"
BATCH = 128
PER_CLASS = 10
CLASSES = 10


def spread(values: Sequence[float]) -> dict[str, object]:
    """Return mean, lowest and highest of some accuracies, and all of them."""
    return {"mean": fmean(values), "lowest": min(values), "highest": max(values), "values": list(values)}


def accuracy(summary: Summary, stage: str) -> float:
    """Return the accuracy of one rung."""
    return next(rung.value for rung in summary.ladder if rung.stage == stage and rung.value is not None)


def epochs_of(samples: int, steps: int) -> float:
    """Return the passes over some samples that make so many steps."""
    return steps / math.ceil(samples / BATCH)


def students(args: argparse.Namespace) -> dict[str, list[float]]:
    """Train every student with every seed; return the accuracies by name."""
    inverted = edgedistill.plan(DATA_FREE, overrides=args.overrides).recipe.data.inversion.samples
    few = [f"distill.epochs={epochs_of(PER_CLASS * CLASSES, args.steps)}", f"data.max_per_class={PER_CLASS}"]
    runs = {
        "no real image: inverted from the teacher": (
            DATA_FREE,
            [*args.overrides, f"distill.epochs={epochs_of(inverted, args.steps)}"],
            "student",
        ),
        "no real image: inverted, with mixup": (
            DATA_FREE,
            [*args.overrides, f"distill.epochs={epochs_of(inverted, args.steps)}", "data.views.mixup=1.0"],
            "student",
        ),
        "10 per class, no label, with mixup": (FEW, few, "student"),
        "10 per class, no label, without mixup": (FEW, [*few, "data.views.mixup=0"], "student"),
        "10 per class with labels, student alone": (
            FEW,
            [*few, "data.views.mixup=0", "distill.baseline=true"],
            "student-alone",
        ),
    }
    found: dict[str, list[float]] = {}
    for seed in args.seeds:
        for name, (recipe, overrides, stage) in runs.items():
            if args.only and not any(word in name for word in args.only):
                continue
            own = "alone" if stage == "student-alone" else ""
            folder = args.runs / f"{'-'.join(name.replace(':', '').replace(',', '').split())}{own}-{seed}"
            settings = [*overrides, f"seed={seed}", f"threads={args.threads}"]
            summary = edgedistill.distill(recipe, folder=folder, overrides=settings)
            found.setdefault(name, []).append(accuracy(summary, stage))
            print(f"seed {seed}: {name}: {found[name][-1]:.4f}", flush=True)
            args.summaries[name] = summary
    return found


def calibration(args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Quantize one student by calibration alone, from real images and from inverted ones; return its accuracies."""
    classes = json.dumps(list(edgedistill.plan(DATA_FREE).recipe.data.classes))
    inversion = edgedistill.plan(DATA_FREE, overrides=args.overrides).recipe.data.inversion.model_dump(mode="json")
    shared = [
        f"threads={args.threads}",
        f"data.classes={classes}",
        f"data.inversion={json.dumps(inversion)}",
        "distill.epochs=2",
        "quantize.finetune.epochs=0",
        "quantize.max_float_layers=0",
        "quantize.sensitivity_samples=0",
        "quantize.max_accuracy_drop=1.0",
    ]
    found = {}
    for source in ("transfer-set", "inverted"):
        for method in ("mse", "min-max"):
            overrides = [*shared, f"quantize.calibration.source={source}", f"quantize.calibration.method={method}"]
            summary = edgedistill.quantize(ALL, folder=args.runs / f"calibrated-{source}", overrides=overrides)
            name = f"512 {'real' if source == 'transfer-set' else 'inverted'} images, {method}"
            found[name] = {"fp32": accuracy(summary, "student"), "int8": accuracy(summary, "program")}
            print(f"calibration with {name}: {found[name]}", flush=True)
    return found


def main() -> None:
    """Train, calibrate, print a table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of examples/data_free.yaml")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="*", metavar="WORD", help="students whose name has a word; writes nothing")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/data_free.json")
    parser.add_argument("--runs", type=Path, default=Path("runs/data-free-benchmark"))
    args = parser.parse_args(namespace=argparse.Namespace(summaries={}))
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    found = students(args)
    if args.only:
        return
    calibrated = calibration(args)
    summary = args.summaries["no real image: inverted from the teacher"]
    results = {
        "seeds": args.seeds,
        "steps": args.steps,
        "batch": BATCH,
        "n": summary.ladder[0].n,
        "teacher": accuracy(summary, "teacher"),
        "synthesis": [record.model_dump(mode="json") for record in summary.synthesis],
        "accuracy": {name: spread(values) for name, values in found.items()},
        "calibration": calibrated,
        "recipes": {name: item.recipe for name, item in args.summaries.items()},
        "versions": summary.versions,
        "machine": summary.machine,
    }
    args.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    for name, values in found.items():
        print(f"{name:42s} mean {fmean(values):.4f}, from {min(values):.4f} to {max(values):.4f}")


if __name__ == "__main__":
    main()
