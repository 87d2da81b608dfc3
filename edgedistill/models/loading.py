"""Loads teachers and students, and checks that they fit the data."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from edgedistill.errors import ModelError, nearest
from edgedistill.models import origins
from edgedistill.models.activations import replace_activations
from edgedistill.models.callable_teacher import CallableTeacher
from edgedistill.models.ensemble import EnsembleTeacher
from edgedistill.models.hugging_face import teacher_from_folder, token_embeddings, token_numbers
from edgedistill.models.onnx_teacher import teacher_from_onnx
from edgedistill.models.pt2_file import program_from_pt2
from edgedistill.models.residual import ResidualNet
from edgedistill.models.separable import SeparableNet
from edgedistill.models.signal import SignalConvNet
from edgedistill.models.state_file import state_from_file
from edgedistill.models.text import TextConvNet, TextEncoder, start_from_embeddings
from edgedistill.models.unet import UNet
from edgedistill.recipe import Model

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from torch import Tensor
    from torch.export import ExportedProgram

    from edgedistill.recipe import Network


FAMILIES: dict[str, type[nn.Module]] = {
    "residual": ResidualNet,
    "separable": SeparableNet,
    "signal-conv": SignalConvNet,
    "unet": UNet,
    "text-conv": TextConvNet,
    "text-encoder": TextEncoder,
}
FROM_DATA = ("classes", "channels", "vocabulary", "length", "padding")
"""Arguments of the built-in families that come from the data."""

SHOWN = 3
"""Keys of each kind that an error about a state dictionary lists."""


@dataclass(frozen=True)
class TextInputs:
    """What a model of texts has to know of its inputs.

    Args:
        vocabulary: rows of the embedding table that the token numbers need.
        length: tokens of one input.
        padding: number of the padding token.
        tokens: the tokens by number, where the tokenizer names them.
    """

    vocabulary: int
    length: int
    padding: int
    tokens: Mapping[int, str]


class ExportedModel(nn.Module):
    """A program from a `.pt2` file as a module. Training mode changes nothing: it was fixed at the export.

    Args:
        program: takes one batch of inputs and returns logits.
    """

    def __init__(self, program: ExportedProgram) -> None:
        super().__init__()
        # the generated guards are Python code from the file; the shapes are checked by `check_outputs`
        self.program = program.module(check_guards=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs (batch, *input_shape) to logits (batch, classes)."""
        return self.program(inputs)  # type: ignore[no-any-return]  # nn.Module is untyped

    def train(self, mode: bool = True) -> ExportedModel:  # noqa: FBT001, FBT002 - nn.Module's signature
        """Note the mode, for this module alone: an exported program refuses to change it."""
        self.training = mode
        return self


def load_model(
    model: Network, *, classes: int, channels: int, recipe_folder: Path, texts: TextInputs | None = None
) -> nn.Module:
    """Return a model with its weights, on the CPU, in training mode.

    Args:
        model: from the recipe.
        classes: how many outputs the data want.
        channels: channels of the data's images or signals.
        recipe_folder: relative paths and modules are looked for here.
        texts: of data that are texts.

    Raises:
        ModelError: the source, its options or its weights do not fit together, or not to the data.
        UnsafeFileError: a file holds code.
        DependencyError: a `huggingface:` source without transformers.
    """
    members = origins.members(model) if isinstance(model, Model) else ()
    if members:
        loaded = [_network(item, classes, channels, recipe_folder, texts).eval() for item in members]
        return EnsembleTeacher(loaded, [item.weight for item in members])
    return _network(model, classes, channels, recipe_folder, texts)


