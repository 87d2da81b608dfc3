"""What the steps of one run share: recipe, data, models, each loaded once and only when a step needs it."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import nn

from edgedistill.cache import cache_folder
from edgedistill.data.few_labels import labelled_alone, with_few_labels
from edgedistill.data.tokenizers import tokenizer_of
from edgedistill.data.transfer_set import Origin
from edgedistill.data.views import transfer_set
from edgedistill.distill.layer_choice import Both, with_layers
from edgedistill.distill.methods.chosen import chosen_losses, leaves_layers_open, teacher_layers
from edgedistill.distill.parallel.group import ALONE
from edgedistill.distill.reused_head import with_teachers_head
from edgedistill.distill.schedule import seed_of, views_used
from edgedistill.distill.teacher_cache import SoftTargets, teach
from edgedistill.errors import ModelError
from edgedistill.evaluate.judges import ClassJudge, EmbeddingJudge
from edgedistill.evaluate.segmentation import MaskJudge
from edgedistill.evaluate.torch_executors import ModuleExecutor
from edgedistill.models.callable_teacher import AnswersOnly
from edgedistill.models.loading import check_outputs, load_model
from edgedistill.models.origins import FAMILIES, RECORDED
from edgedistill.recipe import Task
from edgedistill.run import inversion
from edgedistill.run.samples import load
from edgedistill.run.synthesising import Synthesis
from edgedistill.run.teacher_views import require_same_tokens, seen_by_teacher, text_inputs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edgedistill.data.tokenizers import Tokenizer
    from edgedistill.data.transfer_set import Inputs, Samples, TransferSet
    from edgedistill.distill.cache_files import Storage
    from edgedistill.distill.history import Callback
    from edgedistill.distill.parallel.group import Group
    from edgedistill.evaluate.executor import Executor
    from edgedistill.evaluate.judges import Judge
    from edgedistill.progress import Progress
    from edgedistill.recipe import Distill, Network, Recipe
    from edgedistill.run.directory import RunDirectory
    from edgedistill.run.keys import Keys

SYNTHESISED_METRIC = "agreement with the teacher on samples made from it"
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
        callbacks: what is told of every training's steps and epochs.
    """

    recipe: Recipe
    recipe_folder: Path
    directory: RunDirectory
    keys: Keys
    progress: Progress
    callbacks: Sequence[Callback] = ()

    @cached_property
    def train(self) -> Samples:
        """The samples to learn from, with the labels that the student may see."""
        samples, share = self._samples("train"), self.recipe.data.labelled
        if share == 1:
            return samples
        return with_few_labels(samples, share=share, seed=seed_of(self.recipe.seed, "labelled"))

    @cached_property
    def test(self) -> Samples:
        """The samples to evaluate on."""
        return self._samples("test")

    @cached_property
    def synthesis(self) -> Synthesis:
        """The samples that are made from the teacher."""
        return Synthesis(self)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes in label order; where the samples come from the teacher, the recipe's own."""
        return self.recipe.data.classes if inversion.is_data(self.recipe) else self.train.classes

    @cached_property
    def calibration_set(self) -> TransferSet:
        """The samples that quantization ranges come from; they are not varied."""
        if not inversion.is_calibration(self.recipe):
            return self.transfer_set
        data = self.recipe.data
        samples = self.synthesis.samples("train")
        return transfer_set(samples, data.preprocessing, type(data.views)(count=1), self.recipe.seed)

    @cached_property
    def transfer_set(self) -> TransferSet:
        """The samples to learn from, in their views."""
        return self._in_views(self.train)

    @cached_property
    def labelled_set(self) -> TransferSet:
        """What a student that learns alone is shown: samples with a label, in their views.

        Raises:
            DataError: no sample has a label.
        """
        labelled = labelled_alone(self.train)
        return self.transfer_set if labelled is self.train else self._in_views(labelled)

    @cached_property
    def evaluation_set(self) -> TransferSet:
        """The samples to evaluate on; only `plain` is asked of it."""
        data = self.recipe.data
        return transfer_set(
            self.test, data.preprocessing, type(data.views)(count=1), self.recipe.seed, tokenizer=self.tokenizer
        )

    @cached_property
    def tokenizer(self) -> Tokenizer | None:
        """The student's tokenizer, of data that are texts."""
        preprocessing = self.recipe.data.preprocessing
        if preprocessing.kind != "text":
            return None
        return tokenizer_of(preprocessing, self.recipe_folder, texts=self.train.raw.tolist())

    @cached_property
    def teacher_train(self) -> TransferSet:
        """The samples to learn from, in their views, as the teacher sees them."""
        return seen_by_teacher(self.recipe, self.recipe_folder, self.train, self.transfer_set)

    @cached_property
    def teacher_test(self) -> TransferSet:
        """The samples to evaluate on, as the teacher sees them."""
        return seen_by_teacher(self.recipe, self.recipe_folder, self.test, self.evaluation_set)

    @cached_property
    def teacher_outputs(self) -> NDArray[np.float32]:
        """The teacher's outputs (n, ...), float32, on the evaluation set: step `teach` writes them."""
        path = self.directory.folder / TEACHER_OUTPUTS
        if path.is_file():
            found: NDArray[np.float32] = np.load(path, allow_pickle=False)
            return found
        return self.outputs(ModuleExecutor(self.teacher), seen=self.teacher_test)

    @cached_property
    def judge(self) -> Judge:
        """What outputs on the evaluation set are measured by."""
        if self.recipe.task is Task.EMBEDDING:
            return EmbeddingJudge(self.teacher_outputs)
        if self.test.origin is Origin.SYNTHESISED:
            return ClassJudge(self.test.labels, SYNTHESISED_METRIC)
        if self.recipe.task is Task.SEGMENTATION:
            return MaskJudge(self.test.labels)
        return ClassJudge(self.test.labels, "accuracy" if self.test.gold else "agreement with the teacher")

    @property
    def output_count(self) -> int:
        """Outputs of the student: one per class, or the width of the teacher's embedding."""
        if self.recipe.task is not Task.EMBEDDING:
            return len(self.class_names)
        one = self.teacher_test.plain(range(1)).inputs
        return int(ModuleExecutor(self.teacher).run(one).shape[1])

    @cached_property
    def teacher(self) -> nn.Module:
        """The teacher, in evaluation mode.

        Raises:
            ModelError: it is one of our families without weights, and an untrained teacher teaches nothing.
        """
        chosen = self.recipe.teacher
        if chosen.source == RECORDED:
            return nn.Identity().eval()
        if chosen.source in FAMILIES and chosen.weights is None:
            raise ModelError(
                f"teacher '{chosen.source}'", found="no weights", wanted="a trained one", fix="name `teacher.weights`"
            )
        count = None if self.recipe.task is Task.EMBEDDING else len(self.class_names)
        if inversion.is_data(self.recipe):  # its samples come from it, so it is not looked at through them
            return self._seeded_model(chosen, None, count, role="teacher").eval()
        return self._seeded_model(chosen, self.teacher_train, count, role="teacher").eval()

    def new_student(self) -> nn.Module:
        """Return the student as it is before distillation, changed as its methods want it: the same at every call."""
        student = self.bare_student()
        for chosen in chosen_losses(self.distillation.losses):
            if chosen.method.reuses_head:
                with torch.random.fork_rng(devices=[]):
                    torch.manual_seed(seed_of(self.recipe.seed, "reused head"))
                    student = with_teachers_head(self._both(student), chosen.pairs[0])
        return student

    def bare_student(self) -> nn.Module:
        """Return the student as the recipe names it, before training: the same at every call."""
        seen = None if inversion.is_data(self.recipe) else self.transfer_set  # samples made from the teacher take long
        student = self._seeded_model(self.recipe.student, seen, self.output_count, role="student")
        if isinstance(student, AnswersOnly):
            raise ModelError(
                f"student '{self.recipe.student.source}'",
                found="it only answers: it has no weights that could be trained",
                wanted="a network in torch",
            )
        return student

    @cached_property
    def student_on_the_proof(self) -> float | None:
        """The fp32 student's score on the samples of `verify`; None where they are the whole evaluation set."""
        samples = self.recipe.verify.samples
        if samples is None or samples >= len(self.test):
            return None
        return self.judge.score(self.outputs(ModuleExecutor(self.trained_student()), samples=samples))

    def started_student(self) -> tuple[nn.Module, str]:
        """Return the student as distillation starts with it, and what it took over from its teacher, in words."""
        student, start = self.new_student(), self.recipe.student.start
        if start is None:
            return student, ""
        from edgedistill.distill.start.starting import start_from_teacher  # noqa: PLC0415 - only some recipes need it

        return student, start_from_teacher(student, self.teacher, self.transfer_set, start).text

    def trained_student(self) -> nn.Module:
        """Return the distilled student of this run."""
        from edgedistill.distill.student import load_student  # noqa: PLC0415 - only some steps need it

        student = self.new_student()
        load_student(student, self.directory.folder / STUDENT)
        return student.eval()

    @property
    def soft_targets_folder(self) -> Path:
        """Where the outputs of teachers are kept."""
        return cache_folder(self.recipe.cache.folder) / "soft-targets"

    @property
    def storage(self) -> Storage:
        """How they are kept."""
        return self.keys.storage(classes=len(self.train.classes))

    @property
    def views_needed(self) -> int:
        """Views that the teacher has to label."""
        epochs = max(self.recipe.distill.epochs, self.recipe.quantize.finetune.epochs)
        return views_used(epochs, self.transfer_set.view_count)

    @property
    def teacher_layers(self) -> list[str]:
        """Layers of the teacher that hints and losses learn from."""
        return teacher_layers(self.distillation)

    @cached_property
    def distillation(self) -> Distill:
        """How the student learns, with every layer named: the models are looked at where the recipe leaves that open.

        Raises:
            ModelError: a pattern matches nothing, or no layers go together.
            DataError: tokens are to be compared that teacher and student do not share.
        """
        settings = self.recipe.distill
        for chosen in chosen_losses(settings.losses):
            if chosen.method.same_tokens:
                require_same_tokens(self.transfer_set, self.teacher_train, method=chosen.method.name)
        if not leaves_layers_open(settings):
            return settings
        return with_layers(settings, self._both(self.bare_student()))

    def _both(self, student: nn.Module) -> Both:
        two = range(min(2, len(self.train)))
        return Both(
            student=student,
            teacher=self.teacher,
            student_inputs=torch.from_numpy(self.transfer_set.plain(two).inputs),
            teacher_inputs=torch.from_numpy(self.teacher_train.plain(two).inputs),
        )

    def soft_targets(self, group: Group = ALONE) -> SoftTargets:
        """Return the teacher's outputs for every view this run uses; what is missing is computed, by the group."""
        recipe = self.recipe
        return teach(
            self.teacher,
            self.teacher_train,
            key=self.keys.soft_targets(self.teacher_train.fingerprint, self.storage, layers=self.teacher_layers),
            folder=self.soft_targets_folder,
            views_needed=self.views_needed,
            layers=self.teacher_layers,
            storage=self.storage,
            max_gb=recipe.cache.max_gb,
            progress=self.progress,
            group=group,
        )

    def outputs(
        self, executor: Executor, *, samples: int | None = None, seen: TransferSet | None = None
    ) -> NDArray[np.float32]:
        """Return an executor's outputs (n, ...) on the evaluation set, or its first samples, as the student sees it."""
        count = len(self.test) if samples is None else min(samples, len(self.test))
        return np.concatenate([executor.run(inputs) for inputs in self._inputs(count, seen or self.evaluation_set)])

    def test_score(self, model: nn.Module) -> float:
        """Return the task's metric of a module on the evaluation set."""
        return self.judge.score(self.outputs(ModuleExecutor(copy.copy(model))))

    def _inputs(self, count: int, seen: TransferSet) -> Iterator[Inputs]:
        rows = max(1, CHUNK_BYTES // (4 * int(np.prod(seen.preprocessing.input_shape))))
        for start in range(0, count, rows):
            yield seen.plain(np.arange(start, min(start + rows, count))).inputs

    def _in_views(self, samples: Samples) -> TransferSet:
        data = self.recipe.data
        return transfer_set(
            samples,
            data.preprocessing,
            data.views,
            self.recipe.seed,
            tokenizer=self.tokenizer,
            workers=data.workers,
        )

    def _samples(self, split: Literal["train", "test"]) -> Samples:
        data = self.recipe.data
        if inversion.is_data(self.recipe) and (split == "train" or data.evaluation is None):
            return self.synthesis.samples(split)
        return load(self.recipe, self.recipe_folder, split, progress=self.progress)

    def _seeded_model(self, model: Network, seen: TransferSet | None, outputs: int | None, *, role: str) -> nn.Module:
        """Load a model; what a factory leaves random is random by the recipe's seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(self.recipe.seed, role))
            return self._model(model, seen, outputs)

    def _model(self, model: Network, seen: TransferSet | None, outputs: int | None) -> nn.Module:
        preprocessing = self.recipe.data.preprocessing if seen is None else seen.preprocessing
        module = load_model(
            model,
            classes=outputs or 0,
            channels=_channels(preprocessing.input_shape),
            recipe_folder=self.recipe_folder,
            texts=None if seen is None else text_inputs(seen),
        )
        if outputs is not None:
            dtype = getattr(torch, preprocessing.input_dtype)
            pixels = preprocessing.input_shape[1:] if self.recipe.task is Task.SEGMENTATION else ()
            check_outputs(module, preprocessing.input_shape, outputs, dtype=dtype, pixels=pixels)
        return module


def _channels(input_shape: tuple[int, ...]) -> int:
    """Return the channels of images (channels, height, width), or of signals (time, channels)."""
    return input_shape[-1] if len(input_shape) == 2 else input_shape[0]  # noqa: PLR2004 - two axes


TEACHER_OUTPUTS = "teacher/evaluation.npy"
STUDENT = "student/student.safetensors"
