"""Distilled against alone: the same student, the same epochs, several seeds.

Usage: python benchmarks/distilled_versus_alone.py [KEY=VALUE ...] [--recipe FILE] [--seeds 0 1 2]

Trains the recipe's student twice per seed, once from the teacher's cached outputs and once on the labels only, and
writes mean, range and every single accuracy. Seeds change the student's first weights, the order of the samples and
their views. About 3 minutes per training on 2 cores for the default recipe.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import edgedistill

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgedistill.run.summary import Summary

ROOT = Path(__file__).parents[1]


def spread(values: Sequence[float]) -> dict[str, object]:
    """Return mean, lowest and highest of some accuracies, and all of them."""
    return {"mean": fmean(values), "lowest": min(values), "highest": max(values), "values": list(values)}


def accuracies(summary: Summary) -> dict[str, float]:
    """Return the accuracy of every rung by its stage."""
    return {rung.stage: rung.value for rung in summary.ladder if rung.value is not None}


def main() -> None:
    """Run every seed, print a table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=ROOT / "examples/fashion_mnist.yaml")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/distilled_versus_alone.json")
    parser.add_argument("--runs", type=Path, default=Path("runs/distilled-versus-alone"))
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    found: dict[str, list[float]] = {}
    for seed in args.seeds:
        overrides = [*args.overrides, f"seed={seed}", "distill.baseline=true"]
        summary = edgedistill.distill(args.recipe, folder=args.runs / f"seed-{seed}", overrides=overrides)
        for stage, value in accuracies(summary).items():
            found.setdefault(stage, []).append(value)
        print(f"seed {seed}: " + ", ".join(f"{stage} {values[-1]:.4f}" for stage, values in found.items()), flush=True)
    results = {
        "recipe": summary.recipe,
        "seeds": args.seeds,
        "n": summary.ladder[0].n,
        "accuracy": {stage: spread(values) for stage, values in found.items()},
        "seconds": {stage.name: {"wall": stage.wall_s, "cpu": stage.cpu_s} for stage in summary.stages},
        "versions": summary.versions,
        "machine": summary.machine,
    }
    args.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    for stage, values in found.items():
        print(f"{stage:15s} mean {fmean(values):.4f}, from {min(values):.4f} to {max(values):.4f}")


if __name__ == "__main__":
    main()