def _network(model: Network, classes: int, channels: int, recipe_folder: Path, texts: TextInputs | None) -> nn.Module:
    """Return one network with its weights."""
    folder = origins.folder(model, recipe_folder)
    if model.replace_activations and (folder is not None or model.source.endswith(origins.PROGRAM_SUFFIXES)):
        raise ModelError(
            f"model '{model.source}'",
            found="`replace_activations`, but its layers are fixed",
            wanted="a built-in family or a `python:` factory",
        )
    if folder is not None:
        return teacher_from_folder(
            folder, padding=texts.padding if texts else 0, head=origins.weights(model, recipe_folder)
        )
    if origins.family(model):
        module = _of_family(model, _facts(model, classes=classes, channels=channels, texts=texts))
        if model.embeddings is not None:
            _start_from_embeddings(module, model, recipe_folder, texts)
    elif model.source.startswith("python:"):
        module = _from_factory(model, recipe_folder)
    else:
        path = origins.program(model, recipe_folder)
        return teacher_from_onnx(path) if path.suffix == origins.ONNX else ExportedModel(program_from_pt2(path))
    if model.replace_activations:
        replace_activations(module, model.replace_activations)
    weights = origins.weights(model, recipe_folder)
    if weights is not None:
        load_state(module, state_from_file(weights), thing=f"weights '{model.weights}'")
    return module


def load_state(module: nn.Module, state: Mapping[str, Tensor], *, thing: str) -> None:
    """Copy a state dictionary into a module; every key and shape must be the module's.

    Args:
        module: to be filled.
        state: tensors by name.
        thing: what it was read from, for the error.

    Raises:
        ModelError: keys are missing, unexpected, or of another shape; lists the first few.
    """
    own = module.state_dict()
    misshaped = [
        f"{name} {tuple(state[name].shape)} for {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in state and state[name].shape != tensor.shape
    ]
    problems = [
        f"{len(keys)} {kind}: {', '.join(keys[:SHOWN])}{' …' if len(keys) > SHOWN else ''}"
        for kind, keys in (
            ("missing", [name for name in own if name not in state]),
            ("unexpected", [name for name in state if name not in own]),
            ("of another shape", misshaped),
        )
        if keys
    ]
    if problems:
        raise ModelError(
            thing,
            found="; ".join(problems),
            wanted=f"the {len(own)} tensors of {type(module).__name__}",
            fix="use the source and options that the weights were trained with",
        )
    module.load_state_dict(dict(state))


def check_outputs(
    model: nn.Module,
    input_shape: Iterable[int],
    classes: int,
    *,
    dtype: torch.dtype = torch.float32,
    pixels: tuple[int, ...] = (),
) -> None:
    """Run two samples, of zeros or of tokens 1, through a model, and check what comes out.

    Args:
        model: in any mode; it is left in the same.
        input_shape: shape of one input, without the batch.
        classes: how many outputs are wanted.
        dtype: of an input.
        pixels: (height, width) of a map of outputs, one set a pixel; () where there is none.

    Raises:
        ModelError: the model cannot take such inputs, or returns something else than logits (2, classes, *pixels).
    """
    shape = tuple(input_shape)
    modes = {module: module.training for module in model.modules()}
    try:
        with torch.no_grad():
            outputs = model.eval()(example_inputs(shape, dtype))
    except Exception as error:
        raise ModelError(
            f"model {type(model).__name__}",
            found=f"it fails on inputs (2, {', '.join(map(str, shape))}): {error}",
            fix="a .pt2 program has to be exported with a dynamic batch; else compare 'data.preprocessing'",
        ) from error
    finally:
        for module, mode in modes.items():
            module.training = mode
    _check_logits(outputs, model, classes, pixels)


def example_inputs(shape: Iterable[int], dtype: torch.dtype = torch.float32) -> Tensor:
    """Return two samples (2, *shape): zeros, or tokens 1, because a text is never all padding."""
    if dtype.is_floating_point:
        return torch.zeros(2, *shape, dtype=dtype)
    return torch.ones(2, *shape, dtype=dtype)


def _check_logits(outputs: object, model: nn.Module, classes: int, pixels: tuple[int, ...]) -> None:
    thing = f"model {type(model).__name__}"
    if not isinstance(outputs, torch.Tensor):
        raise ModelError(thing, found=f"it returns a {type(outputs).__name__}", wanted="a tensor of logits")
    if outputs.ndim == 2 + len(pixels) and outputs.shape[0] == 2 and outputs.shape[1] != classes:  # noqa: PLR2004 - the batch
        raise ModelError(
            thing,
            found=f"{outputs.shape[1]} outputs, and the data have {classes} classes",
            fix=f"use a model with {classes} outputs, or the data it was trained for",
        )
    if outputs.shape != (2, classes, *pixels) or not outputs.is_floating_point():
        found = f"for 2 samples it returns {outputs.dtype} {tuple(outputs.shape)}"
        wanted = f"floating point {(2, classes, *pixels)}{', a class for every pixel' if pixels else ''}"
        raise ModelError(thing, found=found, wanted=wanted)


