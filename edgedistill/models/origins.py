"""Where a recipe's models come from: names become files. Loads no torch."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from edgedistill.data.user_code import user_function
from edgedistill.errors import ModelError, nearest

if TYPE_CHECKING:
    from edgedistill.data.user_code import UserFunction
    from edgedistill.recipe import Member, Model, Network

TEXT_FAMILIES = ("text-conv", "text-encoder")
"""The built-in families for texts."""

FAMILIES = ("residual", "separable", "signal-conv", "unet", *TEXT_FAMILIES)
"""The built-in families."""

HUGGING_FACE = "huggingface:"
RECORDED = "recorded"
"""The teacher whose answers came with the data."""

FOLDER_FILES = (
    "config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "modules.json",
    "1_Pooling/config.json",
)
"""Files of a Hugging Face folder that decide what it computes; weights in parts are hashed by their index."""

ENSEMBLE = "ensemble"
"""The teacher that is several."""

BUILTIN = "builtin:"
PRETRAINED = {"fashion-mnist-residual24": "fashion_mnist_residual24.safetensors"}
"""File of each weight set that comes with the package, by the name behind `builtin:`."""

MAX_BYTES = 16 << 30
"""Largest file of weights that is read."""

ONNX = ".onnx"
PROGRAM_SUFFIXES = (".pt2", ONNX)
WEIGHT_SUFFIXES = (".safetensors", ".pt", ".pth")
SMALLEST_ENSEMBLE = 2


def family(model: Network) -> str | None:
    """Return the name of the built-in family, or None where the source is another."""
    return model.source if model.source in FAMILIES else None


def factory(model: Network, recipe_folder: Path) -> UserFunction:
    """Return the function of a `python:module:factory` source, found but not imported.

    Raises:
        ModelError: there is no such module.
    """
    return user_function(model.source, recipe_folder, error=ModelError)


def folder(model: Network, recipe_folder: Path) -> Path | None:
    """Return the folder of a `huggingface:` source, or None where the source is another.

    Raises:
        ModelError: there is no such folder.
    """
    if not model.source.startswith(HUGGING_FACE):
        return None
    return existing_folder(model.source.removeprefix(HUGGING_FACE), recipe_folder)


def existing_folder(name: str, recipe_folder: Path) -> Path:
    """Return the path of a Hugging Face folder.

    Raises:
        ModelError: there is no such folder.
    """
    path = recipe_folder / name
    if not path.is_dir():
        raise ModelError(f"Hugging Face folder '{name}'", found=f"no folder '{path}'")
    return path


def program(model: Network, recipe_folder: Path) -> Path:
    """Return the path of a `.pt2` or `.onnx` source.

    Raises:
        ModelError: the source is of no known form, the file is missing or too large, or other weights are named
            beside it.
    """
    if not model.source.endswith(PROGRAM_SUFFIXES):
        forms = (
            *FAMILIES,
            "python:module:factory",
            "PATH.pt2",
            "PATH.onnx",
            "huggingface:FOLDER",
            RECORDED,
            ENSEMBLE,
        )
        raise ModelError(f"model source '{model.source}'", found="not known", fix=nearest(model.source, forms))
    if model.weights is not None:
        raise ModelError(
            f"model source '{model.source}'",
            found=f"'weights: {model.weights}' beside it",
            wanted="no 'weights': such a file holds its own",
        )
    return _existing(recipe_folder / model.source, thing=f"program '{model.source}'")


def members(model: Model) -> tuple[Member, ...]:
    """Return the teachers of an ensemble; none where the source is another.

    Raises:
        ModelError: fewer than two, one that is recorded, or other keys beside them.
    """
    thing = f"model source '{model.source}'"
    if model.source != ENSEMBLE:
        if model.ensemble:
            raise ModelError(thing, found="'ensemble' beside it", fix="set 'source: ensemble'")
        return ()
    if len(model.ensemble) < SMALLEST_ENSEMBLE:
        raise ModelError(thing, found=f"{len(model.ensemble)} in 'ensemble'", wanted="at least 2 teachers")
    if model.weights is not None or model.options or model.embeddings is not None or model.replace_activations:
        raise ModelError(thing, found="options or weights of its own", wanted="those of its members")
    for member in model.ensemble:
        if member.source in (ENSEMBLE, RECORDED) or member.source.startswith(HUGGING_FACE):
            raise ModelError(thing, found=f"a member '{member.source}'", wanted="models that see what the student sees")
        if member.source in FAMILIES and member.weights is None:
            raise ModelError(f"member '{member.source}' of the ensemble", found="no weights", fix="name its 'weights'")
    return model.ensemble


def weights(model: Network, recipe_folder: Path) -> Path | None:
    """Return the path of the weights, or None where the recipe names none.

    Raises:
        ModelError: there is no such file or built-in name, it is too large, or its suffix is none of
            WEIGHT_SUFFIXES.
    """
    named = model.weights
    if named is None:
        return None
    if named.startswith(BUILTIN):
        return _pretrained(named.removeprefix(BUILTIN))
    thing = f"weights '{named}'"
    if not named.endswith(WEIGHT_SUFFIXES):
        wanted = f"a path ending in {', '.join(WEIGHT_SUFFIXES)}, or {BUILTIN}NAME"
        raise ModelError(thing, found="another kind of file", wanted=wanted)
    return _existing(recipe_folder / named, thing=thing)


def _pretrained(name: str) -> Path:
    if name not in PRETRAINED:
        raise ModelError(f"weights '{BUILTIN}{name}'", found="not known", fix=nearest(name, PRETRAINED))
    folder = Path(str(files("edgedistill.models.pretrained")))
    return _existing(folder / PRETRAINED[name], thing=f"weights '{BUILTIN}{name}'")


def _existing(path: Path, *, thing: str) -> Path:
    if not path.is_file():
        raise ModelError(thing, found=f"no file '{path}'")
    size_bytes = path.stat().st_size
    if size_bytes > MAX_BYTES:
        raise ModelError(thing, found=f"{size_bytes / 1e9:,.1f} GB", wanted=f"at most {MAX_BYTES / 1e9:,.1f} GB")
    return path
