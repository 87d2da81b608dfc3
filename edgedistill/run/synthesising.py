"""Makes the samples of a run from its teacher, judges them, and records what came out."""

from __future__ import annotations

import hashlib
import io
import time
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgedistill.cache import cache_folder
from edgedistill.data.arrays import preprocess
from edgedistill.data.transfer_set import Origin, Samples
from edgedistill.distill.inversion import require_batch_norm, space_of
from edgedistill.distill.synthesis import require_fit, seen_by, synthesise
from edgedistill.errors import RecipeError
from edgedistill.models.loading import example_inputs
from edgedistill.run import inversion
from edgedistill.run.summary import SynthesisRecord

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edgedistill.data.checks import Split
    from edgedistill.data.preprocessing import ArrayPreprocessing, ImagePreprocessing
    from edgedistill.run.context import Context

METHOD = "BatchNorm-statistics inversion (DeepInversion, arXiv:1912.08795)"
PICTURES_PER_CLASS = 12
MAX_PICTURE_CLASSES = 20
ROWS = 128


class Synthesis:
    """The samples that one run makes from its teacher; each split is made once.

    Args:
        context: of the run; its teacher is asked for when samples are.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._made: dict[Split, tuple[Samples, SynthesisRecord]] = {}

    @property
    def records(self) -> list[SynthesisRecord]:
        """What was made so far."""
        return [record for _, record in self._made.values()]

    def samples(self, split: Split) -> Samples:
        """Return the samples of one split; those of "test" are others, and carry the teacher's answers as labels.

        Raises:
            UnsupportedError: the teacher has no BatchNorm statistics.
            GateError: the teacher is not sure of the samples, or hardly names some class.
        """
        if split not in self._made:
            self._made[split] = self._make(split)
        return self._made[split][0]

    def _make(self, split: Split) -> tuple[Samples, SynthesisRecord]:
        context, settings = self._context, self._context.recipe.data.inversion
        preprocessing, classes = _numeric(context), context.class_names
        teacher = context.teacher
        require_batch_norm(teacher, example_inputs(preprocessing.input_shape), source=context.recipe.teacher.source)
        started_s = time.monotonic()
        made = synthesise(
            teacher,
            space_of(preprocessing),
            classes=len(classes),
            count=settings.samples if split == "train" else settings.evaluation_samples,
            split=split,
            settings=settings,
            seed=context.recipe.seed if settings.seed is None else settings.seed,
            home=cache_folder(context.recipe.cache.folder) / inversion.FOLDER / context.keys.inversion,
            progress=context.progress,
        )
        wall_s = time.monotonic() - started_s
        inputs = preprocess(made.raw, preprocessing.model_dump(mode="json"))
        view = seen_by(teacher, inputs, made.labels)
        require_fit(view, settings, classes=classes, folder=made.folder)
        record = SynthesisRecord(
            origin=str(Origin.SYNTHESISED),
            method=METHOD,
            used_as=_use(context, split),
            samples=len(made.labels),
            steps=settings.steps,
            wall_s=wall_s,
            size_bytes=made.size_bytes,
            confidence=view.confidence,
            min_confidence=settings.min_confidence,
            entropy_nats=view.entropy_nats,
            agreement=view.agreement,
            counts=view.counts,
            least_share=view.least_share,
            min_class_share=settings.min_class_share,
            statistics_at_start=made.gap_at_start,
            statistics_at_end=made.gap_at_end,
            picture_file=_picture_file(context, made.raw, made.labels, split=split),
        )
        labels = made.labels if split == "train" else _answers(context, inputs)
        digest = hashlib.sha256(made.raw.tobytes() + labels.tobytes())
        samples = Samples(
            made.raw,
            labels,
            classes,
            digest.hexdigest(),
            gold=split == "train",
            origin=Origin.SYNTHESISED,
            synthetic=f"{Origin.SYNTHESISED}: {METHOD}",
        )
        return samples, record


def _numeric(context: Context) -> ImagePreprocessing | ArrayPreprocessing:
    preprocessing = context.recipe.data.preprocessing
    if preprocessing.kind == "image" or preprocessing.kind == "array":  # noqa: PLR1714 - mypy narrows by each
        return preprocessing
    raise RecipeError("samples inverted from the teacher", found=f"{preprocessing.kind}s", wanted="images or arrays")


def _use(context: Context, split: Split) -> str:
    if inversion.is_calibration(context.recipe):
        return "calibration set"
    return "transfer set and calibration set" if split == "train" else "evaluation set"


@torch.inference_mode()
def _answers(context: Context, inputs: NDArray[np.float32]) -> NDArray[np.int64]:
    chunks = [inputs[start : start + ROWS] for start in range(0, len(inputs), ROWS)]
    answers = torch.cat([context.teacher(torch.from_numpy(part)).argmax(1) for part in chunks])
    found: NDArray[np.int64] = answers.numpy()
    return found


def _picture_file(
    context: Context, raw: NDArray[np.uint8] | NDArray[np.float32], labels: NDArray[np.int64], *, split: Split
) -> str | None:
    """Write some images of each class into the run directory, and return the path there; none for arrays."""
    if raw.dtype != np.uint8:
        return None
    name = f"synthesis/{split}.png"
    context.directory.write_bytes(name, picture_of(raw, labels))
    return name


def picture_of(raw: NDArray[np.generic], labels: NDArray[np.int64]) -> bytes:
    """Return a PNG with a row of images for each of the first classes.

    Args:
        raw: (n, height, width, channels), uint8.
        labels: (n,), int64.
    """
    from PIL import Image  # noqa: PLC0415 - only runs with such images need an encoder

    classes = np.unique(labels)[:MAX_PICTURE_CLASSES]
    chosen = [np.flatnonzero(labels == label)[:PICTURES_PER_CLASS] for label in classes]
    height, width, channels = raw.shape[1:]
    columns = max(len(row) for row in chosen)
    grid = np.full((len(classes) * (height + 1) - 1, columns * (width + 1) - 1, channels), 128, np.uint8)
    for row, members in enumerate(chosen):
        for column, member in enumerate(members):
            top, left = row * (height + 1), column * (width + 1)
            grid[top : top + height, left : left + width] = raw[member]
    file = io.BytesIO()
    Image.fromarray(grid[..., 0] if channels == 1 else grid).save(file, "PNG")
    return file.getvalue()


def picture_path(context: Context, record: SynthesisRecord) -> list[Path]:
    """Return the file of a record's picture in the run directory, or nothing."""
    return [] if record.picture_file is None else [context.directory.folder / record.picture_file]