def _facts(model: Network, *, classes: int, channels: int, texts: TextInputs | None) -> dict[str, int]:
    """Return what the data decide of a family's arguments."""
    reads_texts = model.source in origins.TEXT_FAMILIES
    if reads_texts != (texts is not None):
        raise ModelError(
            f"model source '{model.source}'",
            found="it reads texts, and the data are others"
            if reads_texts
            else "it reads images, and the data are texts",
            fix=f"use {' or '.join(name for name in FAMILIES if (name in origins.TEXT_FAMILIES) != reads_texts)}",
        )
    if texts is None:
        return {"classes": classes, "channels": channels}
    return {"classes": classes, "vocabulary": texts.vocabulary, "length": texts.length, "padding": texts.padding}


def _start_from_embeddings(module: nn.Module, model: Network, recipe_folder: Path, texts: TextInputs | None) -> None:
    """Give a text family the token embeddings of another model, by token."""
    table_module = module.get_submodule("embedding") if model.source in origins.TEXT_FAMILIES else None
    if texts is None or not isinstance(table_module, nn.Embedding):
        raise ModelError(f"'embeddings: {model.embeddings}'", found=f"'{model.source}' reads no texts", fix="remove it")
    folder = origins.existing_folder(str(model.embeddings), recipe_folder)
    table, numbers = token_embeddings(folder), token_numbers(folder)
    rows = table.mean(0).repeat(texts.vocabulary, 1)
    known = [
        (row, numbers[token]) for row, token in texts.tokens.items() if numbers.get(token, len(table)) < len(table)
    ]
    if not known:
        raise ModelError(f"'embeddings: {model.embeddings}'", found="it has none of the student's tokens")
    if table.shape[1] < table_module.embedding_dim:
        raise ModelError(
            f"'embeddings: {model.embeddings}'",
            found=f"{table.shape[1]} numbers per token",
            wanted=f"at least the student's width, {table_module.embedding_dim}",
        )
    ours, theirs = zip(*known, strict=True)
    rows[list(ours)] = table[list(theirs)]
    start_from_embeddings(table_module, rows)


def _of_family(model: Network, facts: Mapping[str, int]) -> nn.Module:
    network = FAMILIES[model.source]
    known = [name for name in inspect.signature(network).parameters if name not in FROM_DATA]
    for name in model.options:
        if name in FROM_DATA:
            raise ModelError(f"option '{name}' of '{model.source}'", found="given", wanted="the data's own number")
        if name not in known:
            raise ModelError(f"option '{name}' of '{model.source}'", found="not known", fix=nearest(name, known))
    try:
        wanted = inspect.signature(network).parameters
        return network(**{name: value for name, value in facts.items() if name in wanted}, **model.options)
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        raise ModelError(f"options {model.options} of '{model.source}'", found=str(error)) from error


def _from_factory(model: Network, recipe_folder: Path) -> nn.Module:
    function = origins.factory(model, recipe_folder).load()
    try:
        module = function(**model.options)
    except Exception as error:
        raise ModelError(
            f"'{model.source}' with {model.options}", found=f"it fails: {type(error).__name__}: {error}"
        ) from error
    if isinstance(module, nn.Module):
        return module
    if not callable(module):
        raise ModelError(
            f"'{model.source}'",
            found=f"it returns a {type(module).__name__}",
            wanted="a torch nn.Module, or a function from arrays to logits",
        )
    if model.weights is not None or model.replace_activations:
        raise ModelError(
            f"'{model.source}'", found="'weights' or 'replace_activations' beside a function", wanted="an nn.Module"
        )
    return CallableTeacher(module, source=model.source)
