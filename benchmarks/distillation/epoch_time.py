"""What the teacher costs: an epoch from the cache beside a bare student's, and a whole run with and without the cache.

Usage: python benchmarks/distillation/epoch_time.py [--samples 3000] [--repeats 11] [--epochs 30] [--seeds 0 1 2]

The demonstration's teacher and student on a part of Fashion-MNIST. First, epochs on the same views take turns: a bare
loop (forward, cross-entropy, backward, SGD step; batches made ahead by a thread, as everywhere here), `train_alone`,
and `distill` from the cached outputs; medians, their ratios, and the range of the pairs' ratios. Then, for each seed,
two whole runs: one that lets the teacher label its views first and then distils from the cache, and one in which the
teacher runs in every step; wall time of each, and the accuracy on the 10,000 test images. About 8 minutes on 2 quiet
cores.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from contextlib import closing
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from edgedistill.data.transfer_set import Samples
from edgedistill.data.views import transfer_set
from edgedistill.distill.losses.soft_targets import soft_target_loss
from edgedistill.distill.objective import label_loss
from edgedistill.distill.optimizer import optimizer_of
from edgedistill.distill.prefetch import prefetched
from edgedistill.distill.schedule import schedule_of
from edgedistill.distill.student import distill, train_alone
from edgedistill.distill.teacher_cache import teach
from edgedistill.distill.training import fit
from edgedistill.models.loading import load_model
from edgedistill.recipe import recipe_from_yaml
from edgedistill.run.samples import load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor, nn

    from edgedistill.data.transfer_set import Batch, TransferSet
    from edgedistill.distill.teacher_cache import SoftTargets
    from edgedistill.recipe import Distill, Recipe

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "examples/fashion_mnist.yaml"


class LiveTeacher:
    """Labels and the soft targets of a teacher that runs in every step: an objective without a cache."""

    def __init__(self, teacher: nn.Module, settings: Distill) -> None:
        self.extra = torch.nn.ModuleList()
        self._teacher, self._settings = teacher.eval(), settings

    def __call__(self, model: nn.Module, inputs: Tensor, batch: Batch, indices: np.ndarray, view: int) -> Tensor:
        """Return the weighted sum of the losses."""
        del indices, view
        with torch.no_grad():
            targets = self._teacher(inputs)
        logits, soft = model(inputs), self._settings.soft_targets
        loss = soft_target_loss(logits, targets, temperature=soft.temperature)
        return self._settings.label_weight * label_loss(logits, batch) + soft.weight * loss


def bare_epoch(student: nn.Module, samples: TransferSet, settings: Distill) -> None:
    """Train a student for one epoch on labels, with as little as that takes."""
    schedule = schedule_of(settings, samples, seed=0)
    optimizer = optimizer_of((student,), settings)
    student.train()
    with closing(prefetched(schedule.steps(), lambda step: samples.batch(step.indices, view=step.view))) as batches:
        for batch in batches:
            optimizer.zero_grad()
            loss = functional.cross_entropy(student(torch.from_numpy(batch.inputs)), torch.from_numpy(batch.labels))
            torch.autograd.backward(loss)
            optimizer.step()


def seconds(work: Callable[[], object]) -> float:
    """Return the wall time of some work."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def new_student(recipe: Recipe, *, seed: int) -> nn.Module:
    """Return the recipe's student, random by the seed."""
    torch.manual_seed(seed)
    return load_model(recipe.student, classes=10, channels=1, recipe_folder=RECIPE.parent)


def epochs_in_turn(
    recipe: Recipe, samples: TransferSet, soft_targets: SoftTargets, *, repeats: int
) -> dict[str, object]:
    """Return the times of single epochs that took turns; the first of each is not counted."""
    one = recipe.distill.model_copy(update={"epochs": 1.0})
    arms: dict[str, Callable[[nn.Module], object]] = {
        "bare loop": lambda student: bare_epoch(student, samples, one),
        "train_alone": lambda student: train_alone(student, samples, settings=one, seed=0),
        "distill from cache": lambda student: distill(student, samples, soft_targets, settings=one, seed=0),
    }
    times: dict[str, list[float]] = {name: [] for name in arms}
    for repeat in range(repeats + 1):
        order = list(arms.items())
        for name, work in order[repeat % 3 :] + order[: repeat % 3]:
            student = new_student(recipe, seed=0)
            taken = seconds(lambda work=work, student=student: work(student))  # type: ignore[misc]
            if repeat:
                times[name].append(taken)
    cached, result = times["distill from cache"], {"seconds": times}
    medians = {name: median(values) for name, values in times.items()}
    ratios = {
        f"distill from cache / {name}": ratio(cached, values) for name, values in times.items() if values is not cached
    }
    return {**result, "median_seconds": medians, "ratios": ratios}


def ratio(ones: Sequence[float], others: Sequence[float]) -> dict[str, float]:
    """Return the ratio of the medians, and the range of the ratios of the pairs."""
    pairs = [one / other for one, other in zip(ones, others, strict=True)]
    return {"of_medians": median(ones) / median(others), "lowest": min(pairs), "highest": max(pairs)}


