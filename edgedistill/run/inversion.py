"""Samples of a run that are made from its teacher: whether it wants them, what they depend on. Loads no torch."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from edgedistill.distill.synthesis_files import synthesis_key
from edgedistill.errors import RecipeError, UnsupportedError
from edgedistill.models import origins
from edgedistill.recipe import CalibrationSource, Task

if TYPE_CHECKING:
    from edgedistill.recipe import Recipe

SOURCE = "inverted"
FOLDER = "inverted"
"""Folder of all inverted samples in the cache."""

MIN_CLASSES = 2
REAL_SAMPLES = "use a few real samples: examples/few_samples.yaml"


def is_data(recipe: Recipe) -> bool:
    """Say whether the samples to learn from are inverted."""
    return recipe.data.source == SOURCE


def is_calibration(recipe: Recipe) -> bool:
    """Say whether ranges are taken from inverted samples though the samples to learn from are others."""
    return recipe.quantize.calibration.source is CalibrationSource.INVERTED and not is_data(recipe)


def is_wanted(recipe: Recipe) -> bool:
    """Say whether a run makes samples from its teacher at all."""
    return is_data(recipe) or is_calibration(recipe)


def key(recipe: Recipe, *, teacher_fingerprint: str, threads: int) -> str:
    """Return the name of the folder of a run's inverted samples.

    Args:
        recipe: of the run.
        teacher_fingerprint: of its teacher.
        threads: of torch: another number may change the last bits.
    """
    data = recipe.data
    rest = {
        "preprocessing": data.preprocessing.model_dump(mode="json"),
        "classes": len(data.classes),
        "seed": recipe.seed if data.inversion.seed is None else data.inversion.seed,
        "threads": threads,
        "torch": version("torch"),
    }
    return synthesis_key(teacher_fingerprint=teacher_fingerprint, settings=data.inversion, rest=rest)


def refuse_impossible(recipe: Recipe) -> None:
    """Refuse what can be seen from the recipe alone.

    Raises:
        RecipeError: class names are missing, or the samples are texts.
        UnsupportedError: the teacher cannot be inverted.
    """
    data, source = recipe.data, recipe.teacher.source
    thing = "samples inverted from the teacher"
    if data.preprocessing.kind not in ("image", "array") or recipe.task is not Task.CLASSIFICATION:
        raise RecipeError(
            thing,
            found=f"the task is {recipe.task}, the samples are of kind {data.preprocessing.kind}: token numbers and "
            "sounds are not optimised",
            wanted="images or arrays, and classes",
            fix="`edgedistill capture generate` lets a teacher write texts",
        )
    if is_data(recipe) and len(data.classes) < MIN_CLASSES:
        raise RecipeError(thing, found="no 'data.classes'", wanted="the names of the teacher's classes, in label order")
    if is_data(recipe) and data.max_per_class is not None:
        raise RecipeError(thing, found="'data.max_per_class'", wanted="'data.inversion.samples'", fix="remove it")
    if source == origins.RECORDED or source.endswith(".onnx"):
        kind = "its answers were recorded" if source == origins.RECORDED else "ONNX Runtime computes no gradient"
        raise UnsupportedError(
            f"teacher '{source}'", found=kind, wanted="a network with BatchNorm layers in torch", fix=REAL_SAMPLES
        )
