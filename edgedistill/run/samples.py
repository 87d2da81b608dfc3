"""The samples of a run: from a data source, or from a store of captured completions. Loads no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedistill.data import sources
from edgedistill.data.few import at_most_per_class
from edgedistill.data.masks import are_masks
from edgedistill.data.text_rows import samples_from_rows
from edgedistill.errors import DataError
from edgedistill.progress import SILENT
from edgedistill.recipe import Captured, Task

if TYPE_CHECKING:
    from pathlib import Path

    from edgedistill.capture.transfer import CapturedTexts
    from edgedistill.data.checks import Split
    from edgedistill.data.transfer_set import Samples
    from edgedistill.progress import Progress
    from edgedistill.recipe import Recipe

CAPTURE = "capture:"


def load(recipe: Recipe, recipe_folder: Path, split: Split, *, progress: Progress = SILENT) -> Samples:
    """Return the checked samples of one split; of the training split as many as the recipe allows per class.

    Raises:
        DataError: no such source, or its samples cannot be used.
        ResourceError: the samples do not fit into memory or on the disk.
        UnsafeFileError: a file holds pickled objects.
    """
    samples = _all_samples(recipe, recipe_folder, split, progress=progress)
    most = recipe.data.max_per_class
    return samples if most is None or split == "test" else at_most_per_class(samples, most, seed=recipe.seed)


def _all_samples(recipe: Recipe, recipe_folder: Path, split: Split, *, progress: Progress) -> Samples:
    data, labelled = recipe.data, recipe.task is not Task.EMBEDDING
    texts = captured(recipe, recipe_folder)
    if texts is None:
        found = sources.load(
            source_of(recipe, split),
            split,
            preprocessing=data.preprocessing,
            classes=data.classes,
            recipe_folder=recipe_folder,
            labelled=labelled,
            progress=progress,
        )
        _refuse_other_labels(recipe, found)
        return found
    if data.preprocessing.kind != "text":
        raise DataError(
            f"'{data.source}'",
            found=f"'data.preprocessing.kind' is {data.preprocessing.kind}, and the samples are texts",
            fix="set 'data.preprocessing.kind: text'",
        )
    return samples_from_rows(
        texts.rows,
        split,
        source=data.source,
        fingerprint=texts.fingerprint,
        classes=texts.classes,
        max_characters=data.preprocessing.max_characters,
        labelled=labelled,
    )


def source_of(recipe: Recipe, split: Split) -> str:
    """Return the source of a split: the evaluation set may have one of its own."""
    return (recipe.data.evaluation if split == "test" else None) or recipe.data.source


def _refuse_other_labels(recipe: Recipe, samples: Samples) -> None:
    """Refuse masks where a class a sample is wanted, and the other way round."""
    wanted = Task.SEGMENTATION if are_masks(samples.labels) else Task.CLASSIFICATION
    if Task.SEGMENTATION in (recipe.task, wanted) and recipe.task is not wanted:
        found = "a class for every pixel" if wanted is Task.SEGMENTATION else "one class a sample"
        raise DataError(
            f"'{recipe.data.source}'",
            found=found,
            wanted=f"data for 'task: {recipe.task}'",
            fix=f"set 'task: {wanted}'",
        )


def fingerprint(recipe: Recipe, recipe_folder: Path) -> str:
    """Return the sha256 of what the samples are read from.

    Raises:
        DataError: no such source, or its files cannot be read.
    """
    texts = captured(recipe, recipe_folder)
    return sources.fingerprint(recipe.data.source, recipe_folder) if texts is None else texts.fingerprint


def evaluation_fingerprint(recipe: Recipe, recipe_folder: Path) -> str | None:
    """Return the sha256 of what the evaluation set alone is read from; none where it has no source of its own.

    Raises:
        DataError: no such source, its files cannot be read, or it stands beside captured completions.
    """
    chosen = recipe.data.evaluation
    if chosen is None:
        return None
    if recipe.data.source.startswith(CAPTURE) or chosen.startswith(CAPTURE):
        raise DataError(
            "'data.evaluation'", found="a capture: source has its own evaluation set", fix="remove 'data.evaluation'"
        )
    return sources.fingerprint(chosen, recipe_folder)


def captured(recipe: Recipe, recipe_folder: Path) -> CapturedTexts | None:
    """Return the texts of a `capture:` source, or None where the source is another.

    Raises:
        DataError: there is no store, too few completions, or answers that no classifier could give.
    """
    data = recipe.data
    if not data.source.startswith(CAPTURE):
        if data.captured != Captured():
            raise DataError(
                "'data.captured'", found=f"'data.source' is '{data.source}'", wanted="a capture:FOLDER source"
            )
        return None
    from edgedistill.capture.transfer import captured_texts  # noqa: PLC0415 - only such runs need the store

    folder = recipe_folder / data.source.removeprefix(CAPTURE)
    return captured_texts(folder, data.captured, classes=data.classes, labelled=recipe.task is Task.CLASSIFICATION)