def accuracy(student: nn.Module, test: TransferSet) -> float:
    """Return the accuracy on the test images."""
    right = 0
    with torch.inference_mode():
        for start in range(0, len(test), 1000):
            batch = test.plain(range(start, min(start + 1000, len(test))))
            right += int((student(torch.from_numpy(batch.inputs)).argmax(1) == torch.from_numpy(batch.labels)).sum())
    return right / len(test)


def whole_runs(
    recipe: Recipe, teacher: nn.Module, samples: TransferSet, test: TransferSet, *, epochs: int, seeds: Sequence[int]
) -> list[dict[str, float]]:
    """Return wall time and accuracy of whole runs with and without the cache, which take turns to be the first."""
    settings = recipe.distill.model_copy(update={"epochs": float(epochs)})
    runs = []
    for seed in seeds:
        found: dict[str, float] = {"seed": seed}
        for name in ("with cache", "without")[:: 1 if seed % 2 == 0 else -1]:
            student = new_student(recipe, seed=seed)
            with tempfile.TemporaryDirectory() as folder:
                started = time.perf_counter()
                if name == "without":
                    fit(student, samples, training=settings, objective=LiveTeacher(teacher, settings), seed=seed)
                else:
                    views = min(epochs, samples.view_count)
                    targets = teach(teacher, samples, key="k", folder=Path(folder), views_needed=views)
                    found["teach_seconds"] = time.perf_counter() - started
                    distill(student, samples, targets, settings=settings, seed=seed)
                found[f"{name}_seconds"] = time.perf_counter() - started
            found[f"{name}_accuracy"] = accuracy(student, test)
        print(", ".join(f"{name} {value:.4g}" for name, value in found.items()), flush=True)
        runs.append(found)
    return runs


def step_costs(recipe: Recipe, teacher: nn.Module, samples: TransferSet) -> dict[str, float]:
    """Return milliseconds of a forward pass of teacher and student on one batch, medians of 20."""
    inputs = torch.from_numpy(samples.batch(range(recipe.distill.batch_size), view=0).inputs)
    costs = {}
    with torch.inference_mode():
        for name, model in (("teacher", teacher), ("student", new_student(recipe, seed=0).eval())):
            model(inputs)
            costs[f"{name}_forward_ms"] = 1e3 * median(seconds(lambda model=model: model(inputs)) for _ in range(20))  # type: ignore[misc]
    return {**costs, "teacher_over_student": costs["teacher_forward_ms"] / costs["student_forward_ms"]}


def main() -> None:
    """Measure, print, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=3000, help="of the whole runs; epochs use three times as many")
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/distillation_epoch_time.json")
    args = parser.parse_args()
    started = time.perf_counter()
    recipe = recipe_from_yaml(RECIPE)
    train, test = (load(recipe, RECIPE.parent, split) for split in ("train", "test"))
    teacher = load_model(recipe.teacher, classes=10, channels=1, recipe_folder=RECIPE.parent).eval()

    def part(count: int) -> TransferSet:
        few = Samples(train.raw[:count], train.labels[:count], train.classes, f"{train.fingerprint}-{count}")
        return transfer_set(few, recipe.data.preprocessing, recipe.data.views, 0)

    costs = step_costs(recipe, teacher, part(args.samples))
    print(", ".join(f"{name} {value:.3g}" for name, value in costs.items()), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        samples = part(3 * args.samples)
        soft_targets = teach(teacher, samples, key="k", folder=Path(folder), views_needed=1)
        epochs = epochs_in_turn(recipe, samples, soft_targets, repeats=args.repeats)
    print(json.dumps({name: epochs[name] for name in ("median_seconds", "ratios")}, indent=1), flush=True)
    shown = transfer_set(test, recipe.data.preprocessing, type(recipe.data.views)(count=1), 0)
    runs = whole_runs(recipe, teacher, part(args.samples), shown, epochs=args.epochs, seeds=args.seeds)
    results = {
        "samples": {"epochs": 3 * args.samples, "whole_runs": args.samples, "test": len(test)},
        "batch_size": recipe.distill.batch_size,
        "forward_passes": costs,
        "one_epoch": epochs,
        "whole_runs": {
            "epochs": args.epochs,
            "views": recipe.data.views.count,
            "runs": runs,
            "times_faster": [run["without_seconds"] / run["with cache_seconds"] for run in runs],
            "mean_accuracy_difference": fmean(run["with cache_accuracy"] - run["without_accuracy"] for run in runs),
        },
        "threads": torch.get_num_threads(),
        "machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "versions": {"torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version()},
        "wall_seconds": time.perf_counter() - started,
    }
    args.out.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    print(json.dumps({name: value for name, value in results["whole_runs"].items() if name != "runs"}, indent=1))


if __name__ == "__main__":
    main()
