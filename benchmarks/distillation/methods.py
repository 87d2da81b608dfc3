"""Every method against training alone: one pair, equal epochs, several seeds.

Usage: python benchmarks/distillation/methods.py RECIPE OUT.json [--only METHOD ...] [--seeds 0 1 2] [KEY=VALUE ...]

Each method has its paper's defaults, with cross-entropy at weight 1 beside it where its paper has that; what is
compared is therefore the methods as a user would first try them, not each at its best setting for the pair. A
finished training is not repeated: kill it and start it again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from pairs import ROOT, Pair, Trials

from edgedistill.progress import SILENT
from edgedistill.recipe import recipe_from_yaml

SOFT = {"weight": 0.9, "temperature": 4.0}
NONE = {"weight": 0.0, "temperature": 4.0}


def with_loss(method: str, *, label_weight: float = 1.0, soft: dict[str, float] | None = None) -> dict[str, object]:
    """Return the changes of the recipe's `distill` that add one method at its defaults."""
    return {"label_weight": label_weight, "soft_targets": soft or NONE, "losses": [{"method": method}]}


LOGITS = {
    "soft-targets": {"label_weight": 0.1, "soft_targets": SOFT},
    "soft-targets, T=1, no labels": {"label_weight": 0.0, "soft_targets": {"weight": 1.0, "temperature": 1.0}},
    "standardized": {
        "label_weight": 0.1,
        "soft_targets": {"weight": 9.0, "temperature": 2.0, "standardize": True},
    },
    **{name: with_loss(name) for name in ("dkd", "nkd", "dist", "wttm")},
    "multi-temperature": with_loss("multi-temperature", label_weight=0.1),
}
"""Methods that need the teacher's answers alone, as changes of `distill`."""

FEATURES = {
    **{
        name: with_loss(name, label_weight=0.1, soft=SOFT)
        for name in (
            "fitnets",
            "attention-transfer",
            "similarity-preserving",
            "rkd",
            "vid",
            "crd",
            "review",
            "cwd",
            "mgd",
            "kd++",
        )
    },
}
"""Methods that need the teacher's features: beside soft targets, as they are used."""


def main() -> None:
    """Train the student alone and by every method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", metavar="METHOD")
    args = parser.parse_args()
    home = args.recipe.resolve().parent
    recipe = recipe_from_yaml(args.recipe, overrides=args.overrides)
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    pair = Pair(recipe, home, SILENT)
    about = {
        "recipe": str(args.recipe.resolve().relative_to(ROOT)),
        "overrides": args.overrides,
        "n": len(pair.context.test),
        "training_samples": len(pair.context.train),
        "metric": pair.context.judge.metric,
        "epochs": recipe.distill.epochs,
        "teacher": pair.teacher_score(),
        "settings": {**LOGITS, **FEATURES},
    }
    trials = Trials(args.out, about)
    train = pair.context.train
    for seed in args.seeds:
        trials.do("alone", "alone", seed, lambda seed=seed: pair.alone(train, seed))
        for kind, methods in (("logits", LOGITS), ("features", FEATURES)):
            for name, changes in methods.items():
                if args.only and name not in args.only:
                    continue
                changed = [*args.overrides, *(f"distill.{key}={json.dumps(value)}" for key, value in changes.items())]
                other = Pair(recipe_from_yaml(args.recipe, overrides=changed), home, SILENT)
                trials.do(kind, name, seed, lambda pair=other, seed=seed: pair.distilled(train, seed))
    for row in trials.table():
        print(f"{row['arm']:30} {row['mean']:.2%} ± {row['deviation'] or 0:.2%} ({row['trials']})")


if __name__ == "__main__":
    main()
