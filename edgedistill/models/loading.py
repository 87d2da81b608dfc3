"""Loads teachers and students, and checks that they fit the data."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import torch
from torch import nn

from edgedistill.errors import ModelError, nearest
from edgedistill.models import origins
from edgedistill.models.pt2_file import program_from_pt2
from edgedistill.models.residual import ResidualNet
from edgedistill.models.separable import SeparableNet
from edgedistill.models.state_file import state_from_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from torch import Tensor
    from torch.export import ExportedProgram

    from edgedistill.recipe import Model

FAMILIES: dict[str, type[nn.Module]] = {"residual": ResidualNet, "separable": SeparableNet}
FROM_DATA = ("classes", "channels")
"""Arguments of the built-in families that come from the data."""

SHOWN = 3
"""Keys of each kind that an error about a state dictionary lists."""


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


def load_model(model: Model, *, classes: int, channels: int, recipe_folder: Path) -> nn.Module:
    """Return a model with its weights, on the CPU, in training mode.

    Args:
        model: from the recipe.
        classes: how many outputs the data want.
        channels: channels of the data's images.
        recipe_folder: relative paths and modules are looked for here.

    Raises:
        ModelError: the source, its options or its weights do not fit together.
        UnsafeFileError: a file holds code.
    """
    if origins.family(model):
        module = _of_family(model, classes=classes, channels=channels)
    elif model.source.startswith("python:"):
        module = _from_factory(model, recipe_folder)
    else:
        return ExportedModel(program_from_pt2(origins.program(model, recipe_folder)))
    path = origins.weights(model, recipe_folder)
    if path is not None:
        load_state(module, state_from_file(path), thing=f"weights '{model.weights}'")
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


def check_outputs(model: nn.Module, input_shape: Iterable[int], classes: int) -> None:
    """Run two zero samples through a model, and check what comes out.

    Args:
        model: in any mode; it is left in the same.
        input_shape: shape of one input, without the batch.
        classes: how many outputs are wanted.

    Raises:
        ModelError: the model cannot take such inputs, or returns something else than logits (2, classes).
    """
    shape = tuple(input_shape)
    modes = {module: module.training for module in model.modules()}
    try:
        with torch.no_grad():
            outputs = model.eval()(torch.zeros(2, *shape))
    except Exception as error:
        raise ModelError(
            f"model {type(model).__name__}",
            found=f"it fails on inputs (2, {', '.join(map(str, shape))}): {error}",
            fix="a .pt2 program has to be exported with a dynamic batch; else compare 'data.preprocessing'",
        ) from error
    finally:
        for module, mode in modes.items():
            module.training = mode
    _check_logits(outputs, model, classes)


def _check_logits(outputs: object, model: nn.Module, classes: int) -> None:
    thing = f"model {type(model).__name__}"
    if not isinstance(outputs, torch.Tensor):
        raise ModelError(thing, found=f"it returns a {type(outputs).__name__}", wanted="a tensor of logits")
    if outputs.ndim == 2 and outputs.shape[0] == 2 and outputs.shape[1] != classes:  # noqa: PLR2004 - the batch
        raise ModelError(
            thing,
            found=f"{outputs.shape[1]} outputs, and the data have {classes} classes",
            fix=f"use a model with {classes} outputs, or the data it was trained for",
        )
    if outputs.shape != (2, classes) or not outputs.is_floating_point():
        found = f"for 2 samples it returns {outputs.dtype} {tuple(outputs.shape)}"
        raise ModelError(thing, found=found, wanted=f"floating point (2, {classes})")


def _of_family(model: Model, *, classes: int, channels: int) -> nn.Module:
    network = FAMILIES[model.source]
    known = [name for name in inspect.signature(network).parameters if name not in FROM_DATA]
    for name in model.options:
        if name in FROM_DATA:
            raise ModelError(f"option '{name}' of '{model.source}'", found="given", wanted="the data's own number")
        if name not in known:
            raise ModelError(f"option '{name}' of '{model.source}'", found="not known", fix=nearest(name, known))
    try:
        return network(classes=classes, channels=channels, **model.options)
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        raise ModelError(f"options {model.options} of '{model.source}'", found=str(error)) from error


def _from_factory(model: Model, recipe_folder: Path) -> nn.Module:
    function = origins.factory(model, recipe_folder).load()
    try:
        module = function(**model.options)
    except Exception as error:
        raise ModelError(
            f"'{model.source}' with {model.options}", found=f"it fails: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(module, nn.Module):
        raise ModelError(f"'{model.source}'", found=f"it returns a {type(module).__name__}", wanted="a torch nn.Module")
    return module
