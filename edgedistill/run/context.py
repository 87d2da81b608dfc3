"""What the steps of one run share: recipe, data, models, each loaded once and only when a step needs it."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from edgedistill.cache import cache_folder
from edgedistill.data.sources import load
from edgedistill.data.views import transfer_set
from edgedistill.distill.schedule import seed_of, views_used
from edgedistill.distill.teacher_cache import SoftTargets, teach
from edgedistill.errors import ModelError
from edgedistill.evaluate.metrics import accuracy
from edgedistill.evaluate.torch_executors import ModuleExecutor
from edgedistill.models.loading import check_outputs, load_model
from edgedistill.models.origins import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

    from edgedistill.data.transfer_set import Inputs, Samples, TransferSet
    from edgedistill.evaluate.executor import Executor
    from edgedistill.progress import Progress
    from edgedistill.recipe import Model, Recipe
    from edgedistill.run.directory import RunDirectory
    from edgedistill.run.keys import Keys

CHUNK_BYTES = 256 * 2**20


@dataclass
class Context:
    """What the steps of one run share.

    Args:
        recipe: what to do.
        recipe_folder: relative paths of the recipe start here.
        directory: where to write.
        keys: of every step.
        progress: where to report.
    """

    recipe: Recipe
    recipe_folder: Path
    directory: RunDirectory
    keys: Keys
    progress: Progress

    @cached_property
    def train(self) -> Samples:
        """The samples to learn from."""
        return self._samples("train")

    @cached_property
    def test(self) -> Samples:
        """The samples to evaluate on."""
        return self._samples("test")

    @cached_property
    def transfer_set(self) -> TransferSet:
        """The samples to learn from, in their views."""
        data = self.recipe.data
        return transfer_set(self.train, data.preprocessing, data.views, self.recipe.seed)

    @cached_property
    def evaluation_set(self) -> TransferSet:
        """The samples to evaluate on; only `plain` is asked of it."""
        data = self.recipe.data
        return transfer_set(self.test, data.preprocessing, type(data.views)(count=1), self.recipe.seed)

    @cached_property
    def teacher(self) -> nn.Module:
        """The teacher, in evaluation mode.

        Raises:
            ModelError: it is one of our families without weights, and an untrained teacher teaches nothing.
        """
        chosen = self.recipe.teacher
        if chosen.source in FAMILIES and chosen.weights is None:
            raise ModelError(
                f"teacher '{chosen.source}'", found="no weights", wanted="a trained one", fix="name `teacher.weights`"
            )
        return self._seeded_model(chosen, role="teacher").eval()

    def new_student(self) -> nn.Module:
        """Return the student as it is before training: the same at every call."""
        return self._seeded_model(self.recipe.student, role="student")

    def trained_student(self) -> nn.Module:
        """Return the distilled student of this run."""
        from edgedistill.distill.student import load_student  # noqa: PLC0415 - only some steps need it

        student = self.new_student()
        load_student(student, self.directory.folder / STUDENT)
        return student.eval()

    def soft_targets(self) -> SoftTargets:
        """Return the teacher's outputs for every view this run uses; what is missing is computed."""
        recipe = self.recipe
        epochs = max(recipe.distill.epochs, recipe.quantize.finetune.epochs)
        return teach(
            self.teacher,
            self.transfer_set,
            key=self.keys.soft_targets(self.transfer_set.fingerprint),
            folder=cache_folder(recipe.cache.folder) / "soft-targets",
            views_needed=views_used(epochs, self.transfer_set.view_count),
            layers=[hint.teacher for hint in recipe.distill.hints],
            max_gb=recipe.cache.max_gb,
            progress=self.progress,
        )

    def outputs(self, executor: Executor, *, samples: int | None = None) -> NDArray[np.float32]:
        """Return an executor's outputs (n, classes) on the evaluation set, or its first samples."""
        count = len(self.test) if samples is None else min(samples, len(self.test))
        return np.concatenate([executor.run(inputs) for inputs in self._inputs(count)])

    def test_accuracy(self, model: nn.Module) -> float:
        """Return the accuracy of a module on the evaluation set."""
        return accuracy(self.outputs(ModuleExecutor(copy.copy(model))), self.test.labels)

    def _inputs(self, count: int) -> Iterator[Inputs]:
        rows = max(1, CHUNK_BYTES // (4 * int(np.prod(self.recipe.data.preprocessing.input_shape))))
        for start in range(0, count, rows):
            yield self.evaluation_set.plain(np.arange(start, min(start + rows, count))).inputs

    def _samples(self, split: Literal["train", "test"]) -> Samples:
        data = self.recipe.data
        return load(
            data.source,
            split,
            preprocessing=data.preprocessing,
            classes=data.classes,
            recipe_folder=self.recipe_folder,
            progress=self.progress,
        )

    def _seeded_model(self, model: Model, *, role: str) -> nn.Module:
        """Load a model; what a factory leaves random is random by the recipe's seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(self.recipe.seed, role))
            return self._model(model)

    def _model(self, model: Model) -> nn.Module:
        preprocessing = self.recipe.data.preprocessing
        module = load_model(
            model,
            classes=len(self.train.classes),
            channels=preprocessing.input_shape[0],
            recipe_folder=self.recipe_folder,
        )
        check_outputs(module, preprocessing.input_shape, len(self.train.classes))
        return module


STUDENT = "student/student.safetensors"
