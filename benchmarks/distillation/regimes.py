"""When distillation pays: the same student, alone and distilled, where labels or samples are few, and where not.

Usage: python benchmarks/distillation/regimes.py RECIPE OUT.json [--only REGIME ...] [--seeds 0 1 2] [KEY=VALUE ...]

Every comparison is between trainings of as many steps: a student that learns alone from few labels sees those samples
again and again, each time varied anew. A finished training is not repeated: kill it and start it again.

Regimes:
  labels-1, labels-10, labels-100  the student sees 1 %, 10 %, all labels; the teacher answers for all samples
  mixup                            views mixed with another sample's (alpha 1); distilled without any label
  samples                          there are few samples in all (`--samples`), with and without mixup (not of texts)
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pairs import ROOT, Pair, Trials

from edgedistill.progress import SILENT
from edgedistill.recipe import recipe_from_yaml

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgedistill.recipe import Distill

LABEL_SHARES = {"labels-1": 0.01, "labels-10": 0.1, "labels-100": 1.0}


def pure(settings: Distill) -> Distill:
    """Return settings that look at the teacher's answers only."""
    soft = settings.soft_targets.model_copy(update={"weight": 1.0, "temperature": 1.0})
    return settings.model_copy(update={"label_weight": 0.0, "soft_targets": soft})


def labels(pair: Pair, trials: Trials, regime: str, seed: int) -> None:
    """Compare with a share of the labels."""
    few = pair.few_labels(LABEL_SHARES[regime], seed)
    trials.do(regime, "alone", seed, lambda: pair.alone(few, seed))
    trials.do(regime, "distilled", seed, lambda: pair.distilled(few, seed))
    if regime != "labels-10":
        trials.do(regime, "distilled, no labels", seed, lambda: pair.distilled(few, seed, pure(pair.recipe.distill)))


def mixup(pair: Pair, trials: Trials, _regime: str, seed: int) -> None:
    """Compare on mixed views."""
    mixed, train = with_mixup(pair), pair.context.train
    trials.do("mixup", "alone", seed, lambda: mixed.alone(train, seed))
    trials.do("mixup", "distilled, no labels", seed, lambda: mixed.distilled(train, seed, pure(pair.recipe.distill)))


def samples_for(count: int, length: int) -> Callable[[Pair, Trials, str, int], None]:
    """Return the comparison with so many samples in all."""

    def samples(pair: Pair, trials: Trials, regime: str, seed: int) -> None:
        few = pair.few_samples(count, seed, length=length)
        trials.do(regime, "alone", seed, lambda: pair.alone(few, seed))
        trials.do(regime, "distilled", seed, lambda: pair.distilled(few, seed))
        if pair.recipe.data.preprocessing.kind != "text":
            mixed, settings = with_mixup(pair), pure(pair.recipe.distill)
            trials.do(regime, "alone, mixup", seed, lambda: mixed.alone(few, seed))
            trials.do(regime, "distilled, mixup", seed, lambda: mixed.distilled(few, seed, settings))

    return samples


def with_mixup(pair: Pair) -> Pair:
    """Return the pair on mixed views."""
    views = pair.recipe.data.views.model_copy(update={"mixup": 1.0})
    data = pair.recipe.data.model_copy(update={"views": views})
    return Pair(pair.recipe.model_copy(update={"data": data}), pair.home, pair.progress)


def main() -> None:
    """Train every arm of every regime."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=[*LABEL_SHARES, "mixup", "samples"])
    parser.add_argument("--samples", type=int, default=1000, help="how many there are in regime `samples`")
    parser.add_argument("--length", type=int, default=12_800, help="how many of them, repeated, are an epoch")
    args = parser.parse_args()
    recipe = recipe_from_yaml(args.recipe, overrides=args.overrides)
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    pair = Pair(recipe, args.recipe.resolve().parent, SILENT)
    shown = str(args.recipe.resolve().relative_to(ROOT))
    about = {
        "recipe": shown,
        "overrides": args.overrides,
        "n": len(pair.context.test),
        "training_samples": len(pair.context.train),
        "metric": pair.context.judge.metric,
        "teacher": pair.teacher_score(),
        "samples": {"count": args.samples, "epoch": args.length},
    }
    print(f"teacher {about['teacher']:.2%}", flush=True)
    trials = Trials(args.out, about)
    regimes = {**dict.fromkeys(LABEL_SHARES, labels), "mixup": mixup, "samples": samples_for(args.samples, args.length)}
    for regime, compare in regimes.items():
        for seed in args.seeds if not args.only or regime in args.only else []:
            compare(pair, trials, regime, seed)
    for row in trials.table():
        print(f"{row['group']:14} {row['arm']:22} {row['mean']:.2%} ± {row['deviation'] or 0:.2%} ({row['trials']})")


if __name__ == "__main__":
    main()
