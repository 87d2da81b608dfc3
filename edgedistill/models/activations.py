"""Replaces a student's activations by ones that a target computes with integers, before it learns."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from torch import nn

from edgedistill.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ACTIVATIONS: Mapping[str, tuple[type[nn.Module], Callable[[], nn.Module]]] = {
    "elu": (nn.ELU, nn.ELU),
    "gelu": (nn.GELU, nn.GELU),
    "hardsigmoid": (nn.Hardsigmoid, nn.Hardsigmoid),
    "hardswish": (nn.Hardswish, nn.Hardswish),
    "leaky_relu": (nn.LeakyReLU, lambda: nn.LeakyReLU(0.1)),
    "mish": (nn.Mish, nn.Mish),
    "relu": (nn.ReLU, nn.ReLU),
    "relu6": (nn.ReLU6, nn.ReLU6),
    "sigmoid": (nn.Sigmoid, nn.Sigmoid),
    "silu": (nn.SiLU, nn.SiLU),
    "tanh": (nn.Tanh, nn.Tanh),
}
"""The class of each activation, and how a new one is made, by the name that a recipe has for it."""


def replace_activations(model: nn.Module, replacements: Mapping[str, str]) -> None:
    """Replace activation layers of a model in place, all of a kind at once.

    Args:
        model: whose activations are modules; a call of `torch.nn.functional` cannot be replaced.
        replacements: new name by old name, of `ACTIVATIONS`.

    Raises:
        ModelError: a name is unknown, or the model has no such layer.
    """
    for name in (*replacements, *replacements.values()):
        if name not in ACTIVATIONS:
            raise ModelError(f"activation '{name}'", found="no such name", wanted=", ".join(ACTIVATIONS))
    present = _present(model)
    for old in replacements:
        if old not in present:
            found = ", ".join(f"{name} ({count})" for name, count in sorted(present.items())) or "none"
            raise ModelError(
                f"activation '{old}' of {type(model).__name__}",
                found=f"the model's activation layers are: {found}",
                wanted=f"layers of torch.nn.{ACTIVATIONS[old][0].__name__}",
                fix="a call of torch.nn.functional cannot be replaced: make it a layer",
            )
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            new = replacements.get(_name_of(child))
            if new is not None:
                setattr(parent, name, ACTIVATIONS[new][1]())


def _present(model: nn.Module) -> Counter[str]:
    return Counter(name for module in model.modules() if (name := _name_of(module)))


def _name_of(module: nn.Module) -> str:
    return next((name for name, (kind, _) in ACTIVATIONS.items() if type(module) is kind), "")
