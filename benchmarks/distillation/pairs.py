"""A teacher and a student from a recipe, trained many times: what the comparisons share.

The views of the samples are those of the recipe's seed in every training, so the teacher is paid once; a training's
own seed changes the student's first weights, the order of the samples, dropout, and which labels it may see.
"""

from __future__ import annotations

import json
import platform
import time
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgedistill.data.few_labels import with_few_labels
from edgedistill.data.transfer_set import part_of
from edgedistill.distill.schedule import seed_of
from edgedistill.distill.student import distill, train_alone
from edgedistill.run.context import Context
from edgedistill.run.directory import RunDirectory
from edgedistill.run.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from edgedistill.data.transfer_set import Samples
    from edgedistill.progress import Progress
    from edgedistill.recipe import Distill, Recipe

ROOT = Path(__file__).parents[2]


@dataclass
class Pair:
    """A teacher and a student.

    Args:
        recipe: which ones, and on what data.
        home: folder of the recipe.
        progress: where long work reports to.
    """

    recipe: Recipe
    home: Path
    progress: Progress

    @cached_property
    def context(self) -> Context:
        """What a run of the recipe would work with."""
        return self._context(self.recipe)

    def student(self, seed: int) -> nn.Module:
        """Return a new student whose random weights are those of a seed."""
        seeded = self._context(self.recipe.model_copy(update={"seed": seed}))
        seeded.train, seeded.tokenizer = self.context.train, self.context.tokenizer  # as they are, not loaded again
        return seeded.bare_student()

    def few_labels(self, share: float, seed: int) -> Samples:
        """Return the training samples with a share of their labels; which ones depends on the seed."""
        return with_few_labels(self.context.train, share=share, seed=seed_of(seed, "labelled"))

    def few_samples(self, count: int, seed: int, *, length: int) -> Samples:
        """Return so many training samples, the same number of each class, over and over, `length` in all."""
        train = self.context.train
        kept = np.flatnonzero(self.few_labels(count / len(train), seed).labels >= 0)
        return part_of(train, np.resize(kept, length), name=f"few {count} {seed} {length}")

    def alone(self, samples: Samples, seed: int) -> float:
        """Return the score of a student that learns from the labels alone."""
        student, context = self.student(seed), self._context(self.recipe)
        context.train, context.tokenizer = samples, self.context.tokenizer
        train_alone(student, context.labelled_set, settings=self.recipe.distill, seed=seed, progress=self.progress)
        return self.context.test_score(student)

    def distilled(self, samples: Samples, seed: int, settings: Distill | None = None) -> float:
        """Return the score of a student that learns from the teacher, on samples that it has answered for."""
        recipe = self.recipe.model_copy(update={"distill": settings or self.recipe.distill})
        context, seeded = self._context(recipe), self._context(recipe.model_copy(update={"seed": seed}))
        for each in (context, seeded):
            each.train, each.test, each.tokenizer = samples, self.context.test, self.context.tokenizer
            each.teacher = self.context.teacher
        student = seeded.new_student()
        distill(
            student,
            context.transfer_set,
            context.soft_targets(),
            settings=context.distillation,
            seed=seed,
            teacher=lambda: self.context.teacher,
            progress=self.progress,
        )
        return self.context.test_score(student)

    def teacher_score(self) -> float:
        """Return the teacher's own score on the evaluation set."""
        return self.context.judge.score(self.context.teacher_outputs)

    def _context(self, recipe: Recipe) -> Context:
        folder = RunDirectory(Path("runs") / "comparisons" / recipe.name)
        return Context(recipe, self.home, folder, Keys(recipe, self.home), self.progress)


class Trials:
    """The results file: a training that it holds is not done again.

    Args:
        path: of the file.
        about: what all trainings of the file share.
    """

    def __init__(self, path: Path, about: dict[str, object]) -> None:
        self._path = path
        self._about = about
        self._rows: list[dict[str, object]] = json.loads(path.read_text("utf-8"))["trials"] if path.is_file() else []

    def do(self, group: str, arm: str, seed: int, train: Callable[[], float]) -> None:
        """Train, unless it has been done, and write the file."""
        key = {"group": group, "arm": arm, "seed": seed}
        if any(all(row[name] == value for name, value in key.items()) for row in self._rows):
            return
        start, cpu = time.perf_counter(), time.process_time()
        score = train()
        seconds = {"wall_s": time.perf_counter() - start, "cpu_s": time.process_time() - cpu}
        self._rows.append({**key, "score": score, **{name: round(value, 1) for name, value in seconds.items()}})
        self._write()
        print(f"{group:14s} {arm:22s} seed {seed}: {score:.2%}  ({seconds['cpu_s']:.0f} CPU-s)", flush=True)

    def _write(self) -> None:
        document = {**self._about, "environment": environment(), "table": self.table(), "trials": self._rows}
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
        partial.replace(self._path)

    def table(self) -> list[dict[str, object]]:
        """Return mean, standard deviation, lowest and highest of every arm."""
        arms: dict[tuple[object, object], list[float]] = {}
        for row in self._rows:
            arms.setdefault((row["group"], row["arm"]), []).append(float(str(row["score"])))
        return [
            {
                "group": group,
                "arm": arm,
                "trials": len(scores),
                "mean": round(fmean(scores), 5),
                "deviation": round(stdev(scores), 5) if len(scores) > 1 else None,
                "lowest": min(scores),
                "highest": max(scores),
            }
            for (group, arm), scores in arms.items()
        ]


def environment() -> dict[str, object]:
    """Return versions and machine."""
    names = ("edgedistill", "torch", "numpy")
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in names}},
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
    }
