"""The samples of a run: from a data source, or from a store of captured completions. Loads no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgedistill.data import sources
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
    """Return the checked samples of one split.

    Raises:
        DataError: no such source, or its samples cannot be used.
        ResourceError: the samples do not fit into memory or on the disk.
        UnsafeFileError: a file holds pickled objects.
    """
    data, labelled = recipe.data, recipe.task is Task.CLASSIFICATION
    texts = captured(recipe, recipe_folder)
    if texts is None:
        return sources.load(
            data.source,
            split,
            preprocessing=data.preprocessing,
            classes=data.classes,
            recipe_folder=recipe_folder,
            labelled=labelled,
            progress=progress,
        )
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


def fingerprint(recipe: Recipe, recipe_folder: Path) -> str:
    """Return the sha256 of what the samples are read from.

    Raises:
        DataError: no such source, or its files cannot be read.
    """
    texts = captured(recipe, recipe_folder)
    return sources.fingerprint(recipe.data.source, recipe_folder) if texts is None else texts.fingerprint


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
